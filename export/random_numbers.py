"""Random numbers in inference, such as those of a VAE's sampling layer: `keras.random` by numbers of another source.

While a layer's `call` is traced, a draw is recorded as an operation, which becomes an operator of ONNX. In the parity
check every draw is one fixed number, in Keras and in the graph, so that all that is computed of it can be compared.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import math
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any, Literal

import keras

from export.dynamic_sizes import holds_symbol
from export.size_operations import OfKnownShape

ops = keras.ops

Kind = Literal["normal", "uniform"]
Draw = Callable[
    [Kind, Sequence[Any], str], Any
]  # kind, shape, dtype -> standard normal numbers, or from 0 to 1

# What the parity check draws: a number of each distribution that is not its mean.
FIXED: dict[Kind, float] = {"normal": 0.5, "uniform": 0.75}


class RandomNumbers(OfKnownShape):
    """(any symbol, sizes): new numbers in each call, standard normal or uniform from 0 to 1."""

    def __init__(self, shape: Sequence[int | None], dtype: str, kind: Kind) -> None:
        super().__init__(shape, dtype)
        self.kind = kind

    def call(self, _: Any, sizes: Sequence[Any]) -> Any:
        """The numbers."""
        return getattr(keras.random, self.kind)(sizes, dtype=self.dtype)


class _Functions:
    """The functions of `keras.random`, on the numbers of one source."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw

    def normal(
        self, shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, seed: Any = None
    ) -> Any:
        return self.draw("normal", shape, dtype or keras.config.floatx()) * stddev + mean

    def uniform(
        self, shape: Any, minval: Any = 0.0, maxval: Any = 1.0, dtype: Any = None, seed: Any = None
    ) -> Any:
        return self.draw("uniform", shape, dtype or keras.config.floatx()) * (maxval - minval) + minval

    def truncated_normal(
        self, shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, seed: Any = None
    ) -> Any:
        # The normal distribution's quantile function, between those of two standard deviations.
        unit = self.draw("uniform", shape, dtype or keras.config.floatx())
        return ops.erfinv((2 * unit - 1) * math.erf(math.sqrt(2))) * math.sqrt(2) * stddev + mean

    def randint(self, shape: Any, minval: Any, maxval: Any, dtype: Any = "int32", seed: Any = None) -> Any:
        unit = self.draw("uniform", shape, "float32")
        # Rounding may take the largest numbers to maxval, which is excluded.
        return ops.cast(ops.minimum(ops.floor(unit * (maxval - minval) + minval), maxval - 1), dtype)

    def categorical(self, logits: Any, num_samples: int, dtype: Any = "int32", seed: Any = None) -> Any:
        rows, classes = ops.shape(logits)
        unit = self.draw("uniform", (rows, num_samples, classes), "float32")
        # The Gumbel-max trick. Numbers below float32's smallest are 0, of which there is no logarithm.
        gumbel = -ops.log(-ops.log(ops.maximum(unit, 1e-37)))
        return ops.cast(ops.argmax(ops.expand_dims(ops.cast(logits, unit.dtype), 1) + gumbel, axis=-1), dtype)

    def dropout(self, inputs: Any, rate: float, noise_shape: Any = None, seed: Any = None) -> Any:
        shape = ops.shape(inputs)
        if noise_shape is not None:
            shape = [own if given is None else given for own, given in zip(shape, noise_shape, strict=True)]
        kept = ops.cast(self.draw("uniform", shape, "float32") >= rate, inputs.dtype)
        return inputs * kept / (1 - rate) if rate < 1 else ops.zeros_like(inputs)

    def shuffle(self, x: Any, axis: int = 0, seed: Any = None) -> Any:
        order = ops.argsort(self.draw("uniform", (ops.shape(x)[axis],), "float32"))
        return ops.take(x, order, axis=axis)

    def gamma(self, *args: Any, **kwargs: Any) -> Any:
        raise ValueError("ONNX has random numbers of the normal and the uniform distribution alone")

    beta = binomial = gamma


def recorded_by(anchor: keras.KerasTensor | None) -> Draw:
    """A source of random numbers that records an operation. `anchor` is any symbol: an operation needs an input."""

    def draw(kind: Kind, shape: Sequence[Any], dtype: str) -> Any:
        if anchor is None:
            raise ValueError("random numbers in a call without tensors")
        sizes = list(shape)
        known = [None if isinstance(size, keras.KerasTensor) else size for size in sizes]
        dtype = keras.backend.standardize_dtype(dtype)
        return RandomNumbers(known, dtype, kind).symbolic_call(anchor, sizes)

    return draw


def fixed_numbers(precision: str | None = None) -> Draw:
    """A source of random numbers that are all the same, of a dtype or of that which is asked for."""
    return lambda kind, shape, dtype: ops.full(shape, FIXED[kind], dtype=precision or dtype)


@contextlib.contextmanager
def random_numbers_of(draw: Draw) -> Iterator[None]:
    """Have the functions of `keras.random` draw from a source, in this thread.

    A fixed seed and a known shape give the same numbers in every call, so that they are Keras' own.
    """
    owner = threading.get_ident()
    functions = _Functions(draw)
    names = [name for name in vars(_Functions) if not name.startswith("_")]
    with contextlib.ExitStack() as stack:
        for module in _modules():
            for name in (name for name in names if hasattr(module, name)):
                original = getattr(module, name)
                stack.callback(setattr, module, name, original)
                setattr(module, name, _deferring(original, getattr(functions, name), owner))
        yield


def _modules() -> list[ModuleType]:
    inner = [sys.modules.get(name) for name in ("keras.src.random", "keras.src.random.random")]
    return [module for module in (keras.random, *inner) if isinstance(module, ModuleType)]


def _deferring(original: Callable[..., Any], own: Callable[..., Any], owner: int) -> Callable[..., Any]:
    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        given = inspect.signature(original).bind(*args, **kwargs).arguments
        if threading.get_ident() != owner:
            return original(*args, **kwargs)
        if not isinstance(given.get("seed"), int):
            return own(*args, **kwargs)
        if holds_symbol(list(given.values())):
            raise ValueError(
                f"keras.random.{original.__name__} with a fixed seed, whose numbers ONNX doesn't have; give it a "
                "keras.random.SeedGenerator"
            )
        return original(*args, **kwargs)

    return call
