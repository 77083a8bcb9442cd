"""The layers of a model, and whose `call` each of them runs."""

from __future__ import annotations

from collections.abc import Iterator

import keras


def inner_layers(model: keras.Model) -> Iterator[tuple[str, keras.layers.Layer]]:
    """The names and layers of a model and of the models in it, each layer once.

    A layer of a nested model is named 'MODEL/LAYER'. Layers within a wrapper such as TimeDistributed or within a
    custom layer are not among them.
    """
    seen = set()

    def visit(model: keras.Model, scope: str) -> Iterator[tuple[str, keras.layers.Layer]]:
        for layer in model.layers:
            if id(layer) not in seen:
                seen.add(id(layer))
                yield scope + layer.name, layer
                if isinstance(layer, keras.Model):
                    yield from visit(layer, f"{scope}{layer.name}/")

    return visit(model, "")


def is_fast(layer: keras.layers.Layer) -> bool:
    """Whether the `call` of a layer or model is one of this package."""
    return str(getattr(vars(layer).get("call"), "__module__", "")).startswith(f"{__package__}.")


def is_replaced(layer: keras.layers.Layer) -> bool:
    """Whether someone else has replaced the `call` of a layer or model on the instance."""
    return "call" in vars(layer) and not is_fast(layer)
