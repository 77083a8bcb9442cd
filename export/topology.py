"""The graph that a Functional or Sequential Keras model keeps of itself, and a walk through it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras


def functional(model: Any) -> Any | None:
    """The Functional model behind a Functional or Sequential one; None where Keras keeps no graph."""
    if isinstance(model, keras.Sequential):
        model = getattr(model, "_functional", None)  # None until the model is built
    return model if hasattr(model, "_nodes_by_depth") else None


def walk(model: Any, inputs: list[Any], call: Callable[[Any, Any, Any, list[Any]], list[Any]]) -> list[Any]:
    """Give each symbolic tensor of a Functional model a value; the values of its outputs.

    `call(layer, args, kwargs, symbolic)` gives the values of one call of a layer: args and kwargs are those of the
    call with values for tensors, symbolic are its outputs as Keras has them.
    """
    symbolic = keras.tree.flatten(model.inputs)
    values = {id(tensor): value for tensor, value in zip(symbolic, inputs, strict=True)}
    for node in nodes(model):
        fill = lambda x: values[id(x)] if isinstance(x, keras.KerasTensor) else x  # noqa: E731
        args, kwargs = keras.tree.map_structure(fill, (node.arguments.args, node.arguments.kwargs))
        outputs = call(node.operation, args, kwargs, node.outputs)
        values.update((id(tensor), value) for tensor, value in zip(node.outputs, outputs, strict=True))
    return [values[id(tensor)] for tensor in keras.tree.flatten(model.outputs)]


def nodes(model: Any) -> Iterator[Any]:
    """The calls of the model's layers, each after those that it depends on."""
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            if not node.is_input:
                yield node
