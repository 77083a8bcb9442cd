"""Take a layer's `call` apart into the Keras operations that it is made of."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator
from typing import Any

import keras

from export.graph import Tensor, Unsupported
from export.topology import nodes

_REFLECTED = {
    "__add__": "__radd__",
    "__sub__": "__rsub__",
    "__mul__": "__rmul__",
    "__truediv__": "__rtruediv__",
    "__matmul__": "__rmatmul__",
    "__pow__": "__rpow__",
}


@contextlib.contextmanager
def traced(layer: Any, args: Any, kwargs: Any) -> Iterator[tuple[Any, list[Tensor]]]:
    """A `keras.Function` of what the layer does in inference, and the Tensors for its inputs.

    The layer's `call` is run on symbolic tensors, on which keras.ops and layers record themselves. On leaving, the
    layers within forget that they were called.

    Args:
        layer: a layer.
        args: the arguments of the call, with a Tensor for each Keras tensor.
        kwargs: likewise.

    Raises:
        Unsupported: `call` computes something by other means than keras.ops, or needs an open axis's size.
    """
    tensors: list[Tensor] = []
    symbols: list[Any] = []

    def symbolic(value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        tensors.append(value)
        symbols.append(keras.Input(batch_shape=value.shape, dtype=value.dtype))
        return symbols[-1]

    args, kwargs = keras.tree.map_structure(symbolic, (args, kwargs))
    if "training" in inspect.signature(layer.call).parameters:
        kwargs = {**kwargs, "training": False}
    try:
        with _variables_give_way():
            outputs = layer.call(*args, **kwargs)
        function = keras.Function(symbols, outputs)
    except Exception as error:  # whatever a stranger's layer raises
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise Unsupported(f"its call can't be taken apart into keras.ops: {reason}") from error
    try:
        yield function, tensors
    finally:
        for node in nodes(function):
            with contextlib.suppress(ValueError):
                node.operation._inbound_nodes.remove(node)


@contextlib.contextmanager
def _variables_give_way() -> Iterator[None]:
    """Within it, `variable * symbolic` is left to the symbolic tensor; a variable itself knows none.

    The methods are those of Keras' own class, replaced for the time of one call.
    """
    replaced = {name: getattr(keras.Variable, name) for name in _REFLECTED}
    own = {name for name in _REFLECTED if name in vars(keras.Variable)}

    def giving_way(name: str) -> Any:
        def operate(self: Any, other: Any) -> Any:
            if isinstance(other, keras.KerasTensor):
                return getattr(other, _REFLECTED[name])(self)
            return replaced[name](self, other)

        return operate

    for name in _REFLECTED:
        setattr(keras.Variable, name, giving_way(name))
    try:
        yield
    finally:
        for name in _REFLECTED:
            if name in own:
                setattr(keras.Variable, name, replaced[name])
            else:
                delattr(keras.Variable, name)
