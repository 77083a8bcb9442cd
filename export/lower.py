"""Walk a Keras model's own graph and lower it, layer by layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras

from export.builder import Builder, Tensor
from export.errors import Unsupported, UserError
from export.keras_graph import functional, interpret, traced_call
from export.lowerings import find_lowering

# Called after each layer with its name and outputs.
Observer = Callable[[str, list[Tensor]], None]


def _functional(model: Any) -> Any:
    """The Functional model behind a Functional or Sequential one.

    Raises:
        Unsupported: the model is a subclass with a `call` of its own, whose graph Keras doesn't keep.
    """
    graph = functional(model)
    if graph is None and isinstance(model, keras.Sequential):
        raise Unsupported(f"model {model.name!r} has not been built; give it an Input or call it once")
    if graph is None:
        kind = type(model).__name__
        raise Unsupported(
            f"model of class {kind} is neither Functional nor Sequential: Keras keeps no graph of it"
        )
    return graph


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

    return _lower_graph(g, _functional(model), inputs, observer)


def _lower_graph(g: Builder, graph: Any, inputs: list[Tensor], observer: Observer | None) -> list[Tensor]:
    def lower(layer: Any, args: Any, kwargs: Any, symbolic: list[Any]) -> list[Tensor]:
        outer = g.scope
        g.scope = f"{outer}/{layer.name}" if outer else layer.name
        try:
            outputs = _lower(g, layer, args, dict(kwargs), symbolic, observer)
            if observer is not None:
                observer(g.scope, outputs)
        finally:
            g.scope = outer
        return outputs

    return interpret(graph, inputs, lower)


def _lower(
    g: Builder,
    layer: Any,
    args: Any,
    kwargs: dict[str, Any],
    symbolic: list[Any],
    observer: Observer | None,
) -> list[Tensor]:
    if kwargs.pop("training", None):
        # No other route could do better: what training does at random can't be proven to be the same.
        raise UserError(
            f"layer {g.scope!r} ({type(layer).__name__}): called with training=True inside the model; an exported "
            "model is for inference: build the model without it"
        )
    kwargs = {name: value for name, value in kwargs.items() if value is not None}
    if _is_graph(layer):
        return lower_model(g, layer, keras.tree.flatten((args, kwargs)), observer)
    try:
        return _lower_layer(g, layer, args, kwargs, symbolic)
    except Unsupported as error:
        raise Unsupported(f"layer {g.scope!r} ({type(layer).__name__}): {error}") from error


def _is_graph(layer: Any) -> bool:
    """Whether it is a model whose graph Keras keeps; one with a `call` of its own is like any layer."""
    return isinstance(layer, keras.Model) and functional(layer) is not None


def _lower_layer(
    g: Builder, layer: Any, args: Any, kwargs: dict[str, Any], symbolic: list[Any]
) -> list[Tensor]:
    if any(getattr(x, "_keras_mask", None) is not None for x in symbolic):
        raise Unsupported("it gives a mask to the layers after it")
    lowering, any_layout = find_lowering(layer) or (_lower_traced, True)
    if not any_layout:
        as_keras = lambda x: g.keras_layout(x) if isinstance(x, Tensor) else x  # noqa: E731
        args, kwargs = keras.tree.map_structure(as_keras, (args, kwargs))
    g.output_shapes = [tuple(x.shape) for x in symbolic]
    g.output_dtypes = [str(x.dtype) for x in symbolic]
    outputs = keras.tree.flatten(lowering(g, layer, *args, **kwargs))
    for output, x in zip(outputs, symbolic, strict=True):
        if not isinstance(output, Tensor) or len(output.shape) != len(x.shape):
            raise Unsupported(f"its lowering gave {output!r} where Keras has shape {tuple(x.shape)}")
    return [replace(output, dtype=str(x.dtype)) for output, x in zip(outputs, symbolic, strict=True)]


def _lower_traced(g: Builder, layer: Any, *args: Any, **kwargs: Any) -> list[Tensor]:
    """Lower a layer that has no lowering by the operations within."""
    kind = type(layer).__name__
    hint = f"add one with export.lowerings.register_lowering({kind})"
    if not isinstance(layer, keras.Layer):
        raise Unsupported(f"{kind} of keras.ops has no lowering")
    try:
        tensors = [x for x in keras.tree.flatten((args, kwargs)) if isinstance(x, Tensor)]
        symbolic_args, symbolic_kwargs = keras.tree.map_structure(_symbol, (args, kwargs))
        with traced_call(layer, symbolic_args, symbolic_kwargs) as function:
            return _lower_graph(g, function, tensors, None)
    except Unsupported as error:
        raise Unsupported(f"{kind} has no lowering, and {error}; {hint}") from error


def _symbol(value: Any) -> Any:
    return keras.Input(batch_shape=value.shape, dtype=value.dtype) if isinstance(value, Tensor) else value


def layer_outputs(model: Any, inputs: list[Any]) -> list[tuple[str, Any]]:
    """What Keras computes after every layer: (name, value), in the order and with the names of the lowering."""
    record: list[tuple[str, Any]] = []
    _evaluate(model, inputs, "", record)
    return record


def _evaluate(model: Any, inputs: list[Any], scope: str, record: list[tuple[str, Any]]) -> list[Any]:
    def evaluate(layer: Any, args: Any, kwargs: Any, symbolic: list[Any]) -> list[Any]:
        name = f"{scope}/{layer.name}" if scope else layer.name
        if _is_graph(layer):
            flat = [value for value in keras.tree.flatten((args, kwargs)) if keras.ops.is_tensor(value)]
            outputs = _evaluate(layer, flat, name, record)
        else:
            outputs = keras.tree.flatten(layer(*args, **kwargs))
        record.extend((name, output) for output in outputs)
        return outputs

    return interpret(_functional(model), inputs, evaluate)
