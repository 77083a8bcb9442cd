"""A result for each pixel: U-Nets, DeepLabV3+, a detector's feature pyramid, OCR, super-resolution, enhancement."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops


def unet() -> keras.Model:
    """Residual separable convolutions down, transposed ones up."""
    inputs = keras.Input(shape=(64, 64, 3))
    x = layers.Conv2D(16, 3, strides=2, padding="same")(inputs)
    x = previous = layers.Activation("relu")(layers.BatchNormalization()(x))
    for filters in (32, 64):
        x = layers.SeparableConv2D(filters, 3, padding="same")(layers.Activation("relu")(x))
        x = layers.Activation("relu")(layers.BatchNormalization()(x))
        x = layers.BatchNormalization()(layers.SeparableConv2D(filters, 3, padding="same")(x))
        x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
        residual = layers.Conv2D(filters, 1, strides=2, padding="same")(previous)
        x = previous = layers.add([x, residual])
    for filters in (64, 32, 16):
        x = layers.Activation("relu")(x)
        x = layers.BatchNormalization()(layers.Conv2DTranspose(filters, 3, padding="same")(x))
        x = layers.BatchNormalization()(
            layers.Conv2DTranspose(filters, 3, padding="same")(layers.Activation("relu")(x))
        )
        x = layers.UpSampling2D(2)(x)
        residual = layers.Conv2D(filters, 1, padding="same")(layers.UpSampling2D(2)(previous))
        x = previous = layers.add([x, residual])
    return keras.Model(inputs, layers.Conv2D(3, 3, activation="softmax", padding="same")(x))


def unet_dynamic() -> keras.Model:
    """The original, with skips and strided transposed convolutions, for images of any size."""

    def double_conv(x: Any, filters: int) -> Any:
        for _ in range(2):
            x = layers.Conv2D(filters, 3, padding="same", activation="relu", kernel_initializer="he_normal")(
                x
            )
        return x

    x = inputs = keras.Input(shape=(None, None, 3))
    skips = []
    for filters in (16, 32, 64):
        skips.append(double_conv(x, filters))
        x = layers.Dropout(0.3)(layers.MaxPool2D(2)(skips[-1]))
    x = double_conv(x, 128)
    for filters, skip in zip((64, 32, 16), reversed(skips), strict=True):
        x = layers.Conv2DTranspose(filters, 3, 2, padding="same")(x)
        x = double_conv(layers.Dropout(0.3)(layers.concatenate([x, skip])), filters)
    return keras.Model(inputs, layers.Conv2D(1, 1, padding="same", activation="sigmoid")(x))


def deeplab() -> keras.Model:
    """DeepLabV3+: dilated convolutions beside a pool of the whole image, upsampled to a finer map."""

    def convolution(x: Any, filters: int = 32, kernel: int = 3, rate: int = 1, bias: bool = False) -> Any:
        x = layers.Conv2D(filters, kernel, dilation_rate=rate, padding="same", use_bias=bias)(x)
        return ops.nn.relu(layers.BatchNormalization()(x))

    inputs = keras.Input(shape=(64, 64, 3))
    preprocessed = keras.applications.resnet50.preprocess_input(inputs)
    fine = convolution(layers.MaxPooling2D(4)(convolution(preprocessed, 16)))
    coarse = convolution(layers.MaxPooling2D(2)(fine), 48)
    dims = coarse.shape
    x = layers.AveragePooling2D(pool_size=(dims[-3], dims[-2]))(coarse)
    x = convolution(x, kernel=1, bias=True)
    pooled = layers.UpSampling2D(
        size=(dims[-3] // x.shape[1], dims[-2] // x.shape[2]), interpolation="bilinear"
    )(x)
    branches = [convolution(coarse, kernel=1), *(convolution(coarse, rate=rate) for rate in (2, 3, 5))]
    x = convolution(layers.Concatenate(axis=-1)([pooled, *branches]), kernel=1)
    a = layers.UpSampling2D(size=(16 // x.shape[1] * 1, 16 // x.shape[2]), interpolation="bilinear")(x)
    x = layers.Concatenate(axis=-1)([a, convolution(fine, 24, kernel=1)])
    x = convolution(convolution(x))
    x = layers.UpSampling2D(size=(64 // x.shape[1], 64 // x.shape[2]), interpolation="bilinear")(x)
    return keras.Model(inputs, layers.Conv2D(5, kernel_size=(1, 1), padding="same")(x))


class FeaturePyramid(keras.layers.Layer):
    """Maps of five scales from three, each with what the coarser ones know."""

    def __init__(self, channels: int = 32, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.lateral = [layers.Conv2D(channels, 1, 1, "same") for _ in range(3)]
        self.smooth = [layers.Conv2D(channels, 3, 1, "same") for _ in range(3)]
        self.conv_c6_3x3 = layers.Conv2D(channels, 3, 2, "same")
        self.conv_c7_3x3 = layers.Conv2D(channels, 3, 2, "same")
        self.upsample_2x = layers.UpSampling2D(2)

    def call(self, maps: Any, training: bool = False) -> Any:
        """The five maps."""
        c3_output, c4_output, c5_output = maps
        p3_output = self.lateral[0](c3_output)
        p4_output = self.lateral[1](c4_output)
        p5_output = self.lateral[2](c5_output)
        p4_output = p4_output + self.upsample_2x(p5_output)
        p3_output = p3_output + self.upsample_2x(p4_output)
        p3_output = self.smooth[0](p3_output)
        p4_output = self.smooth[1](p4_output)
        p5_output = self.smooth[2](p5_output)
        p6_output = self.conv_c6_3x3(c5_output)
        p7_output = self.conv_c7_3x3(keras.ops.relu(p6_output))
        return p3_output, p4_output, p5_output, p6_output, p7_output


class RetinaNet(keras.Model):
    """Boxes and classes for each anchor of a feature pyramid."""

    def __init__(self, num_classes: int = 4, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self.stem = [layers.Conv2D(n, 3, 2, "same", activation="relu") for n in (8, 16, 24, 32, 40)]
        self.fpn = FeaturePyramid()
        prior = keras.initializers.Constant(-float(np.log((1 - 0.01) / 0.01)))
        self.cls_head = self.head(9 * num_classes, prior)
        self.box_head = self.head(9 * 4, "zeros")

    def head(self, outputs: int, bias: Any) -> keras.Sequential:
        """Convolutions that all scales share."""
        head = keras.Sequential([keras.Input(shape=[None, None, 32])])
        for _ in range(2):
            head.add(layers.Conv2D(32, 3, padding="same"))
            head.add(layers.ReLU())
        head.add(layers.Conv2D(outputs, 3, 1, padding="same", bias_initializer=bias))
        return head

    def call(self, image: Any, training: bool = False) -> Any:
        """Boxes and logits, (batch, anchors, 4 + classes)."""
        x, maps = image, []
        for layer in self.stem:
            x = layer(x)
            maps.append(x)
        features = self.fpn(maps[2:], training=training)
        batch = keras.ops.shape(image)[0]
        cls_outputs, box_outputs = [], []
        for feature in features:
            box_outputs.append(keras.ops.reshape(self.box_head(feature), [batch, -1, 4]))
            cls_outputs.append(keras.ops.reshape(self.cls_head(feature), [batch, -1, self.num_classes]))
        cls_output = keras.ops.concatenate(cls_outputs, axis=1)
        box_output = keras.ops.concatenate(box_outputs, axis=1)
        return keras.ops.concatenate([box_output, cls_output], axis=-1)


def retinanet() -> keras.Model:
    """A detector without its decoding of boxes, for images of any size."""
    inputs = keras.Input(shape=(None, None, 3), name="image")
    return keras.Model(inputs, RetinaNet()(inputs, training=False))


def super_resolution() -> keras.Model:
    """Three times the size: channels become pixels (depth to space by reshape and transpose)."""
    inputs = keras.Input(shape=(None, None, 1))
    x = inputs
    for filters, kernel in ((32, 5), (32, 3), (16, 3), (9, 3)):
        x = layers.Conv2D(
            filters, kernel, activation="relu", kernel_initializer="orthogonal", padding="same"
        )(x)
    return keras.Model(inputs, DepthToSpace(3)(x))


class DepthToSpace(layers.Layer):
    """Channels become pixels."""

    def __init__(self, block_size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.block_size = block_size

    def call(self, inputs: Any) -> Any:
        """An image of `block_size` times the size."""
        batch, height, width, depth = ops.shape(inputs)
        depth = depth // (self.block_size**2)
        x = ops.reshape(inputs, [batch, height, width, self.block_size, self.block_size, depth])
        x = ops.transpose(x, [0, 1, 3, 2, 4, 5])
        return ops.reshape(x, [batch, height * self.block_size, width * self.block_size, depth])


class ZeroDCE(keras.layers.Layer):
    """Curves for the brightness of each pixel, applied eight times."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.convs = [layers.Conv2D(16, 3, activation="relu", padding="same") for _ in range(6)]
        self.curves = layers.Conv2D(24, 3, strides=(1, 1), activation="tanh", padding="same")

    def call(self, data: Any) -> Any:
        """The enhanced image."""
        conv1, *others = self.convs
        x1 = conv1(data)
        x2 = others[0](x1)
        x3 = others[1](x2)
        x4 = others[2](x3)
        x5 = others[3](ops.concatenate([x4, x3], axis=-1))
        x6 = others[4](ops.concatenate([x5, x2], axis=-1))
        output = self.curves(ops.concatenate([x6, x1], axis=-1))
        x = data
        for i in range(0, 3 * 8, 3):
            r = output[:, :, :, i : i + 3]
            x = x + r * (keras.ops.square(x) - x)
        return x


def zero_dce() -> keras.Model:
    """Enhancement of dark images."""
    inputs = keras.Input((None, None, 3))
    return keras.Model(inputs, ZeroDCE()(inputs))


DESIGNS = {
    "U-Net, separable convolutions": unet,
    "U-Net of any size": unet_dynamic,
    "DeepLabV3+": deeplab,
    "RetinaNet, feature pyramid": retinanet,
    "super-resolution": super_resolution,
    "Zero-DCE": zero_dce,
}
