"""Reductions over axes, against Keras."""

from collections.abc import Callable
from typing import Any

import pytest
from keras import ops

from export.errors import UserError
from tests.export.helpers import check_operation, in_either_layout

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


def test_reduction_with_initial_value_is_unsupported() -> None:
    with pytest.raises(UserError, match="a reduction with an initial value"):
        check_operation(lambda x: ops.max(x, axis=-1, initial=0.5))


def test_argmax_over_all_axes_is_unsupported() -> None:
    with pytest.raises(UserError, match="an argmax or argmin over all axes at once"):
        check_operation(lambda x: ops.argmax(x))
