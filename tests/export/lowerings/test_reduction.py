"""Reductions over axes, against Keras."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from keras import ops

from tests.export.helpers import KERAS, check_operation, compare, in_either_layout, operations, random_array

CASES: dict[str, Callable[[Any], Any]] = {
    "mean over images": lambda x: ops.mean(x, axis=(1, 2)),
    "mean over channels": lambda x: ops.mean(x, axis=-1),
    "mean over rows": lambda x: ops.mean(x, axis=1),
    "sum": lambda x: ops.sum(x, axis=-1, keepdims=True) * x,
    "max and min": lambda x: ops.max(x, axis=2) - ops.min(x, axis=2) + ops.amax(x, axis=-2),
    "std": lambda x: (x - ops.mean(x, -1, keepdims=True)) / (ops.std(x, -1, keepdims=True) + 0.1),
    "var and logsumexp": lambda x: (
        ops.var(x, axis=(1, 2), keepdims=True) + ops.logsumexp(x, axis=[-1], keepdims=True)
    ),
    "moments": lambda x: sum(ops.moments(x, axes=[1, 2])),
    "any and all": lambda x: ops.where(
        ops.any(x > 2, axis=(1, 2), keepdims=True), x, ops.all(x < 1, axis=-1)[..., None]
    ),
    "any of numbers": lambda x: ops.any(ops.floor(x), axis=(0, 1)),
    "all of everything": lambda x: ops.all(ops.absolute(x) + 1),
    "argmax": lambda x: ops.cast(ops.argmax(x, axis=-1), "float32"),
}


@in_either_layout
@pytest.mark.parametrize("name", CASES)
def test_operation(name: str, channels_first: bool) -> None:
    check_operation(CASES[name], channels_first)


FUNCTIONS = [
    *("all", "any", "amax", "amin", "mean", "max", "min", "std", "var", "sum", "prod"),
    # Keras 3.8 takes no axis alone for them.
    *(("logsumexp", "argmax", "argmin") if KERAS > (3, 8) else ()),
    *(["ptp"] if hasattr(ops, "ptp") else []),
]
FLOATS = random_array(3, 4, 6)
INTEGERS = np.random.default_rng(0).integers(-20, 20, (3, 4, 6)).astype("int32")


@pytest.mark.parametrize("axis", [None, -1, 1])
@pytest.mark.parametrize("keepdims", [False, True])
def test_axes(axis: int | None, keepdims: bool) -> None:
    compare(
        operations(FUNCTIONS, axis=axis, keepdims=keepdims),
        FLOATS,
    )


@pytest.mark.parametrize("axes", [(0, 2), ()], ids=str)
def test_several_axes_or_none(axes: tuple[int, ...]) -> None:
    names = [name for name in FUNCTIONS if "arg" not in name]
    compare(operations(names, axis=axes), FLOATS)


@pytest.mark.parametrize("dtype", ["int32", "int64", "bool"])
def test_integers(dtype: str) -> None:
    x = np.maximum(INTEGERS, 0).astype(dtype)
    names = [
        name
        for name in FUNCTIONS
        if name != "logsumexp" and (dtype != "bool" or name not in ("ptp", "argmin"))
    ]
    compare(operations(names, axis=1), x)
    compare({"count": ops.count_nonzero, "along": lambda x: ops.count_nonzero(x, axis=(1, 2))}, x)


def test_initial_value() -> None:
    functions = {
        "max": lambda x: ops.max(x, axis=1, initial=0.5),
        "min": lambda x: ops.min(x, axis=-1, keepdims=True, initial=-0.5),
        "integers": lambda x: ops.max(ops.cast(x, "int32"), axis=1, initial=1),
        "bool": lambda x: ops.max(x > 2, axis=1, initial=True),
    }
    compare(functions, FLOATS)


def test_integers_of_fewer_bits_are_summed_in_more() -> None:
    compare({"uint8": lambda x: ops.cast(ops.sum(ops.cast(x, "uint8"), axis=1), "int64")}, abs(INTEGERS) * 12)
