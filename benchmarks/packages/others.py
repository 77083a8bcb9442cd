"""Models of kimm, keras-tcn, keras-unet-collection, vit-keras and fast-plate-ocr, as far as they are installed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import keras

MODELS: dict[str, Callable[[], keras.Model]] = {}


def _kimm(name: str, **options: Any) -> Callable[[], keras.Model]:
    def build() -> keras.Model:
        import kimm

        size = {"input_shape": (64, 64, 3), "classes": 10, "weights": None}
        return getattr(kimm.models, name)(**{**size, **options})

    return build


def _tcn() -> keras.Model:
    """A temporal convolutional network over a series."""
    from tcn import TCN

    x = keras.Input((40, 6), name="x")
    return keras.Model(x, keras.layers.Dense(3)(TCN(16, dilations=(1, 2, 4), use_batch_norm=True)(x)))


def _unet(name: str, **options: Any) -> Callable[[], keras.Model]:
    def build() -> keras.Model:
        from keras_unet_collection import models

        return getattr(models, name)((64, 64, 3), [16, 32, 48], n_labels=2, **options)

    return build


def _vit_keras() -> keras.Model:
    from vit_keras import vit

    return vit.build_model((64, 64), 16, 2, 32, 4, "vit", 64, 10)


def _plates(normalization: str, **options: Any) -> Callable[[], keras.Model]:
    """A compact convolutional transformer that reads license plates."""

    def build() -> keras.Model:
        from fast_plate_ocr.train.model.config import PlateConfig
        from fast_plate_ocr.train.model.model_builders import build_model
        from fast_plate_ocr.train.model.model_schema import CCTModelConfig

        stem = [
            {"layer": "Conv2D", "filters": 16, "kernel_size": 3, "strides": 2, "activation": "relu"},
            {"layer": "MaxBlurPooling2D", "pool_size": 2, "filter_size": 3},
            {"layer": "CoordConv2D", "filters": 32, "kernel_size": 3, "strides": 1, "activation": "relu"},
            {"layer": "SqueezeExcite", "ratio": 0.5},
        ]
        encoder = {"layers": 2, "heads": 2, "projection_dim": 32, "units": [64, 32], **options}
        config = CCTModelConfig(
            rescaling={"scale": 1 / 255, "offset": 0.0},
            tokenizer={"blocks": stem, "patch_size": 2, "patch_mlp": {"layer": "MLP", "hidden_units": [32]}},
            transformer_encoder={**encoder, "normalization": normalization},
        )
        plates = PlateConfig(
            max_plate_slots=7,
            alphabet="0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_",
            pad_char="_",
            img_height=32,
            img_width=64,
        )
        return build_model(config, plates)

    return build


_FAMILIES: dict[str, dict[str, Callable[[], keras.Model]]] = {
    "kimm": {
        "kimm: RepVGG": _kimm("RepVGGA0"),
        "kimm: RepVGG, one branch": _kimm("RepVGGA0", reparameterized=True),
        "kimm: VisionTransformer": _kimm("VisionTransformerTiny16"),
        "kimm: MobileViT": _kimm("MobileViTXXS"),
        "kimm: MobileViT V2": _kimm("MobileViTV2W050"),
        "kimm: InceptionNeXt": _kimm("InceptionNeXtTiny"),
        "kimm: ConvMixer": _kimm("ConvMixer736D32"),
        "kimm: ConvNeXt": _kimm("ConvNeXtAtto"),
        "kimm: GhostNet V2": _kimm("GhostNetV2W100"),
        "kimm: MobileOne": _kimm("MobileOneS0"),
        "kimm: LCNet": _kimm("LCNet050"),
        "kimm: RegNetY": _kimm("RegNetY002"),
        "kimm: HGNet V2": _kimm("HGNetV2B0"),
    },
    "tcn": {"keras-tcn": _tcn},
    "keras_unet_collection": {
        "keras-unet-collection: U-Net": _unet("unet_2d", batch_norm=True),
        "keras-unet-collection: Attention U-Net": _unet("att_unet_2d", batch_norm=True),
        "keras-unet-collection: U-Net++": _unet("unet_plus_2d", batch_norm=True),
    },
    "vit_keras": {"vit-keras": _vit_keras},
    "fast_plate_ocr": {
        "fast-plate-ocr: CCT": _plates("layer_norm"),
        "fast-plate-ocr: CCT, RMS norm": _plates("rms_norm", attention_layout="split_projection"),
        "fast-plate-ocr: CCT, DyT": _plates("dyt"),
    },
}
for package, models in _FAMILIES.items():
    with contextlib.suppress(ImportError):
        __import__(package)
        MODELS |= models
