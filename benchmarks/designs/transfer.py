"""Image classifiers with augmentation and preprocessing within the model, from scratch and on pretrained networks."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops


def from_scratch() -> keras.Model:
    """A small Xception with augmentation and rescaling."""
    inputs = keras.Input(shape=(96, 96, 3))
    x = layers.RandomRotation(0.1)(layers.RandomFlip("horizontal")(inputs))
    x = layers.Rescaling(1.0 / 255)(x)
    x = layers.Conv2D(32, 3, strides=2, padding="same")(x)
    x = previous = layers.Activation("relu")(layers.BatchNormalization()(x))
    for size in (64, 96):
        for _ in range(2):
            x = layers.Activation("relu")(x)
            x = layers.BatchNormalization()(layers.SeparableConv2D(size, 3, padding="same")(x))
        x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
        residual = layers.Conv2D(size, 1, strides=2, padding="same")(previous)
        x = previous = layers.add([x, residual])
    x = layers.SeparableConv2D(128, 3, padding="same")(x)
    x = layers.Activation("relu")(layers.BatchNormalization()(x))
    x = layers.Dropout(0.25)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, layers.Dense(1, activation=None)(x))


def mobilenet_transfer() -> keras.Model:
    """MobileNetV2, nested and called with training=False, after its preprocessing."""
    base = keras.applications.MobileNetV2(
        input_shape=(96, 96, 3), alpha=0.35, include_top=False, weights=None
    )
    base.trainable = False
    augmentation = keras.Sequential([layers.RandomFlip("horizontal"), layers.RandomRotation(0.2)])
    inputs = keras.Input(shape=(96, 96, 3))
    x = keras.applications.mobilenet_v2.preprocess_input(augmentation(inputs))
    x = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(base(x, training=False)))
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid")(x))


def efficientnet_transfer() -> keras.Model:
    """EfficientNetB0 with a new head, built on the input of the model, with more augmentation."""
    inputs = layers.Input(shape=(64, 64, 3))
    x = inputs
    for layer in (
        layers.RandomRotation(factor=0.15),
        layers.RandomTranslation(height_factor=0.1, width_factor=0.1),
        layers.RandomFlip(),
        layers.RandomContrast(factor=0.1),
    ):
        x = layer(x)
    base = keras.applications.EfficientNetB0(include_top=False, input_tensor=x, weights=None)
    x = layers.BatchNormalization()(layers.GlobalAveragePooling2D(name="avg_pool")(base.output))
    x = layers.Dropout(0.2, name="top_dropout")(x)
    return keras.Model(inputs, layers.Dense(12, activation="softmax", name="pred")(x), name="EfficientNet")


def features() -> keras.Model:
    """The activations of several layers of a VGG, as for style transfer and visualization."""
    base = keras.applications.VGG16(weights=None, include_top=False, input_shape=(None, None, 3))
    return keras.Model(
        base.inputs, {name: base.get_layer(name).output for name in ("block1_conv1", "block3_conv2")}
    )


def grad_cam_pair() -> keras.Model:
    """The last convolution of a network beside its predictions."""
    base = keras.applications.ResNet50V2(weights=None, input_shape=(64, 64, 3), classes=10)
    return keras.Model(base.inputs, [base.get_layer("post_relu").output, base.output])


class PreprocessedClassifier(layers.Layer):
    """Resizes, crops and standardizes within a layer of its own, then classifies."""

    def __init__(self, size: int = 32, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.resize = layers.Resizing(size + 8, size + 8)
        self.crop = layers.CenterCrop(size, size)
        self.conv = layers.Conv2D(16, 3, strides=2, activation="relu")
        self.head = layers.Dense(10)

    def call(self, images: Any) -> Any:
        """Classify."""
        x = ops.cast(images, "float32") / 255.0
        x = self.crop(self.resize(x))
        mean = ops.mean(x, axis=(1, 2, 3), keepdims=True)
        std = ops.std(x, axis=(1, 2, 3), keepdims=True)
        pixels = ops.cast(ops.prod(ops.shape(x)[1:]), "float32")
        x = (x - mean) / ops.maximum(std, 1.0 / ops.sqrt(pixels))
        return self.head(ops.mean(self.conv(x), axis=(1, 2)))


def preprocessing_layer() -> keras.Model:
    """Images of any size and of bytes."""
    inputs = keras.Input((None, None, 3), dtype="uint8")
    return keras.Model(inputs, PreprocessedClassifier()(inputs))


class DistilledViT(layers.Layer):
    """A vision transformer with trained tokens for the class and for distillation, and scaled residuals."""

    def __init__(
        self, dim: int = 48, patches: int = 64, heads: int = 4, blocks: int = 2, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.dim = dim
        self.patches = patches
        self.projection = keras.Sequential(
            [layers.Conv2D(dim, 4, 4, padding="valid"), layers.Reshape((patches, dim))]
        )
        self.norms = [layers.LayerNormalization(epsilon=1e-6) for _ in range(2 * blocks + 1)]
        self.attentions = [layers.MultiHeadAttention(heads, dim // heads) for _ in range(blocks)]
        self.mlps = [
            keras.Sequential([layers.Dense(2 * dim, activation="gelu"), layers.Dense(dim)])
            for _ in range(blocks)
        ]
        self.head, self.head_dist = layers.Dense(10), layers.Dense(10)

    def build(self, input_shape: Any) -> None:
        """Make the tokens and the positions."""
        self.cls_token = self.add_weight(shape=(1, 1, self.dim), initializer="zeros", name="cls")
        self.dist_token = self.add_weight(shape=(1, 1, self.dim), initializer="zeros", name="dist")
        self.pos_embed = self.add_weight(
            shape=(1, self.patches + 2, self.dim), initializer="random_normal", name="pos"
        )
        self.scales = [
            self.add_weight(shape=(self.dim,), initializer="ones", name=f"scale{i}") for i in range(4)
        ]

    def call(self, inputs: Any, training: bool = False) -> Any:
        """The logits of both heads."""
        n = ops.shape(inputs)[0]
        x = self.projection(inputs)
        cls_token = ops.cast(ops.tile(self.cls_token, (n, 1, 1)), dtype=x.dtype)
        dist_token = ops.broadcast_to(self.dist_token, (n, 1, self.dim))
        x = ops.concatenate([cls_token, dist_token, x], axis=1) + self.pos_embed
        for index, (attention, mlp) in enumerate(zip(self.attentions, self.mlps, strict=True)):
            y = self.norms[2 * index](x)
            x = x + attention(y, y) * self.scales[2 * index]
            x = x + mlp(self.norms[2 * index + 1](x)) * self.scales[2 * index + 1]
        x = self.norms[-1](x)
        logits, distilled = self.head(x[:, 0]), self.head_dist(x[:, 1])
        return logits if training else (logits + distilled) / 2


def distilled_vit() -> keras.Model:
    """DeiT."""
    inputs = keras.Input((32, 32, 3))
    return keras.Model(inputs, DistilledViT()(inputs))


DESIGNS = {
    "image classifier from scratch": from_scratch,
    "MobileNetV2, transferred": mobilenet_transfer,
    "EfficientNetB0, transferred": efficientnet_transfer,
    "features of VGG16": features,
    "ResNet50V2 with its features": grad_cam_pair,
    "preprocessing layer, bytes": preprocessing_layer,
    "DeiT": distilled_vit,
}
