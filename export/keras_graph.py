"""The graph that Keras keeps of a Functional or Sequential model, and the graph of a custom layer's `call`."""

from __future__ import annotations

import contextlib
import functools
import inspect
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
from keras.src.backend import set_keras_mask  # Keras has no public name for it, nor for the next
from keras.src.utils.backend_utils import DynamicBackend

from export.errors import Unsupported
from export.trace import symbolic_sizes

# Called for each call of a layer or operation: (operation, args, kwargs, symbolic outputs) -> values of the outputs.
Evaluate = Callable[[Any, Any, Any, list[Any]], list[Any]]


def functional(model: keras.Model) -> Any | None:
    """The Functional model behind a Functional or Sequential model; None if Keras keeps no graph of it."""
    if isinstance(model, keras.Sequential):
        model = getattr(model, "_functional", None)  # None until the model is built
    return model if hasattr(model, "_nodes_by_depth") else None


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
    for depth in sorted(graph._nodes_by_depth, reverse=True):
        for node in graph._nodes_by_depth[depth]:
            if not node.is_input:
                yield node


def interpret(graph: Any, inputs: Sequence[Any], evaluate: Evaluate) -> list[Any]:
    """Run a Functional model node by node, on values of any kind.

    Args:
        graph: a Functional model or a `keras.Function`.
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
        if isinstance(layer, keras.Model) and functional(layer) is not None:
            tensors = masked_inputs(args, kwargs)
            outputs = _record_outputs(graph_of(layer), tensors, name, record)
        else:
            outputs = keras.tree.flatten(layer(*args, **kwargs))
        record.extend((name, output) for output in outputs)
        return outputs

    return interpret(graph, inputs, evaluate)


@contextlib.contextmanager
def traced_call(layer: keras.layers.Layer, args: Any, kwargs: Mapping[str, Any]) -> Iterator[Any]:
    """Trace what a layer's `call` computes in inference, as a `keras.Function`.

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
        yield function_of(symbols, outputs)


def in_inference(layer: keras.layers.Layer) -> Callable[..., Any]:
    """A layer's `call`, with `training=False` if it has that argument."""
    call = layer.call
    if "training" in inspect.signature(call).parameters:
        call = functools.partial(call, training=False)
    return (
        _on_operations(layer, call) if isinstance(getattr(layer, "backend", None), DynamicBackend) else call
    )


class _OperationsBackend:
    """`keras.ops` under the names of a backend's modules."""

    name = _backend = keras.backend.backend()
    core = numpy = nn = math = linalg = keras.ops
    image, random = keras.ops.image, keras.random

    def __getattr__(self, name: str) -> Any:
        return getattr(keras.ops, name)


def _on_operations(layer: keras.layers.Layer, call: Callable[..., Any]) -> Callable[..., Any]:
    """The call of a preprocessing layer, which takes its functions from `layer.backend`, with those of `keras.ops`."""

    def call_on_operations(*args: Any, **kwargs: Any) -> Any:
        backend, layer.backend = layer.backend, _OperationsBackend()
        try:
            return call(*args, **kwargs)
        finally:
            layer.backend = backend

    return call_on_operations


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
    try:
        with _variables_defer_to_symbols(), _jax_defers_to_symbols(), symbolic_sizes():
            outputs = function(*args, **kwargs)
    except Unsupported:  # of a function that a lowering composes
        raise
    except Exception as error:  # a custom layer raises anything
        raise _untraceable(error) from error
    try:
        yield outputs
    finally:
        for node in _nodes_before(outputs):
            with contextlib.suppress(ValueError):
                node.operation._inbound_nodes.remove(node)


@contextlib.contextmanager
def _jax_defers_to_symbols() -> Iterator[None]:
    """Make `array * symbol` compute `symbol.__rmul__(array)` for arrays of JAX.

    JAX asks for `__jax_array__`, where `keras.KerasTensor` raises an error. Without it, JAX leaves the operation to the
    symbol, as the other backends do. The caller holds a lock.
    """
    found = vars(keras.KerasTensor).get("__jax_array__")
    if found is None or keras.backend.backend() != "jax":
        yield
        return
    del keras.KerasTensor.__jax_array__
    try:
        yield
    finally:
        keras.KerasTensor.__jax_array__ = found


def function_of(inputs: Sequence[keras.KerasTensor], outputs: Any) -> Any:
    """What was recorded from inputs to a structure of outputs, as a `keras.Function`.

    Raises:
        Unsupported: an output depends on something else.
    """
    try:
        return keras.Function(list(inputs), outputs)
    except Exception as error:
        raise _untraceable(error) from error


def _untraceable(error: Exception) -> Unsupported:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return Unsupported(f"its call can't be traced into keras.ops: {reason}")


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


_REFLECTED = {
    "__add__": "__radd__",
    "__sub__": "__rsub__",
    "__mul__": "__rmul__",
    "__truediv__": "__rtruediv__",
    "__matmul__": "__rmatmul__",
    "__pow__": "__rpow__",
}
_operators_lock = threading.RLock()


@contextlib.contextmanager
def _variables_defer_to_symbols() -> Iterator[None]:
    """Make `variable * symbol` compute `symbol.__rmul__(variable)`, which records an operation.

    `keras.Variable.__mul__` passes its operands to the backend, which takes no symbolic tensor, and never returns
    NotImplemented. The instances can't be changed instead: Python looks operators up on the class. So the operators
    of the class are replaced during one call. The lock keeps a second trace from saving the replaced operators as
    the original ones. Other threads are safe: with anything but a symbolic tensor the original operator runs.
    """
    with _operators_lock:
        original = {name: getattr(keras.Variable, name) for name in _REFLECTED}
        defined_here = {name for name in _REFLECTED if name in vars(keras.Variable)}

        def deferring(name: str) -> Callable[[Any, Any], Any]:
            def operate(self: Any, other: Any) -> Any:
                if isinstance(other, keras.KerasTensor):
                    return getattr(other, _REFLECTED[name])(self)
                return original[name](self, other)

            return operate

        for name in _REFLECTED:
            setattr(keras.Variable, name, deferring(name))
        try:
            yield
        finally:
            for name in _REFLECTED:
                if name in defined_here:
                    setattr(keras.Variable, name, original[name])
                else:
                    delattr(keras.Variable, name)
