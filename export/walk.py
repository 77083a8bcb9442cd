"""Walk a Keras model's own graph and lower it, layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras

from export.command import UserError
from export.graph import Builder, Tensor, Unsupported
from export.lowerings import find_lowering

# Called after each layer with its name and outputs.
Observer = Callable[[str, list[Tensor]], None]


def functional(model: Any) -> Any:
    """The Functional model behind a Functional or Sequential one.

    Raises:
        Unsupported: the model is a subclass with a `call` of its own, whose graph Keras doesn't keep.
    """
    if isinstance(model, keras.Sequential):
        if not model.built:
            raise Unsupported(f"model {model.name!r} has not been built; give it an Input or call it once")
        model = getattr(model, "_functional", None)
    if not hasattr(model, "_nodes_by_depth"):
        kind = type(model).__name__
        raise Unsupported(
            f"model of class {kind} is neither Functional nor Sequential: Keras keeps no graph of it"
        )
    return model


def lower_model(
    g: Builder, model: Any, inputs: list[Tensor], observer: Observer | None = None
) -> list[Tensor]:
    """Lower a Functional or Sequential model; nested models, shared layers and several outputs included.

    Args:
        g: where the nodes go.
        model: the model.
        inputs: a Tensor for each of the model's inputs, in Keras' order.
        observer: called after each layer.

    Returns:
        A Tensor for each of the model's outputs, in Keras' order.

    Raises:
        Unsupported: a layer has no lowering, or is used in a way that has none; the message names it.
        UserError: a layer is called with training=True.
    """
    model = functional(model)
    tensors: dict[int, Tensor] = {}
    for symbolic, tensor in zip(keras.tree.flatten(model.inputs), inputs, strict=True):
        tensors[id(symbolic)] = tensor
    for node in _nodes(model):
        layer = node.operation
        fill = lambda x: tensors[id(x)] if isinstance(x, keras.KerasTensor) else x  # noqa: E731
        args, kwargs = keras.tree.map_structure(fill, (node.arguments.args, node.arguments.kwargs))
        outer = g.scope
        g.scope = f"{outer}/{layer.name}" if outer else layer.name
        try:
            outputs = _lower(g, layer, args, dict(kwargs), [tuple(x.shape) for x in node.outputs], observer)
        except Unsupported as error:
            if getattr(error, "named", False):
                raise
            named = Unsupported(f"layer {g.scope!r} ({type(layer).__name__}): {error}")
            named.named = True  # type: ignore[attr-defined]
            raise named from error
        if observer is not None:
            observer(g.scope, outputs)
        g.scope = outer
        for symbolic, tensor in zip(node.outputs, outputs, strict=True):
            tensors[id(symbolic)] = tensor
    return [tensors[id(symbolic)] for symbolic in keras.tree.flatten(model.outputs)]


def _nodes(model: Any) -> Iterator[Any]:
    """The calls of the model's layers, each after those that it depends on."""
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            if not node.is_input:
                yield node


def _lower(
    g: Builder,
    layer: Any,
    args: Any,
    kwargs: dict[str, Any],
    shapes: list[Any],
    observer: Observer | None,
) -> list[Tensor]:
    if kwargs.pop("training", None):
        # No other route could do better: what training does at random can't be proven to be the same.
        raise UserError(
            f"layer {g.scope!r} ({type(layer).__name__}): called with training=True inside the model; an exported "
            "model is for inference: build the model without it"
        )
    kwargs = {name: value for name, value in kwargs.items() if value is not None}
    if isinstance(layer, keras.Model):
        return lower_model(g, layer, keras.tree.flatten((args, kwargs)), observer)
    lowering, any_layout = find_lowering(layer)
    if not any_layout:
        as_keras = lambda x: g.keras_layout(x) if isinstance(x, Tensor) else x  # noqa: E731
        args, kwargs = keras.tree.map_structure(as_keras, (args, kwargs))
    g.output_shapes = shapes
    outputs = lowering(g, layer, *args, **kwargs)
    outputs = keras.tree.flatten(outputs)
    for output, shape in zip(outputs, shapes, strict=True):
        if not isinstance(output, Tensor) or len(output.shape) != len(shape):
            raise Unsupported(f"its lowering gave {output!r} where Keras has shape {shape}")
    return outputs


def layer_outputs(model: Any, inputs: list[Any], scope: str = "") -> list[tuple[str, Any]]:
    """What Keras computes after every layer: (name, value), in the order and with the names of the lowering."""
    return _evaluate(functional(model), inputs, scope)[0]


def _evaluate(model: Any, inputs: list[Any], scope: str) -> tuple[list[tuple[str, Any]], list[Any]]:
    values = {id(symbolic): value for symbolic, value in zip(model.inputs, inputs, strict=True)}
    record: list[tuple[str, Any]] = []
    for node in _nodes(model):
        layer = node.operation
        name = f"{scope}/{layer.name}" if scope else layer.name
        fill = lambda x: values[id(x)] if isinstance(x, keras.KerasTensor) else x  # noqa: E731
        args, kwargs = keras.tree.map_structure(fill, (node.arguments.args, node.arguments.kwargs))
        if isinstance(layer, keras.Model):
            flat = [value for value in keras.tree.flatten((args, kwargs)) if keras.ops.is_tensor(value)]
            inner, outputs = _evaluate(functional(layer), flat, name)
            record.extend(inner)
        else:
            outputs = keras.tree.flatten(layer(*args, **kwargs))
        record.extend((name, output) for output in outputs)
        values.update((id(symbolic), value) for symbolic, value in zip(node.outputs, outputs, strict=True))
    return record, [values[id(symbolic)] for symbolic in keras.tree.flatten(model.outputs)]
