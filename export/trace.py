"""What functions of `keras.ops` do while a layer's `call` is traced, where Keras' own can't be recorded."""

from __future__ import annotations

import contextlib
import functools
import inspect
import string
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any

import keras
from keras.src.ops.numpy import Einsum  # Keras has no public name for it

from export import dynamic_sizes as sizes
from export.deferring import class_of_constants
from export.dynamic_fourier import fft2
from export.dynamic_sizes import holds_symbol
from export.size_operations import Select

ops = keras.ops


def cond(pred: keras.KerasTensor, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
    """keras.ops.cond: both branches are computed, and one is selected.

    Keras records no branch that returns a tensor from outside, but the tensor itself.
    """

    def select(one: Any, other: Any) -> Any:
        if one is None and other is None:
            return None
        if len(one.shape) != len(other.shape):
            raise ValueError(f"ops.cond with branches of several ranks, got {one.shape} and {other.shape}")
        if None not in one.shape[1:] and tuple(one.shape) == tuple(other.shape):
            return ops.where(pred, one, other)
        same = [a if a == b else None for a, b in zip(one.shape, other.shape, strict=True)]
        return Select(same, keras.backend.standardize_dtype(one.dtype)).symbolic_call(pred, one, other)

    return keras.tree.map_structure(select, true_fn(), false_fn())


def switch(index: Any, branches: Any, *operands: Any) -> Any:
    """keras.ops.switch, which can't be traced: Keras loses what the branches take from outside."""
    raise ValueError("ops.switch is unsupported; use ops.where")


def clip(x: Any, x_min: Any, x_max: Any) -> keras.KerasTensor:
    """keras.ops.clip to bounds that are computed."""
    return ops.maximum(ops.minimum(x, x_max), x_min)


def ndim(x: keras.KerasTensor) -> int:
    """keras.ops.ndim, which is a number, too, when Keras runs the layer."""
    return len(x.shape)


def einsum(subscripts: str, *operands: Any, **kwargs: Any) -> keras.KerasTensor:
    """keras.ops.einsum, of which Keras infers the shape only with small letters and without spaces."""
    equation = subscripts.replace(" ", "")
    unused = (letter for letter in string.ascii_lowercase if letter not in equation)
    if "->" in equation:  # otherwise the order of the letters counts
        for capital in set(filter(str.isupper, equation)):
            equation = equation.replace(capital, next(unused))
    return Einsum(equation).symbolic_call(*operands, **kwargs)


def add_loss(self: keras.Layer, loss: Any) -> None:
    """keras.Layer.add_loss: outputs don't depend on a loss."""


# The functions of keras.ops, and which of their arguments decide whether they are replaced: those that hold a symbol.
_REPLACED: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "shape": (sizes.shape, ("x",)),
    "reshape": (sizes.reshape, ("newshape",)),
    "broadcast_to": (sizes.broadcast_to, ("shape",)),
    "zeros": (sizes.zeros, ("shape",)),
    "ones": (sizes.ones, ("shape",)),
    "full": (sizes.full, ("shape",)),
    "array": (sizes.array, ("x",)),
    "convert_to_tensor": (sizes.array, ("x",)),
    "arange": (sizes.arange, ("start", "stop", "step")),
    "eye": (sizes.eye, ("N", "M", "k")),
    "identity": (sizes.identity, ("n",)),
    "tile": (sizes.tile, ("repeats",)),
    "repeat": (sizes.repeat, ("repeats",)),
    "rearrange": (sizes.rearrange, ("tensor",)),
    "get_item": (sizes.get_item, ("key",)),
    "slice": (sizes.slice_of, ("shape",)),
    "pad": (sizes.pad, ("pad_width",)),
    "resize": (sizes.resize, ("size",)),
    "segment_sum": (sizes.segment_sum, ("num_segments",)),
    "segment_max": (sizes.segment_max, ("num_segments",)),
    "fft2": (fft2, ("x",)),
    "clip": (clip, ("x_min", "x_max")),
    "ndim": (ndim, ("x",)),
    "einsum": (einsum, ("operands",)),
    "cond": (cond, ("pred",)),
    "switch": (switch, ("index", "operands")),
}

# Functions that take an array, which may be given as a tuple of sizes.
_OF_ARRAYS = ("cast", "sum", "prod", "max", "min")


@contextlib.contextmanager
def symbolic_sizes() -> Iterator[None]:
    """Have the functions of `keras.ops` work with symbols for dynamic sizes, in this thread, during one trace.

    Losses of symbols are left out.

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
            for name in _OF_ARRAYS:
                if name in vars(module):
                    original = getattr(module, name)
                    stack.callback(setattr, module, name, original)
                    setattr(module, name, _taking_sizes(original, owner))
        for kind in (keras.KerasTensor, keras.Variable, class_of_constants()):
            original = kind.__getitem__
            stack.callback(setattr, kind, "__getitem__", original)
            take = _of_tuples(original) if kind is keras.KerasTensor else original
            kind.__getitem__ = _deferring(take, sizes.get_item, ("key",), owner)
        stack.callback(delattr, keras.KerasTensor, "__array_ufunc__")
        keras.KerasTensor.__array_ufunc__ = None  # np.float32(2) * symbol calls symbol.__rmul__
        stack.callback(setattr, keras.Layer, "add_loss", keras.Layer.add_loss)
        keras.Layer.add_loss = _deferring(keras.Layer.add_loss, add_loss, ("loss",), owner)
        yield


@contextlib.contextmanager
def portable_branches() -> Iterator[None]:
    """Have `keras.config.backend()` return another name than TensorFlow's, while a call is traced.

    Published layers branch by the backend, and call TensorFlow itself in the branch for it, where `keras.ops` was
    slower or wrong once. The branches compute the same, and NumPy's is written in `keras.ops`. Keras itself does not
    ask these functions.
    """
    with contextlib.ExitStack() as stack:
        for module in (keras.config, keras.backend):
            stack.callback(setattr, module, "backend", module.backend)
            module.backend = lambda: "numpy"
        yield


def _of_tuples(take: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """x[key] for any key: Keras records x[1:,] but not x[1:]."""

    @functools.wraps(take)
    def get(self: Any, key: Any) -> Any:
        return take(self, (key,) if key is None or key is Ellipsis or isinstance(key, slice) else key)

    return get


def _modules() -> list[ModuleType]:
    """The modules that a function of `keras.ops` is found in."""
    public = [ops, *(getattr(ops, name, None) for name in ("numpy", "nn", "math", "image"))]
    inner = [
        sys.modules.get(f"keras.src.ops{name}") for name in ("", ".core", ".numpy", ".nn", ".math", ".image")
    ]
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


def _taking_sizes(original: Callable[..., Any], owner: int) -> Callable[..., Any]:
    """A function that takes a tuple of sizes, some of them symbols, for an array."""

    @functools.wraps(original)
    def call(x: Any, *args: Any, **kwargs: Any) -> Any:
        if threading.get_ident() == owner and isinstance(x, (tuple, list)) and holds_symbol(x):
            x = sizes.vector(x)
        return original(x, *args, **kwargs)

    return call
