"""Rows combined by the number of the segment that they belong to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from export import size_operations
from export.builder import Builder, Tensor, onnx_dtype
from export.errors import Unsupported
from export.lowerings.operands import Argument, as_int64
from export.lowerings.registry import register_lowering, register_operation
from export.lowerings.scatter import positions
from export.lowerings.sizes import Size, add_sizes, as_size, count_to, size_vector, sizes_of


@dataclass(frozen=True)
class Reduction:
    """How rows are combined.

    Attributes:
        of_scatter: ScatterND's name for it.
        opset: the version in which ScatterND has it.
        op_type: the operator that reduces an axis.
    """

    of_scatter: str
    opset: int
    op_type: str

    def neutral(self, dtype: np.dtype) -> np.ndarray:
        """The value of an empty segment."""
        limits = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
        values = {"add": 0, "mul": 1, "max": limits.min, "min": limits.max}
        return np.array(values[self.of_scatter], dtype)


REDUCTIONS = {
    "SegmentSum": Reduction("add", 16, "ReduceSum"),
    "SegmentProd": Reduction("mul", 16, "ReduceProd"),
    "SegmentMax": Reduction("max", 18, "ReduceMax"),
    "SegmentMin": Reduction("min", 18, "ReduceMin"),
}


@register_operation("segment_sum", "segment_max")
@register_operation("segment_prod", "segment_min", optional=True)
def lower_segments(g: Builder, operation: Any, data: Tensor, segment_ids: Argument) -> Tensor:
    """Rows combined by the number of their segment; rows of a negative number are left out."""
    number = _number_of_segments(operation, segment_ids)
    return segments(g, REDUCTIONS[type(operation).__name__], data, segment_ids, number)


@register_lowering(size_operations.Segments)
def lower_segments_of_dynamic_number(
    g: Builder, operation: size_operations.Segments, data: Tensor, segment_ids: Argument, number: Tensor
) -> Tensor:
    """The same of a number of segments that is a dynamic size."""
    return segments(g, REDUCTIONS[operation.kind], data, segment_ids, as_size(g, number))


def segments(g: Builder, reduction: Reduction, data: Tensor, segment_ids: Argument, number: Size) -> Tensor:
    """Rows combined by the number of their segment, of a number of segments."""
    g.note_mixed_rows()
    x, ids = g.keras_layout(data), positions(g, segment_ids)
    neutral = reduction.neutral(onnx_dtype(data.dtype).numpy())
    if g.opset >= reduction.opset:
        # Rows of a negative number go to a segment after the last one.
        end = as_int64(number) if isinstance(number, int) else number
        ids = g.op("Where", g.op("Less", ids, np.array(0, np.int64)), end, ids)
        start = g.op("Expand", neutral, size_vector(g, [add_sizes(g, number, 1), *sizes_of(g, x)[1:]]))
        places = g.op("Unsqueeze", ids, as_int64(1))
        rows = g.op("ScatterND", start, places, x.value, reduction=reduction.of_scatter)
        value = g.op("Slice", rows, as_int64(0), end, as_int64(0))
    else:
        if x.rank > 1:
            ids = g.op("Unsqueeze", ids, as_int64(*range(1, x.rank)))
        numbers = g.op("Unsqueeze", count_to(g, number), as_int64(*range(1, x.rank + 1)))
        of_segment = g.op("Where", g.op("Equal", ids, numbers), x.value, neutral)
        value = g.reduce(reduction.op_type, of_segment, [1], keepdims=False)
    known = number if isinstance(number, int) else None
    return g.tensor(value, (known, *x.shape[1:]), dtype=data.dtype)


def _number_of_segments(operation: Any, segment_ids: Argument) -> int:
    if operation.num_segments is not None:
        return int(operation.num_segments)
    if isinstance(segment_ids, Tensor):
        raise Unsupported("segments without num_segments; give it")
    different, last = len(np.unique(np.asarray(segment_ids))), int(np.max(np.asarray(segment_ids)))
    if different <= last:
        raise Unsupported("segments without num_segments, of which some are empty; give num_segments")
    return last + 1
