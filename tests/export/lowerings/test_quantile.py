"""Quantiles, percentiles and medians against Keras."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from export.errors import UserError
from tests.export.helpers import check_operation, compare, converted, in_either_layout, random_array

WITH_NAN = random_array(3, 4, 6)
WITH_NAN[np.random.default_rng(0).random(WITH_NAN.shape) < 0.2] = np.nan
ONE_NAN = random_array(3, 4, 6)
ONE_NAN[0, 0, 0] = np.nan
PARTS: dict[str, Any] = {"number": 0.3, "list": [0.1, 0.5, 0.77], "ends": [0.0, 1.0]}
AXES = [-1, 1, (0, 2), None]


@pytest.mark.parametrize("keepdims", [False, True])
def test_medians(keepdims: bool) -> None:
    functions = {str(axis): lambda x, axis=axis: ops.median(x, axis=axis, keepdims=keepdims) for axis in AXES}
    compare(functions, ONE_NAN)
    compare(functions, np.random.default_rng(0).integers(-9, 9, (3, 4, 6)).astype("int32"))


@pytest.mark.skipif(not hasattr(ops, "nanmedian"), reason="this version of Keras has no nanmedian")
@pytest.mark.parametrize("keepdims", [False, True])
def test_medians_without_nan(keepdims: bool) -> None:
    x = WITH_NAN.copy()
    x[0, 0] = x[:, :, 2] = np.nan  # nothing else along an axis
    axes = [axis for axis in AXES if axis is not None or not keepdims]
    compare(
        {str(axis): lambda x, axis=axis: ops.nanmedian(x, axis=axis, keepdims=keepdims) for axis in axes}, x
    )


@pytest.mark.parametrize("name", ["quantile", "percentile", "nanquantile", "nanpercentile"])
@pytest.mark.parametrize("part", PARTS)
def test_parts(name: str, part: str) -> None:
    operation: Any = getattr(ops, name, None)
    if operation is None:
        pytest.skip("this version of Keras doesn't have it")
    q = np.multiply(PARTS[part], 100.0 if "percent" in name else 1.0)  # Keras 3.8 takes no list
    functions: dict[str, Any] = {
        f"axis {axis}": lambda x, axis=axis: operation(x, q, axis=axis) for axis in AXES
    }
    functions["keepdims"] = lambda x: operation(x, q, axis=1, keepdims=True)
    compare(functions, WITH_NAN if "nan" in name else ONE_NAN)


@pytest.mark.skipif(not hasattr(ops, "percentile"), reason="this version of Keras has no percentile")
@pytest.mark.parametrize("method", ["lower", "higher", "nearest", "midpoint"])
def test_methods(method: str) -> None:
    compare({"percentile": lambda x: ops.percentile(x, [30, 62.5], axis=-1, method=method)}, ONE_NAN)
    compare({"nanpercentile": lambda x: ops.nanpercentile(x, [30, 62.5], axis=1, method=method)}, WITH_NAN)


def test_method_that_keras_ignores_is_unsupported() -> None:
    with pytest.raises(UserError, match="a quantile by method 'lower', which Keras ignores within a model"):
        check_operation(lambda x: ops.quantile(x, 0.3, axis=1, method="lower"))


def test_dynamic_dimension() -> None:
    x = keras.Input((None, 3), name="x")
    converted(
        keras.Model(x, [ops.median(x, axis=1), ops.quantile(x, np.array([0.2, 0.9]), axis=1), ops.median(x)])
    )


@in_either_layout
def test_layouts(channels_first: bool) -> None:
    check_operation(
        lambda x: ops.median(x, axis=(1, 2)) + ops.quantile(x, 0.7, axis=-1)[:, 0, :1], channels_first
    )
