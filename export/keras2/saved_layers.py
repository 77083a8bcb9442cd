"""The layers of a model in the order of its file. Keras 3 can have them in another one."""

from __future__ import annotations

from collections.abc import Iterator

import keras

from export.keras2.config import TF_CALLS, Config, class_name, layer_name


def saved_layers(model: keras.Model, config: Config) -> Iterator[tuple[keras.layers.Layer, Config]]:
    """The layers of a model but for its inputs, each with its own configuration."""
    inner = config["config"]
    saved = inner["layers"] if isinstance(inner, dict) else inner
    kept = [one for one in saved if class_name(one) not in ("InputLayer", *TF_CALLS)]
    if isinstance(model, keras.Sequential):
        yield from zip(model.layers, kept, strict=True)
        return
    for one in kept:
        yield model.get_layer(layer_name(one["name"])), one
