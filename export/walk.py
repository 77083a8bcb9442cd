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

    def lower(layer: Any, args: Any, kwargs: Any, shapes: list[Any]) -> list[Tensor]:
        outer = g.scope
        g.scope = f"{outer}/{layer.name}" if outer else layer.name
        outputs = _lower(g, layer, args, dict(kwargs), shapes, observer)
        if observer is not None:
            observer(g.scope, outputs)
        g.scope = outer
        return outputs

    return _walk(functional(model), inputs, lower)


def _walk(model: Any, inputs: list[Any], call: Callable[[Any, Any, Any, list[Any]], list[Any]]) -> list[Any]:
    """Give each symbolic tensor of a Functional model a value; the values of its outputs.

    `call(layer, args, kwargs, shapes)` gives the values of one call of a layer: args and kwargs are those of the
    call with values for tensors, shapes are Keras' of the outputs.
    """
    symbolic = keras.tree.flatten(model.inputs)
    values = {id(tensor): value for tensor, value in zip(symbolic, inputs, strict=True)}
    for node in _nodes(model):
        fill = lambda x: values[id(x)] if isinstance(x, keras.KerasTensor) else x  # noqa: E731
        args, kwargs = keras.tree.map_structure(fill, (node.arguments.args, node.arguments.kwargs))
        outputs = call(node.operation, args, kwargs, [tuple(x.shape) for x in node.outputs])
        values.update((id(tensor), value) for tensor, value in zip(node.outputs, outputs, strict=True))
    return [values[id(tensor)] for tensor in keras.tree.flatten(model.outputs)]


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
    try:
        return _lower_layer(g, layer, args, kwargs, shapes)
    except Unsupported as error:
        raise Unsupported(f"layer {g.scope!r} ({type(layer).__name__}): {error}") from error


def _lower_layer(
    g: Builder, layer: Any, args: Any, kwargs: dict[str, Any], shapes: list[Any]
) -> list[Tensor]:
    lowering, any_layout = find_lowering(layer)
    if not any_layout:
        as_keras = lambda x: g.keras_layout(x) if isinstance(x, Tensor) else x  # noqa: E731
        args, kwargs = keras.tree.map_structure(as_keras, (args, kwargs))
    g.output_shapes = shapes
    outputs = keras.tree.flatten(lowering(g, layer, *args, **kwargs))
    for output, shape in zip(outputs, shapes, strict=True):
        if not isinstance(output, Tensor) or len(output.shape) != len(shape):
            raise Unsupported(f"its lowering gave {output!r} where Keras has shape {shape}")
    return list(outputs)


def layer_outputs(model: Any, inputs: list[Any]) -> list[tuple[str, Any]]:
    """What Keras computes after every layer: (name, value), in the order and with the names of the lowering."""
    record: list[tuple[str, Any]] = []
    _evaluate(model, inputs, "", record)
    return record


def _evaluate(model: Any, inputs: list[Any], scope: str, record: list[tuple[str, Any]]) -> list[Any]:
    def evaluate(layer: Any, args: Any, kwargs: Any, shapes: list[Any]) -> list[Any]:
        name = f"{scope}/{layer.name}" if scope else layer.name
        if isinstance(layer, keras.Model):
            flat = [value for value in keras.tree.flatten((args, kwargs)) if keras.ops.is_tensor(value)]
            outputs = _evaluate(layer, flat, name, record)
        else:
            outputs = keras.tree.flatten(layer(*args, **kwargs))
        record.extend((name, output) for output in outputs)
        return outputs

    return _walk(functional(model), inputs, evaluate)
