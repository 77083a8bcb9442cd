"""Variables, and the backends that Keras' own layers call, defer to symbolic tensors while a `call` is traced."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import keras
from keras.src.utils.backend_utils import DynamicBackend  # Keras has no public name for it

_REFLECTED = {
    "__add__": "__radd__",
    "__sub__": "__rsub__",
    "__mul__": "__rmul__",
    "__truediv__": "__rtruediv__",
    "__matmul__": "__rmatmul__",
    "__pow__": "__rpow__",
}
_lock = threading.RLock()


@contextlib.contextmanager
def variables_defer_to_symbols() -> Iterator[None]:
    """Make `variable * symbol` compute `symbol.__rmul__(variable)`, which records an operation.

    `keras.Variable.__mul__` passes its operands to the backend, which takes no symbolic tensor, and never returns
    NotImplemented. The instances can't be changed instead: Python looks operators up on the class. So the operators
    of the class are replaced during one call. The lock keeps a second trace from saving the replaced operators as
    the original ones. Other threads are safe: with anything but a symbolic tensor the original operator runs.
    """
    with _lock:
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


class _OperationsBackend:
    """`keras.ops` under the names of a backend's modules."""

    core = numpy = nn = math = linalg = keras.ops
    image, random = keras.ops.image, keras.random

    def __getattr__(self, name: str) -> Any:
        return getattr(keras.ops, name)


@contextlib.contextmanager
def backends_are_operations() -> Iterator[None]:
    """Have Keras' preprocessing layers and utilities, which take their functions from a backend, use `keras.ops`."""
    owner, original, operations = threading.get_ident(), DynamicBackend.__getattr__, _OperationsBackend()

    def get(self: DynamicBackend, name: str) -> Any:
        return getattr(operations, name) if threading.get_ident() == owner else original(self, name)

    DynamicBackend.__getattr__ = get
    try:
        yield
    finally:
        DynamicBackend.__getattr__ = original
