"""Lower a Keras model: follow the graph that Keras keeps of it, and lower it call by call."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from export.builder import Builder, Shape, Tensor, is_float, onnx_dtype, record_shape
from export.errors import KerasnormError, Unsupported, UserError
from export.keras_graph import (
    graph_of,
    has_graph,
    in_inference,
    inputs_and_masks,
    interpret,
    traced,
)
from export.keras_values import as_numpy, is_tensor
from export.lowerings.operands import cast
from export.lowerings.registry import QUANTIZED, LoweringFunction, Registry
from export.masks import output_masks, takes_masks, with_mask, with_masks
from export.precision import NotExact, in_precision, other_policies
from export.recorded import Recorded
from export.single_layer import SingleLayers

# Called after each call of a layer with the layer's name and outputs.
Observer = Callable[[str, list[Tensor]], None]


def lower_model(
    g: Builder,
    model: keras.Model,
    inputs: Sequence[Tensor],
    registries: Sequence[Registry],
    observer: Observer | None = None,
    single_layers: SingleLayers | None = None,
) -> list[Tensor]:
    """Lower a Functional or Sequential model. It may hold nested models and shared layers.

    Args:
        g: a builder of the graph.
        model: the model.
        inputs: a Tensor for each input of the model, in Keras' order.
        registries: where to look for the lowering of a layer, in this order.
        observer: called after each call of a layer.
        single_layers: converts the calls that have no lowering; None: there must be none.

    Returns:
        A Tensor for each output of the model, in Keras' order.

    Raises:
        Unsupported: a layer has no lowering, or is used in a way that has none. The message names it.
        UserError: a layer is called with training=True.
    """
    return _ModelLowering(registries, observer, single_layers).graph(g, graph_of(model), inputs)


@dataclass(frozen=True)
class _ModelLowering:
    registries: Sequence[Registry]
    observer: Observer | None
    single_layers: SingleLayers | None

    def graph(self, g: Builder, graph: Any, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Lower a Functional model or what was recorded, whose layers are named within `g.name`."""

        has_other_types = False

        def lower(layer: Any, args: Any, kwargs: Any, symbolic: list[Any]) -> list[Tensor]:
            nonlocal has_other_types
            if has_other_types:
                symbolic = _symbolic_outputs(layer, args, kwargs)
            call = g.for_call(
                f"{g.name}/{layer.name}" if g.name else layer.name,
                [tuple(x.shape) for x in symbolic],
                [str(x.dtype) for x in symbolic],
                self.function,
            )
            outputs = self.call(call, layer, args, kwargs, symbolic)
            has_other_types |= any(map(_differs, outputs, symbolic))
            if self.observer is not None:
                self.observer(call.name, outputs)
            return outputs

        return interpret(graph, inputs, lower)

    def call(self, g: Builder, layer: Any, args: Any, kwargs: Any, symbolic: list[Any]) -> list[Tensor]:
        """Lower one call of a layer, an operation or a nested model."""
        args, kwargs = keras.tree.map_structure(lambda x: as_numpy(x) if is_tensor(x) else x, (args, kwargs))
        if kwargs.get("training") and not _trains_by_default(layer):
            # Another route doesn't help: the parity check can't compare what is random.
            raise UserError(
                f"layer {g.name!r} ({type(layer).__name__}): expected a model for inference, got a layer that is "
                "called with training=True; build the model without it"
            )
        kwargs = {name: x for name, x in kwargs.items() if x is not None and name != "training"}
        if isinstance(layer, keras.Layer):
            kwargs = with_masks(layer, args, kwargs)
        if isinstance(layer, keras.Model) and has_graph(layer):
            return self.nested_model(g, layer, args, kwargs)
        is_quantized = getattr(layer, "quantization_mode", None) is not None
        try:
            outputs = (self.quantized if is_quantized else self.layer)(g, layer, args, kwargs)
        except Unsupported as error:
            named = Unsupported(f"layer {g.name!r} ({type(layer).__name__}): {error}")
            if self.single_layers is None or is_quantized:
                raise named from error
            outputs = self.single_layers.convert(g, layer, args, kwargs, named)
        masks = [x.mask for x in outputs]
        if not isinstance(layer, keras.Layer):
            masks = [None] * len(outputs)
        elif not all(masks):
            of_layer = output_masks(g, layer, args, kwargs, symbolic)
            masks = [one or other for one, other in zip(masks, of_layer, strict=True)]
        return [record_shape(replace(output, mask=mask)) for output, mask in zip(outputs, masks, strict=True)]

    def nested_model(self, g: Builder, model: keras.Model, args: Any, kwargs: Any) -> list[Tensor]:
        """Lower a model within the model. Masks that are arguments are attached to its inputs."""
        tensors, masks = inputs_and_masks(args, kwargs, lambda x: isinstance(x, Tensor))
        inputs = [with_mask(x, mask or x.mask) for x, mask in zip(tensors, masks, strict=True)]
        return self.graph(g, graph_of(model), inputs)

    def layer(self, g: Builder, layer: Any, args: Any, kwargs: Any) -> list[Tensor]:
        """Lower one call of a layer or an operation, by its lowering or by tracing its `call`."""
        found = (registry.find(layer) for registry in self.registries)
        lowering = next((one for one in found if one is not None), None)
        if lowering is None or (
            isinstance(layer, keras.Layer) and not takes_masks(lowering.function, kwargs)
        ):
            outputs = self.traced(g, layer, args, kwargs)
            # Some layers of Keras declare another dtype than what their call computes, or the batch of one input
            # where another one's is broadcast.
            return [
                replace(x, value=cast(g, x, dtype), shape=(*own.shape[:1], *x.shape[1:]), dtype=dtype)
                for own, x, dtype in zip(
                    outputs, _checked(g, outputs, of_any_rank=True), g.output_dtypes, strict=True
                )
            ]
        if not lowering.any_layout:
            args, kwargs = keras.tree.map_structure(
                lambda x: g.keras_layout(x) if isinstance(x, Tensor) else x, (args, kwargs)
            )
        args, kwargs = _by_position(lowering.function, layer, args, kwargs)
        outputs = keras.tree.flatten(_run(lowering.function, g, layer, args, kwargs))
        if not lowering.own_outputs:
            outputs = _as_declared(g, outputs)
        return [with_mask(x, None) for x in outputs]

    def quantized(self, g: Builder, layer: Any, args: Any, kwargs: Any) -> list[Tensor]:
        """Lower a call of a quantized layer, by its own lowering alone: its `call` is not what it computes."""
        if QUANTIZED.find(layer) is None:
            raise Unsupported(
                f"it is quantized to {layer.quantization_mode}; export the model before it is quantized"
            )
        return replace(self, registries=[QUANTIZED]).layer(g, layer, args, kwargs)

    def traced(self, g: Builder, layer: Any, args: Any, kwargs: Any) -> list[Tensor]:
        """Lower a layer without a lowering by the operations that its `call` consists of."""
        if not isinstance(layer, keras.Layer):
            raise Unsupported(
                "unsupported operation; add a lowering with export.lowerings.register_operation"
            )
        try:
            # As the graph does; in float16, it would round what it computes of weights alone.
            with in_precision(layer, "float32") if other_policies(layer) else contextlib.nullcontext():
                outputs = keras.tree.flatten(self.function(g, in_inference(layer), args, kwargs))
            return [_constant(g, x) for x in outputs]
        except (Unsupported, NotExact) as error:
            hint = f"add a lowering with export.lowerings.register_lowering({type(layer).__name__})"
            raise Unsupported(f"{error}; {hint}") from error

    def function(self, g: Builder, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Lower what a function computes by the layers and operations that it calls; see `Builder.lower`."""
        tensors: list[Tensor] = []
        symbols: list[keras.KerasTensor] = []

        def symbol_of(x: Any) -> Any:
            if not isinstance(x, Tensor):
                return x
            symbol = keras.Input(batch_shape=x.shape, dtype="float32" if is_float(x.dtype) else x.dtype)
            tensors.append(x)
            symbols.append(symbol)
            if x.mask is not None:
                symbol._keras_mask = symbol_of(x.mask)
            return symbol

        symbolic_args, symbolic_kwargs = keras.tree.map_structure(symbol_of, (args, kwargs))
        with traced(function, symbolic_args, symbolic_kwargs) as outputs:
            flat = [x for x in keras.tree.flatten(outputs) if isinstance(x, keras.KerasTensor)]
            masks = [getattr(x, "_keras_mask", None) for x in flat]
            wanted = [*flat, *(mask for mask in masks if mask is not None)]
            lowered: list[Tensor] = []
            if wanted:
                lowered = replace(self, observer=None).graph(g, Recorded.between(symbols, wanted), tensors)
            values = dict(zip(map(id, wanted), lowered, strict=True))

        def value_of(x: Any) -> Any:
            if not isinstance(x, keras.KerasTensor):
                return x
            mask = values.get(id(getattr(x, "_keras_mask", None)))
            return with_mask(values[id(x)], mask) if mask is not None else values[id(x)]

        return keras.tree.map_structure(value_of, outputs)


def _by_position(
    function: LoweringFunction, layer: Any, args: Any, kwargs: Any
) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of a call, those by position for which the lowering has another name than the layer's `call`."""
    args, kwargs, known = list(args), dict(kwargs), inspect.signature(function).parameters
    for name in list(inspect.signature(layer.call).parameters)[len(args) :]:
        if name in known or name not in kwargs:
            break
        args.append(kwargs.pop(name))
    return args, kwargs


def _run(function: LoweringFunction, g: Builder, layer: Any, args: Any, kwargs: Any) -> Any:
    """Run a lowering. Those of users may fail anyhow."""
    try:
        return function(g, layer, *args, **kwargs)
    except KerasnormError:
        raise
    except Exception as error:
        name = f"{function.__module__}.{function.__qualname__}"
        raise Unsupported(f"its lowering {name} fails: {type(error).__name__}: {error}") from error


def _as_declared(g: Builder, outputs: list[Any]) -> list[Tensor]:
    """The outputs of a lowering with the dtypes that Keras has."""
    return [
        replace(output, dtype=dtype)
        for output, dtype in zip(_checked(g, outputs), g.output_dtypes, strict=True)
    ]


def _constant(g: Builder, x: Any) -> Any:
    """An output that depends on no input, such as a table of positions, as a Tensor."""
    if not (keras.ops.is_tensor(x) or isinstance(x, (keras.Variable, np.ndarray))):
        return x
    array, dtype = keras.ops.convert_to_numpy(x), keras.backend.standardize_dtype(x.dtype)
    return g.tensor(g.constant(array.astype(onnx_dtype(dtype).numpy())), array.shape, dtype=dtype)


def _checked(g: Builder, outputs: list[Any], *, of_any_rank: bool = False) -> list[Tensor]:
    """The outputs of a call, if they are Tensors in the number and of the ranks that Keras has.

    Custom layers sometimes declare another rank than what their call computes.
    """
    if len(outputs) != len(g.output_shapes):
        raise Unsupported(f"its lowering returned {len(outputs)} outputs, expected {len(g.output_shapes)}")
    for output, shape in zip(outputs, g.output_shapes, strict=True):
        if not isinstance(output, Tensor) or not (of_any_rank or len(output.shape) == len(shape)):
            raise Unsupported(f"its lowering returned {output!r}, expected a Tensor of shape {shape}")
    return [
        replace(output, shape=_merged(output.shape, shape)) if len(output.shape) == len(shape) else output
        for output, shape in zip(outputs, g.output_shapes, strict=True)
    ]


def _differs(x: Tensor, declared: keras.KerasTensor) -> bool:
    """Whether a tensor has another rank or dtype than Keras declares, or a dynamic batch where Keras has one row."""
    has_more_rows = x.shape[:1] == (None,) and declared.shape[:1] != (None,)
    return x.rank != len(declared.shape) or has_more_rows or x.dtype != declared.dtype


def _symbolic_outputs(layer: Any, args: Any, kwargs: Any) -> list[keras.KerasTensor]:
    """What Keras declares for a call on tensors of other shapes than when the model was built."""
    args, kwargs = keras.tree.map_structure(
        lambda x: keras.KerasTensor(x.shape, x.dtype) if isinstance(x, Tensor) else x, (args, kwargs)
    )
    return keras.tree.flatten(layer.compute_output_spec(*args, **kwargs))


def _merged(shape: Shape, of_keras: Shape) -> Shape:
    """A lowering's shape, with the sizes that only Keras knows."""
    return tuple(theirs if size is None else size for size, theirs in zip(shape, of_keras, strict=True))


def _trains_by_default(layer: Any) -> bool:
    """Whether `training` is True unless the caller says otherwise, as for Keras' augmentation layers."""
    parameter = inspect.signature(layer.call).parameters.get("training")
    return parameter is not None and parameter.default is True
