"""Lower a Keras model: follow the graph that Keras keeps of it, and lower it call by call."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras

from export.builder import Builder, Tensor, record_shape
from export.errors import Unsupported, UserError
from export.keras_graph import functional, graph_of, interpret, traced_call
from export.lowerings.registry import Registry

# Called after each call of a layer with the layer's name and outputs.
Observer = Callable[[str, list[Tensor]], None]


def lower_model(
    g: Builder,
    model: keras.Model,
    inputs: Sequence[Tensor],
    registries: Sequence[Registry],
    observer: Observer | None = None,
) -> list[Tensor]:
    """Lower a Functional or Sequential model. It may hold nested models and shared layers.

    Args:
        g: a builder of the graph.
        model: the model.
        inputs: a Tensor for each input of the model, in Keras' order.
        registries: where to look for the lowering of a layer, in this order.
        observer: called after each call of a layer.

    Returns:
        A Tensor for each output of the model, in Keras' order.

    Raises:
        Unsupported: a layer has no lowering, or is used in a way that has none. The message names it.
        UserError: a layer is called with training=True.
    """
    return _ModelLowering(registries, observer).graph(g, graph_of(model), inputs)


@dataclass(frozen=True)
class _ModelLowering:
    registries: Sequence[Registry]
    observer: Observer | None

    def graph(self, g: Builder, graph: Any, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Lower a Functional model or a `keras.Function`, whose layers are named within `g.name`."""

        def lower(layer: Any, args: Any, kwargs: Any, symbolic: list[Any]) -> list[Tensor]:
            call = g.for_call(
                f"{g.name}/{layer.name}" if g.name else layer.name,
                [tuple(x.shape) for x in symbolic],
                [str(x.dtype) for x in symbolic],
            )
            outputs = self.call(call, layer, args, kwargs, symbolic)
            if self.observer is not None:
                self.observer(call.name, outputs)
            return outputs

        return interpret(graph, inputs, lower)

    def call(self, g: Builder, layer: Any, args: Any, kwargs: Any, symbolic: list[Any]) -> list[Tensor]:
        """Lower one call of a layer, an operation or a nested model."""
        if kwargs.get("training") and not _trains_by_default(layer):
            # Another route doesn't help: the parity check can't compare what is random.
            raise UserError(
                f"layer {g.name!r} ({type(layer).__name__}): expected a model for inference, got a layer that is "
                "called with training=True; build the model without it"
            )
        kwargs = {name: x for name, x in kwargs.items() if x is not None and name != "training"}
        if isinstance(layer, keras.Model) and functional(layer) is not None:
            tensors = [x for x in keras.tree.flatten((args, kwargs)) if isinstance(x, Tensor)]
            return self.graph(g, graph_of(layer), tensors)
        try:
            return self.layer(g, layer, args, kwargs, symbolic)
        except Unsupported as error:
            raise Unsupported(f"layer {g.name!r} ({type(layer).__name__}): {error}") from error

    def layer(self, g: Builder, layer: Any, args: Any, kwargs: Any, symbolic: list[Any]) -> list[Tensor]:
        """Lower one call of a layer or an operation, by its lowering or by tracing its `call`."""
        if any(getattr(x, "_keras_mask", None) is not None for x in symbolic):
            raise Unsupported("it passes a mask to the layers that follow")
        found = (registry.find(layer) for registry in self.registries)
        lowering = next((one for one in found if one is not None), None)
        if lowering is None:
            outputs = self.traced(g, layer, args, kwargs)
        else:
            if not lowering.any_layout:
                args, kwargs = keras.tree.map_structure(
                    lambda x: g.keras_layout(x) if isinstance(x, Tensor) else x, (args, kwargs)
                )
            outputs = keras.tree.flatten(lowering.function(g, layer, *args, **kwargs))
        if len(outputs) != len(symbolic):
            raise Unsupported(f"its lowering returned {len(outputs)} outputs, expected {len(symbolic)}")
        for output, shape in zip(outputs, g.output_shapes, strict=True):
            if not isinstance(output, Tensor) or len(output.shape) != len(shape):
                raise Unsupported(f"its lowering returned {output!r}, expected a Tensor of shape {shape}")
        return [
            record_shape(replace(output, dtype=dtype))
            for output, dtype in zip(outputs, g.output_dtypes, strict=True)
        ]

    def traced(self, g: Builder, layer: Any, args: Any, kwargs: Any) -> list[Tensor]:
        """Lower a layer without a lowering by the operations that its `call` consists of."""
        if not isinstance(layer, keras.Layer):
            raise Unsupported(
                "unsupported operation; add a lowering with export.lowerings.register_operation"
            )

        def symbol(x: Any) -> Any:
            return keras.Input(batch_shape=x.shape, dtype=x.dtype) if isinstance(x, Tensor) else x

        tensors = [x for x in keras.tree.flatten((args, kwargs)) if isinstance(x, Tensor)]
        symbolic_args, symbolic_kwargs = keras.tree.map_structure(symbol, (args, kwargs))
        try:
            with traced_call(layer, symbolic_args, symbolic_kwargs) as function:
                return replace(self, observer=None).graph(g, function, tensors)
        except Unsupported as error:
            hint = f"add a lowering with export.lowerings.register_lowering({type(layer).__name__})"
            raise Unsupported(f"{error}; {hint}") from error


def _trains_by_default(layer: Any) -> bool:
    """Whether `training` is True unless the caller says otherwise, as for Keras' augmentation layers."""
    parameter = inspect.signature(layer.call).parameters.get("training")
    return parameter is not None and parameter.default is True
