"""The graph that Keras keeps of a Functional or Sequential model, and the graph of a custom layer's `call`."""

from __future__ import annotations

import contextlib
import functools
import inspect
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
from keras.src.backend import set_keras_mask  # Keras has no public name for it, nor for the next two
from keras.src.models.functional import Functional

from export.deferring import backends_are_operations, constants_defer_to_symbols
from export.errors import Unsupported, reason_of
from export.random_numbers import random_numbers_of, recorded_by
from export.recorded import Recorded
from export.symbolic_calls import inlined_calls
from export.trace import portable_branches, symbolic_sizes

# Called for each call of a layer or operation: (operation, args, kwargs, symbolic outputs) -> values of the outputs.
Evaluate = Callable[[Any, Any, Any, list[Any]], list[Any]]


def functional(model: keras.Model) -> Any | None:
    """The Functional model behind a Functional or Sequential model; None if Keras keeps no graph of it."""
    if isinstance(model, keras.Sequential):
        model = getattr(model, "_functional", None)  # None until the model is built
    return model if hasattr(model, "_nodes_by_depth") else None


def has_graph(model: keras.Model) -> bool:
    """Whether Keras keeps a graph of the model, and the model computes what the graph says."""
    own = keras.Sequential.call if isinstance(model, keras.Sequential) else Functional.call
    return functional(model) is not None and type(model).call is own


def graph_of(model: keras.Model) -> Any:
    """The Functional model behind a Functional or Sequential model.

    Raises:
        Unsupported: Keras keeps no graph of the model: it has not been built, or is a subclass with its own `call`.
    """
    graph = functional(model)
    if graph is None and isinstance(model, keras.Sequential):
        raise Unsupported(f"model {model.name!r} has not been built; give it an Input or call it once")
    if graph is None:
        kind = type(model).__name__
        raise Unsupported(
            f"model of class {kind} is neither Functional nor Sequential, so Keras keeps no graph of it"
        )
    return graph


def nodes(graph: Any) -> Iterator[Any]:
    """The nodes of a Functional model, the calls of its layers and operations, in topological order."""
    if isinstance(graph, Recorded):
        yield from graph.nodes
        return
    for depth in sorted(graph._nodes_by_depth, reverse=True):
        for node in graph._nodes_by_depth[depth]:
            if not node.is_input:
                yield node


def interpret(graph: Any, inputs: Sequence[Any], evaluate: Evaluate) -> list[Any]:
    """Run a Functional model node by node, on values of any kind.

    Args:
        graph: a Functional model, or what was recorded.
        inputs: a value for each of its inputs, in Keras' order.
        evaluate: `evaluate(operation, args, kwargs, symbolic)` returns the outputs of one call. `args` and `kwargs`
            are the arguments of the call with values in the place of tensors; `symbolic` are its outputs as Keras
            has them.

    Returns:
        A value for each output of the model, in Keras' order. Values between are dropped after their last use.
    """
    symbolic = keras.tree.flatten(graph.inputs)
    values = {id(tensor): value for tensor, value in zip(symbolic, inputs, strict=True)}

    def fill(x: Any) -> Any:
        return values[id(x)] if isinstance(x, keras.KerasTensor) else x

    uses = Counter(id(tensor) for node in nodes(graph) for tensor in node.input_tensors)
    uses.update(id(tensor) for tensor in keras.tree.flatten(graph.outputs))
    for node in nodes(graph):
        args, kwargs = keras.tree.map_structure(fill, (node.arguments.args, node.arguments.kwargs))
        outputs = evaluate(node.operation, args, kwargs, node.outputs)
        values.update((id(tensor), value) for tensor, value in zip(node.outputs, outputs, strict=True))
        for tensor in node.input_tensors:
            uses[id(tensor)] -= 1
            if uses[id(tensor)] == 0:
                del values[id(tensor)]
    return [values[id(tensor)] for tensor in keras.tree.flatten(graph.outputs)]


def inputs_and_masks(
    args: Any, kwargs: Mapping[str, Any], is_tensor: Callable[[Any], bool]
) -> tuple[list[Any], list[Any]]:
    """The tensors that a call of a model receives, and the mask that it receives for each; None where it has none."""
    mask = kwargs.get("mask")
    inputs = {name: x for name, x in kwargs.items() if name != "mask"}
    tensors = [x for x in keras.tree.flatten((args, inputs)) if is_tensor(x)]
    return tensors, [None] * len(tensors) if mask is None else keras.tree.flatten(mask)


def masked_inputs(args: Any, kwargs: Mapping[str, Any]) -> list[Any]:
    """The tensors that a call of a model receives, with their masks attached as `keras.Model.__call__` does."""
    tensors, masks = inputs_and_masks(args, kwargs, keras.ops.is_tensor)
    for tensor, mask in zip(tensors, masks, strict=True):
        if mask is not None:
            set_keras_mask(tensor, mask)
    return tensors


def layer_outputs(model: keras.Model, inputs: Sequence[Any]) -> list[tuple[str, Any]]:
    """What Keras computes after every call of a layer: name and value, in topological order.

    A layer of a nested model is named 'MODEL/LAYER', and precedes the model itself.
    """
    record: list[tuple[str, Any]] = []
    _record_outputs(graph_of(model), inputs, "", record)
    return record


def _record_outputs(
    graph: Any, inputs: Sequence[Any], scope: str, record: list[tuple[str, Any]]
) -> list[Any]:
    def evaluate(layer: Any, args: Any, kwargs: Any, symbolic: list[Any]) -> list[Any]:
        name = f"{scope}/{layer.name}" if scope else layer.name
        if isinstance(layer, keras.Model) and has_graph(layer):
            tensors = masked_inputs(args, kwargs)
            outputs = _record_outputs(graph_of(layer), tensors, name, record)
        else:
            outputs = keras.tree.flatten(layer(*args, **kwargs))
        record.extend((name, output) for output in outputs)
        return outputs

    return interpret(graph, inputs, evaluate)


@contextlib.contextmanager
def traced_call(layer: keras.layers.Layer, args: Any, kwargs: Mapping[str, Any]) -> Iterator[Any]:
    """Trace what a layer's `call` computes in inference.

    `call` runs on symbolic tensors, on which layers and the operations of `keras.ops` record themselves. When the
    context ends, the inner layers forget that they were called.

    Args:
        layer: the layer.
        args: the positional arguments of the call, with a `KerasTensor` for each tensor.
        kwargs: the keyword arguments, likewise.

    Yields:
        A function of the `KerasTensor`s in `args` and `kwargs`, in the order of `keras.tree.flatten`.

    Raises:
        Unsupported: `call` computes something without `keras.ops`, or needs the size of a dynamic dimension.
    """
    symbols = [x for x in keras.tree.flatten((args, kwargs)) if isinstance(x, keras.KerasTensor)]
    with traced(in_inference(layer), args, kwargs) as outputs:
        yield Recorded.between(symbols, outputs)


def in_inference(layer: keras.layers.Layer) -> Callable[..., Any]:
    """A layer's `call`, with `training=False` if it has that argument."""
    call = layer.call
    if "training" in inspect.signature(call).parameters:
        call = functools.partial(call, training=False)
    return call


@contextlib.contextmanager
def traced(function: Callable[..., Any], args: Any, kwargs: Mapping[str, Any]) -> Iterator[Any]:
    """Run a function on symbolic tensors, on which layers and the operations of `keras.ops` record themselves.

    When the context ends, the layers forget that they were called.

    Args:
        function: the function.
        args: its positional arguments, with a `KerasTensor` for each tensor.
        kwargs: its keyword arguments, likewise.

    Yields:
        What the function returns: a structure of `KerasTensor`s.

    Raises:
        Unsupported: the function computes something without `keras.ops`, or needs the size of a dynamic dimension.
    """
    outputs = trace(function, args, kwargs)
    try:
        yield outputs
    finally:
        for node in _nodes_before(outputs):
            with contextlib.suppress(ValueError):
                node.operation._inbound_nodes.remove(node)


def trace(function: Callable[..., Any], args: Any, kwargs: Mapping[str, Any]) -> Any:
    """Run a function on symbolic tensors; see `traced`. The layers remember that they were called.

    Raises:
        Unsupported: the function computes something without `keras.ops`.
    """
    symbols = (x for x in keras.tree.flatten((args, kwargs)) if isinstance(x, keras.KerasTensor))
    random_numbers = random_numbers_of(recorded_by(next(symbols, None)))
    with contextlib.ExitStack() as stack:
        for context in (
            constants_defer_to_symbols(),
            backends_are_operations(),
            symbolic_sizes(),
            random_numbers,
        ):
            stack.enter_context(context)
        stack.enter_context(inlined_calls(in_inference))
        try:
            return function(*args, **kwargs)
        except Unsupported:  # of a function that a lowering composes
            raise
        except Exception as error:  # a custom layer raises anything
            try:
                with portable_branches():
                    return function(*args, **kwargs)
            except Exception:
                raise _untraceable(error) from error


def _untraceable(error: Exception) -> Unsupported:
    """The reason, and where it is in the code of a package or of the user."""
    lines = [
        f" ({Path(frame.filename).name}, line {frame.lineno})"
        for frame in traceback.extract_tb(error.__traceback__)
        if not _is_of_library(Path(frame.filename))
    ]
    where = lines[-1] if lines else ""
    return Unsupported(f"its call can't be traced into keras.ops: {reason_of(error)}{where}")


def _is_of_library(path: Path) -> bool:
    """Whether code belongs to Keras, what it is built on, or this package."""
    return path.is_relative_to(Path(__file__).parent) or bool(
        {"keras", "tensorflow", "optree"} & set(path.parts)
    )


def _nodes_before(outputs: Any) -> list[Any]:
    """The nodes that a structure of symbolic tensors, and their masks, depend on."""
    found: dict[int, Any] = {}
    waiting = keras.tree.flatten(outputs)
    while waiting:
        tensor = waiting.pop()
        if not isinstance(tensor, keras.KerasTensor):
            continue
        operation, index, _ = tensor._keras_history
        node = operation._inbound_nodes[index]
        if id(node) not in found and not node.is_input:
            found[id(node)] = node
            waiting += [*node.input_tensors, getattr(tensor, "_keras_mask", None)]
    return list(found.values())
