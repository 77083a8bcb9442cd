"""Quantiles, percentiles and medians, with or without NaN."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import onnx_ir as ir

from export.builder import Builder, Tensor
from export.errors import Unsupported
from export.lowerings.operands import as_int64, cast, normalize_axes
from export.lowerings.registry import register_operation

DOUBLE = int(ir.DataType.DOUBLE)


@dataclass(frozen=True)
class _Rows:
    """Numbers of which each row, the last axis, has its quantiles computed.

    Attributes:
        value: shape (..., size).
        size: their number, if it is known.
        kept: axes of the tensor that are not reduced.
        reduced: axes that are.
    """

    value: ir.Value
    size: int | None
    kept: list[int]
    reduced: list[int]


def _rows(g: Builder, x: Tensor, axis: Any) -> _Rows:
    x = g.keras_layout(x)
    reduced = normalize_axes(axis, x.rank)
    kept = [one for one in range(x.rank) if one not in reduced]
    value = g.transpose(cast(g, x, "float32"), x.shape, [*kept, *reduced])
    if len(reduced) != 1:
        value = g.op("Reshape", value, as_int64(*[0] * len(kept), -1))
    sizes = [x.shape[one] for one in reduced]
    size = None if None in sizes else int(np.prod(sizes, dtype=np.int64))  # type: ignore[arg-type]
    return _Rows(value, size, kept, reduced)


def quantile(g: Builder, x: Tensor, q: np.ndarray, operation: keras.Operation, method: str) -> Tensor:
    """The numbers below which a part q of an axis lies. Rows that hold NaN give NaN."""
    rows = _rows(g, x, operation.axis)
    last = len(rows.kept)
    size = as_int64(rows.size) if rows.size else g.op("Gather", g.op("Shape", rows.value), as_int64(last))
    ordered, _ = g.op("TopK", rows.value, size, axis=last, largest=0, outputs=2)

    def take(indices: ir.Value) -> ir.Value:
        return g.op("Gather", ordered, indices, axis=last)

    result = _interpolate(g, take, _positions(g, size, q, method))
    has_nan = g.op("Cast", g.op("IsNaN", rows.value), to=int(ir.DataType.INT32))
    has_nan = g.op("Cast", g.reduce("ReduceMax", has_nan, [last]), to=int(ir.DataType.BOOL))
    return _arranged(g, g.op("Where", has_nan, np.float32(np.nan), result), rows, q, operation.keepdims)


def nanquantile(g: Builder, x: Tensor, q: np.ndarray, operation: keras.Operation, method: str) -> Tensor:
    """The same of the numbers that are not NaN: they come first in a sorted row, and each row has its own size."""
    rows = _rows(g, x, operation.axis)
    last = len(rows.kept)
    is_nan = g.op("IsNaN", rows.value)
    valid = g.op("Cast", g.op("Not", is_nan), to=int(ir.DataType.INT64))
    count = g.reduce("ReduceSum", valid, [last])  # (..., 1)
    size = as_int64(rows.size) if rows.size else g.op("Gather", g.op("Shape", rows.value), as_int64(last))
    numbers = g.op("Where", is_nan, np.float32(np.inf), rows.value)
    ordered, _ = g.op("TopK", numbers, size, axis=last, largest=0, outputs=2)

    def take(indices: ir.Value) -> ir.Value:
        return g.op("GatherElements", ordered, indices, axis=last)

    # A row without numbers has the positions of a row of one.
    positions = _positions(g, g.op("Max", count, as_int64(1)), q, method)
    result = _interpolate(g, take, positions)
    empty = g.op("Equal", count, as_int64(0))
    return _arranged(g, g.op("Where", empty, np.float32(np.nan), result), rows, q, operation.keepdims)


@dataclass(frozen=True)
class _Positions:
    """Where the quantiles lie between two numbers of a sorted row: fraction * lower + (1 - fraction) * upper."""

    lower: ir.Value
    upper: ir.Value
    fraction: ir.Value | None = None  # None: there is one number


def _positions(g: Builder, size: ir.Value | np.ndarray, q: np.ndarray, method: str) -> _Positions:
    """Positions in rows of a size, in float64 as in Keras: `size` ends with an axis of 1, along which `q` lies."""
    last = g.op("Sub", size, as_int64(1))
    exact = g.op("Mul", g.op("Cast", last, to=DOUBLE), g.op("Cast", q.reshape(-1), to=DOUBLE))

    def rounded(op_type: str) -> ir.Value:
        return g.op("Cast", g.op(op_type, exact), to=int(ir.DataType.INT64))

    if method != "linear":
        ways = {"lower": ["Floor"], "higher": ["Ceil"], "nearest": ["Round"], "midpoint": ["Floor", "Ceil"]}
        if method not in ways:
            raise Unsupported(f"a quantile by method {method!r}")
        positions = [rounded(op_type) for op_type in ways[method]]
        fraction = g.constant(0.5) if method == "midpoint" else None
        return _Positions(positions[0], positions[-1], fraction)
    lower = g.op("Max", g.op("Sub", rounded("Ceil"), as_int64(1)), as_int64(0))
    upper = g.op("Min", g.op("Add", lower, as_int64(1)), last)
    fraction = g.op("Cast", g.op("Sub", g.op("Cast", upper, to=DOUBLE), exact), to=int(ir.DataType.FLOAT))
    return _Positions(lower, upper, fraction)


def _interpolate(g: Builder, take: Callable[[ir.Value], ir.Value], at: _Positions) -> ir.Value:
    if at.fraction is None:
        return take(at.lower)
    upper = g.op("Mul", take(at.upper), g.op("Sub", 1.0, at.fraction))
    return g.op("Add", upper, g.op("Mul", take(at.lower), at.fraction))


def _arranged(g: Builder, value: ir.Value, rows: _Rows, q: np.ndarray, keepdims: bool) -> Tensor:
    """(..., quantiles) as Keras returns it: the quantiles first, if there are several."""
    last = len(rows.kept)
    order = [last, *range(last)]
    value = g.op("Transpose", value, perm=order) if q.ndim else g.op("Squeeze", value, as_int64(last))
    if keepdims:
        value = g.op("Unsqueeze", value, as_int64(*(axis + q.ndim for axis in rows.reduced)))
    return g.result(value)


def _part(q: Any, divisor: float = 1.0) -> np.ndarray:
    """`q` as Keras rounds it."""
    if isinstance(q, Tensor):
        raise Unsupported("a computed q; give numbers")
    array: np.ndarray = np.asarray(q, np.float32) / np.float32(divisor)
    if array.ndim > 1:
        raise Unsupported(f"q of {array.ndim} axes; give a number or a list of numbers")
    return np.asarray(array, np.float32)


@register_operation("median")
def lower_median(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
    """The number in the middle, or the mean of the two."""
    return quantile(g, x, _part(0.5), operation, "linear")


@register_operation("quantile")
def lower_quantile(g: Builder, operation: keras.Operation, x: Tensor, q: Any) -> Tensor:
    """keras.ops.quantile."""
    if operation.method != "linear":
        raise Unsupported(f"a quantile by method {operation.method!r}, which Keras ignores within a model")
    return quantile(g, x, _part(q), operation, "linear")


@register_operation("percentile", optional=True)
def lower_percentile(g: Builder, operation: keras.Operation, x: Tensor, q: Any) -> Tensor:
    """keras.ops.percentile."""
    return quantile(g, x, _part(q, 100.0), operation, operation.method)


@register_operation("nanmedian", optional=True)
def lower_nanmedian(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
    """keras.ops.nanmedian."""
    return nanquantile(g, x, _part(0.5), operation, "linear")


@register_operation("nanquantile", optional=True)
def lower_nanquantile(g: Builder, operation: keras.Operation, x: Tensor, q: Any) -> Tensor:
    """keras.ops.nanquantile."""
    return nanquantile(g, x, _part(q), operation, operation.method)


@register_operation("nanpercentile", optional=True)
def lower_nanpercentile(g: Builder, operation: keras.Operation, x: Tensor, q: Any) -> Tensor:
    """keras.ops.nanpercentile."""
    return nanquantile(g, x, _part(q, 100.0), operation, operation.method)
