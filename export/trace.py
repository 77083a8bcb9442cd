"""What functions of `keras.ops` do while a layer's `call` is traced, where Keras' own can't be recorded."""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any

import keras

from export import dynamic_sizes as sizes
from export.dynamic_sizes import holds_symbol

ops = keras.ops


def cond(pred: keras.KerasTensor, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
    """keras.ops.cond: both branches are computed, and one is selected.

    Keras records no branch that returns a tensor from outside, but the tensor itself.
    """

    def select(one: Any, other: Any) -> Any:
        if one is None and other is None:
            return None
        if None in one.shape[1:] or tuple(one.shape) != tuple(other.shape):
            raise ValueError(f"ops.cond with branches of dynamic sizes, got {one.shape} and {other.shape}")
        return ops.where(pred, one, other)

    return keras.tree.map_structure(select, true_fn(), false_fn())


def switch(index: Any, branches: Any, *operands: Any) -> Any:
    """keras.ops.switch, which can't be traced: Keras loses what the branches take from outside."""
    raise ValueError("ops.switch is unsupported; use ops.where")


# The functions of keras.ops, and which of their arguments decide whether they are replaced: those that hold a symbol.
_REPLACED: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "shape": (sizes.shape, ("x",)),
    "reshape": (sizes.reshape, ("newshape",)),
    "broadcast_to": (sizes.broadcast_to, ("shape",)),
    "zeros": (sizes.zeros, ("shape",)),
    "ones": (sizes.ones, ("shape",)),
    "full": (sizes.full, ("shape",)),
    "arange": (sizes.arange, ("start", "stop", "step")),
    "eye": (sizes.eye, ("N", "M", "k")),
    "identity": (sizes.identity, ("n",)),
    "tile": (sizes.tile, ("repeats",)),
    "repeat": (sizes.repeat, ("repeats",)),
    "rearrange": (sizes.rearrange, ("tensor",)),
    "get_item": (sizes.get_item, ("key",)),
    "slice": (sizes.slice_of, ("shape",)),
    "pad": (sizes.pad, ("pad_width",)),
    "cond": (cond, ("pred",)),
    "switch": (switch, ("index", "operands")),
}


@contextlib.contextmanager
def symbolic_sizes() -> Iterator[None]:
    """Have the functions of `keras.ops` work with symbols for dynamic sizes, in this thread, during one trace.

    The caller holds a lock: another trace must not start in between.
    """
    owner = threading.get_ident()
    with contextlib.ExitStack() as stack:
        for module in _modules():
            for name, (own, deciding) in _REPLACED.items():
                if name in vars(module):
                    original = getattr(module, name)
                    stack.callback(setattr, module, name, original)
                    setattr(module, name, _deferring(original, own, deciding, owner))
        for kind in (keras.KerasTensor, keras.Variable, _class_of_constants()):
            original = kind.__getitem__
            stack.callback(setattr, kind, "__getitem__", original)
            kind.__getitem__ = _deferring(original, sizes.get_item, ("key",), owner)
        yield


def _class_of_constants() -> Any:
    """The class of a backend's tensors that defines their subscripts."""
    kind = type(ops.convert_to_tensor(0))
    return next(base for base in kind.__mro__ if "__getitem__" in vars(base))


def _modules() -> list[ModuleType]:
    """The modules that a function of `keras.ops` is found in."""
    public = [ops, getattr(ops, "numpy", None), getattr(ops, "nn", None)]
    inner = [sys.modules.get(f"keras.src.ops{name}") for name in ("", ".core", ".numpy", ".nn")]
    return [module for module in (*public, *inner) if isinstance(module, ModuleType)]


def _deferring(
    original: Callable[..., Any], own: Callable[..., Any], deciding: Sequence[str], owner: int
) -> Callable[..., Any]:
    """A function that calls `own` if an argument that decides holds a symbol, and `original` otherwise."""
    signature = inspect.signature(own)

    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        if threading.get_ident() == owner:
            try:
                given = signature.bind(*args, **kwargs).arguments
            except TypeError:  # the original says what is wrong
                given = {}
            if any(holds_symbol(given.get(name)) for name in deciding):
                return own(*args, **kwargs)
        return original(*args, **kwargs)

    return call
