"""Save models of published packages as Keras 2 does, with inputs and Keras 2's outputs.

This needs TensorFlow with tf_keras and the packages, and so an environment of its own (without this project):

    python3 -m venv old && old/bin/pip install tensorflow tf_keras
    old/bin/pip install --no-deps segmentation-models image-classifiers efficientnet keras-applications \
        keras-preprocessing keras-cv-attention-models vit-keras keras-unet-collection
    old/bin/python benchmarks/keras2_save.py FOLDER [NAME ...]

A file is PACKAGE--MODEL.h5 (or .keras, or a folder), and PACKAGE--MODEL.npz has the inputs and outputs.
"""

import os
import sys
from pathlib import Path

os.environ.update(TF_USE_LEGACY_KERAS="1", SM_FRAMEWORK="tf.keras", TF_CPP_MIN_LOG_LEVEL="3")

import numpy as np
import tensorflow as tf

keras = tf.keras
layers = keras.layers


def segmentation(kind, backbone, size=64):
    def build():
        import segmentation_models as sm

        return getattr(sm, kind)(backbone, input_shape=(size, size, 3), encoder_weights=None)

    return build


def kecam(module, name, size=64, **options):
    def build():
        import importlib

        package = importlib.import_module(f"keras_cv_attention_models.{module}")
        options.setdefault("num_classes", 10)
        return getattr(package, name)(input_shape=(size, size, 3), pretrained=None, **options)

    return build


def application(name, size=64, **options):
    return lambda: getattr(keras.applications, name)(
        input_shape=(size, size, 3), weights=None, classes=10, **options
    )


def efficientnet():
    import efficientnet.tfkeras

    return efficientnet.tfkeras.EfficientNetB0(input_shape=(64, 64, 3), weights=None, classes=10)


def unet_collection(name, **options):
    def build():
        from keras_unet_collection import models

        return getattr(models, name)((64, 64, 3), [8, 16, 32, 64], n_labels=2, **options)

    return build


def vit():
    from vit_keras import vit

    model = vit.build_model(
        image_size=32,
        patch_size=8,
        num_layers=2,
        hidden_size=32,
        num_heads=4,
        name="vit",
        mlp_dim=64,
        classes=5,
        dropout=0.1,
        activation="linear",
        include_top=True,
        representation_size=None,
    )
    return model


def residual_block(x, filters):
    y = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
    y = layers.PReLU(shared_axes=[1, 2])(layers.BatchNormalization(epsilon=2e-5)(y))
    y = layers.ZeroPadding2D(1)(y)
    y = layers.Conv2D(filters, 3, strides=2, use_bias=False)(y)
    y = layers.BatchNormalization(epsilon=2e-5)(y)
    x = layers.BatchNormalization(epsilon=2e-5)(layers.Conv2D(filters, 1, strides=2, use_bias=False)(x))
    return layers.PReLU(shared_axes=[1, 2])(layers.Add()([x, y]))


def deepface(name, function):
    def build():
        import importlib

        base = "deepface.models"
        for module in (f"{base}.facial_recognition.tf.{name}", f"{base}.facial_recognition.{name}"):
            try:
                package = importlib.import_module(module)
            except ModuleNotFoundError:
                continue
            return getattr(package, function)()
        raise ModuleNotFoundError(name)

    return build


class InstanceNormalization(layers.Layer):
    """The layer of keras_contrib, after its public definition: (x - mean) / (deviation + epsilon) * gamma + beta."""

    def __init__(self, axis=None, epsilon=1e-3, center=True, scale=True, **options):
        super().__init__(**options)
        self.axis, self.epsilon, self.center, self.scale = axis, epsilon, center, scale

    def build(self, shape):
        shape = (1,) if self.axis is None else (shape[self.axis],)
        self.gamma = self.add_weight(shape=shape, name="gamma", initializer="ones") if self.scale else None
        self.beta = self.add_weight(shape=shape, name="beta", initializer="zeros") if self.center else None
        super().build(shape)

    def call(self, inputs):
        backend = keras.backend
        shape = backend.int_shape(inputs)
        axes = list(range(1, len(shape)))
        broadcast = [1] * len(shape)
        if self.axis is not None:
            del axes[self.axis - 1 if self.axis > 0 else self.axis]
            broadcast[self.axis] = shape[self.axis]
        mean = backend.mean(inputs, axes, keepdims=True)
        deviation = backend.std(inputs, axes, keepdims=True) + self.epsilon
        normed = (inputs - mean) / deviation
        if self.scale:
            normed = normed * backend.reshape(self.gamma, broadcast)
        if self.center:
            normed = normed + backend.reshape(self.beta, broadcast)
        return normed

    def get_config(self):
        options = {"axis": self.axis, "epsilon": self.epsilon, "center": self.center, "scale": self.scale}
        parts = {
            f"{name}_{kind}": None
            for name in ("beta", "gamma")
            for kind in ("initializer", "regularizer", "constraint")
        }
        parts |= {"beta_initializer": {"class_name": "Zeros", "config": {}}}
        parts |= {"gamma_initializer": {"class_name": "Ones", "config": {}}}
        return {**super().get_config(), **options, **parts}


def cyclegan():
    """The generator of a CycleGAN as its most copied Keras 2 code has it."""
    image = layers.Input((64, 64, 3))
    x, skips = image, []
    for filters in (8, 16, 32):
        x = layers.LeakyReLU(alpha=0.2)(layers.Conv2D(filters, 4, strides=2, padding="same")(x))
        x = InstanceNormalization()(x) if filters > 8 else InstanceNormalization(axis=-1)(x)
        skips.append(x)
    for skip in reversed(skips[:-1]):
        x = layers.UpSampling2D(2)(x)
        x = layers.Conv2D(skip.shape[-1], 4, padding="same", activation="relu")(x)
        x = layers.Concatenate()([InstanceNormalization()(x), skip])
    x = layers.UpSampling2D(2)(x)
    return keras.Model(image, layers.Conv2D(3, 4, padding="same", activation="tanh")(x))


def transfer():
    """Transfer learning as TensorFlow's tutorial has it: augmentation, preprocess_input and a frozen base model."""
    augment = keras.Sequential([layers.RandomFlip("horizontal"), layers.RandomRotation(0.2)])
    base = keras.applications.MobileNetV2(input_shape=(64, 64, 3), include_top=False, weights=None)
    base.trainable = False
    image = keras.Input((64, 64, 3))
    x = base(keras.applications.mobilenet_v2.preprocess_input(augment(image)), training=False)
    x = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(image, layers.Dense(1)(x))


def old_lstm():
    """Recurrent layers as Keras 2.2 built them: hard_sigmoid, and a GRU that resets first."""
    x = keras.Input((20, 4))
    y = layers.LSTM(8, recurrent_activation="hard_sigmoid", return_sequences=True)(x)
    y = layers.Bidirectional(layers.GRU(6, recurrent_activation="hard_sigmoid", reset_after=False))(y)
    return keras.Model(x, layers.Dense(3, activation="hard_sigmoid")(y))


def translation():
    """An encoder and a decoder that share states and an embedding, with masks."""
    source, target = keras.Input((None,), name="source"), keras.Input((None,), name="target")
    embedding = layers.Embedding(50, 16, mask_zero=True)
    _, *states = layers.LSTM(12, return_state=True)(embedding(source))
    y = layers.LSTM(12, return_sequences=True)(embedding(target), initial_state=states)
    return keras.Model([source, target], layers.Dense(50, activation="softmax")(y))


def transformer():
    """Blocks of attention with a mask by a keyword, and a positional encoding by TensorFlow's functions."""
    ids = keras.Input((12,), dtype="int32")
    mask = tf.cast(tf.not_equal(ids, 0), tf.float32)[:, tf.newaxis, :]
    x = layers.Embedding(40, 32)(ids) * tf.math.sqrt(32.0)
    x = x + tf.one_hot(tf.range(12), 32)
    for _ in range(2):
        y = layers.MultiHeadAttention(4, 8)(x, x, attention_mask=mask)
        x = layers.LayerNormalization(epsilon=1e-6)(x + y)
        x = layers.LayerNormalization(axis=[-1])(x + layers.Dense(32)(layers.Dense(64, tf.nn.gelu)(x)))
    return keras.Model(ids, [layers.Dense(40)(x), tf.reduce_max(x, axis=1)])


def siamese():
    """A model called twice, their distance by TensorFlow's functions; two outputs as a dict."""
    image = keras.Input((32, 32, 1))
    x = layers.Conv2D(8, 3, activation=tf.nn.swish)(image)
    x = layers.SeparableConv2D(8, 3, activation="selu")(layers.AveragePooling2D(padding="same")(x))
    embed = keras.Model(image, tf.math.l2_normalize(layers.Dense(16)(layers.Flatten()(x)), axis=1))
    one, two = keras.Input((32, 32, 1)), keras.Input((32, 32, 1))
    a, b = embed(one), embed(two)
    distance = tf.sqrt(tf.reduce_sum(tf.square(a - b), axis=1, keepdims=True) + 1e-7)
    return keras.Model([one, two], {"distance": distance, "similarity": layers.Dot(1)([a, b])})


def deeplab():
    """Atrous pooling with tf.image.resize and sizes taken from tensors."""
    image = keras.Input((None, None, 3))
    x = image / 127.5 - 1
    x = layers.Conv2D(8, 3, strides=2, padding="same")(x)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    pooled = layers.GlobalAveragePooling2D(keepdims=True)(x)
    pooled = tf.image.resize(layers.Conv2D(8, 1)(pooled), tf.shape(x)[1:3])
    branches = [layers.Conv2D(8, 3, padding="same", dilation_rate=rate)(x) for rate in (1, 2, 4)]
    x = tf.concat([pooled, *branches], axis=-1)
    x = layers.Conv2D(4, 1)(layers.UpSampling2D(interpolation="bilinear")(x))
    return keras.Model(image, tf.nn.softmax(x))


def tabular():
    """Three inputs, preprocessing layers with a state, and nested lists of arguments."""
    inputs = [
        keras.Input((4,), name="numbers"),
        keras.Input((1,), name="size"),
        keras.Input((6,), name="more"),
    ]
    normalize = layers.Normalization()
    normalize.adapt(np.random.default_rng(0).normal(3, 2, (100, 4)))
    x = layers.Concatenate()([normalize(inputs[0]), tf.math.log1p(tf.abs(inputs[1])), inputs[2]])
    x = tf.concat([x, tf.stack([x[:, 0], x[:, 1] * x[:, 2]], axis=1), inputs[2][..., ::2]], axis=1)
    x = layers.ThresholdedReLU(theta=0.2)(layers.Dense(16, kernel_regularizer="l2")(x))
    return keras.Model(inputs, [layers.Dense(1)(x), layers.Dense(3, activation="softmax")(x)])


MODELS = {
    "segmentation-models--Unet-resnet18": segmentation("Unet", "resnet18"),
    "segmentation-models--Unet-resnext50": segmentation("Unet", "resnext50"),
    "segmentation-models--FPN-efficientnetb0": segmentation("FPN", "efficientnetb0"),
    "segmentation-models--Linknet-mobilenetv2": segmentation("Linknet", "mobilenetv2"),
    "segmentation-models--PSPNet-seresnet18": segmentation("PSPNet", "seresnet18", 96),
    "kecam--ConvNeXtTiny": kecam("convnext", "ConvNeXtTiny"),
    "kecam--EfficientNetV2B0": kecam("efficientnet", "EfficientNetV2B0"),
    "kecam--ResNest50": kecam("resnest", "ResNest50"),
    "kecam--GhostNetV2": kecam("ghostnet", "GhostNetV2_1X"),
    "kecam--MobileViT_XXS": kecam("mobilevit", "MobileViT_XXS"),
    "kecam--EdgeNeXt_XX_Small": kecam("edgenext", "EdgeNeXt_XX_Small"),
    "kecam--LeViT128S": kecam("levit", "LeViT128S", 112),
    "kecam--CoAtNet0": kecam("coatnet", "CoAtNet0"),
    "kecam--SwinTransformerV2Tiny": kecam("swin_transformer_v2", "SwinTransformerV2Tiny_ns", 64),
    "kecam--GCViT_XXTiny": kecam("gcvit", "GCViT_XXTiny", 224),
    "kecam--YOLOXNano": kecam("yolox", "YOLOXNano", 64),
    "kecam--BotNet26T": kecam("botnet", "BotNet26T", 64),
    "kecam--CMTTiny": kecam("cmt", "CMTTiny", 64),
    "kecam--FasterNetT0": kecam("fasternet", "FasterNetT0", 64),
    "kecam--MLPMixerS32": kecam("mlp_family", "MLPMixerS32", 64),
    "deepface--ArcFace-ResNet34": deepface("ArcFace", "ResNet34"),
    "deepface--FaceNet": deepface("Facenet", "InceptionResNetV1"),
    "efficientnet--EfficientNetB0": efficientnet,
    "keras-contrib--CycleGAN": cyclegan,
    "vit-keras--ViT": vit,
    "keras-unet-collection--unet_2d": unet_collection("unet_2d"),
    "keras-unet-collection--att_unet_2d": unet_collection("att_unet_2d"),
    "keras-unet-collection--u2net_2d": lambda: __import__("keras_unet_collection").models.u2net_2d(
        (64, 64, 3), 2, [4, 8, 16, 16]
    ),
    "tf.keras--MobileNetV3Small": application("MobileNetV3Small", minimalistic=False),
    "tf.keras--EfficientNetV2B0": application("EfficientNetV2B0"),
    "tf.keras--ConvNeXtTiny": application("ConvNeXtTiny"),
    "tf.keras--NASNetMobile": application("NASNetMobile"),
    "tf.keras--RegNetX002": application("RegNetX002"),
    "tf.keras--ResNetRS50": application("ResNetRS50"),
    "design--transfer-learning": transfer,
    "design--recurrent": old_lstm,
    "design--translation": translation,
    "design--transformer": transformer,
    "design--siamese": siamese,
    "design--deeplab": deeplab,
    "design--tabular": tabular,
}
FORMATS = {"design": (".h5", ".keras", ""), "vit-keras": (".h5", ".keras")}


def arrays_for(model, rng):
    """Random inputs: ids where a layer looks them up, images otherwise."""
    embedding = next((layer for layer in model.layers if isinstance(layer, layers.Embedding)), None)
    arrays = []
    for tensor in tf.nest.flatten(model.inputs):
        shape = [2, *((size or 32) if len(tensor.shape) > 2 else size or 7 for size in tensor.shape[1:])]
        if embedding is not None:
            array = rng.integers(0, embedding.input_dim, shape).astype(tensor.dtype.as_numpy_dtype)
        else:
            array = rng.normal(0.4, 0.3, shape).astype(np.float32)
        arrays.append(array)
    return arrays


def randomize(model, rng):
    """Make the statistics and gains of normalizations, and the biases, other than those of a new model."""
    for weight in model.weights:
        name, value = weight.name.split("/")[-1], weight.numpy()
        if "moving_variance" in name or "gamma" in name:
            weight.assign(rng.uniform(0.7, 1.3, value.shape))
        elif "moving_mean" in name or "beta" in name or "bias" in name:
            weight.assign(value + rng.normal(0, 0.1, value.shape))


def save(name, build, folder):
    keras.backend.clear_session()
    keras.utils.set_random_seed(1)
    rng = np.random.default_rng(7)
    model = build()
    randomize(model, rng)
    inputs = arrays_for(model, rng)
    outputs = model(inputs if len(inputs) > 1 else inputs[0], training=False)
    keys = [str(key) for key in outputs] if isinstance(outputs, dict) else []
    outputs = [outputs[key] for key in keys] if keys else tf.nest.flatten(outputs)
    for ending in FORMATS.get(name.split("--")[0], (".h5",)):
        model.save(folder / f"{name}{ending or '-saved'}")
    arrays = {f"input{index}": value for index, value in enumerate(inputs)}
    arrays |= {f"output{index}": np.asarray(value) for index, value in enumerate(outputs)}
    np.savez_compressed(folder / f"{name}.npz", keys=np.array(keys, dtype="U"), **arrays)


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, build in MODELS.items():
        if len(sys.argv) > 2 and not any(part in name for part in sys.argv[2:]):
            continue
        try:
            save(name, build, folder)
        except Exception as error:
            print(
                f"{name}: not saved: {type(error).__name__}: {' '.join(str(error).split())[:200]}", flush=True
            )
        else:
            print(name, flush=True)


if __name__ == "__main__":
    main()
