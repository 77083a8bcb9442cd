"""Variables, constants and Keras' own backends defer to symbolic tensors while a `call` is traced."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import keras
from keras.src.utils.backend_utils import DynamicBackend  # Keras has no public name for it

# What `symbol.METHOD(x)` is called for `x OPERATOR symbol`.
_REFLECTED = {
    **{
        f"__{name}__": f"__r{name}__"
        for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "matmul", "pow")
    },
    **{f"__{name}__": f"__r{name}__" for name in ("and", "or", "xor")},
    **{"__lt__": "__gt__", "__le__": "__ge__", "__gt__": "__lt__", "__ge__": "__le__"},
}
_lock = threading.RLock()


@contextlib.contextmanager
def constants_defer_to_symbols() -> Iterator[None]:
    """Make `variable * symbol` compute `symbol.__rmul__(variable)`, which records an operation.

    `keras.Variable.__mul__` passes its operands to the backend, which takes no symbolic tensor, and never returns
    NotImplemented; so do some operators of the backend's own tensors, which are constants here. The instances can't be
    changed instead: Python looks operators up on the class. So the operators of the classes are replaced during one
    call. The lock keeps a second trace from saving the replaced operators as the original ones. Other threads are safe:
    with anything but a symbolic tensor the original operator runs.
    """
    with _lock, contextlib.ExitStack() as stack:
        for kind in (keras.Variable, class_of_constants()):
            for name in _REFLECTED:
                original, is_own = getattr(kind, name), name in vars(kind)
                setattr(kind, name, _deferring(original, name))
                stack.callback(*((setattr, kind, name, original) if is_own else (delattr, kind, name)))
        yield


def _deferring(original: Callable[[Any, Any], Any], name: str) -> Callable[[Any, Any], Any]:
    def operate(self: Any, other: Any) -> Any:
        if isinstance(other, keras.KerasTensor):
            return getattr(other, _REFLECTED[name])(self)
        return original(self, other)

    return operate


def class_of_constants() -> Any:
    """The class of a backend's tensors that defines their operators."""
    kind = type(keras.ops.convert_to_tensor(0))
    return next(base for base in kind.__mro__ if "__getitem__" in vars(base))


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
