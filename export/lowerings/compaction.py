"""Masked sequences for ONNX's recurrent operators, which know sequences of different lengths, but no masks.

The steps that count are moved to the front, in their order, so that a mask of any pattern becomes a length. A step that
does not count has the output of the last step before it that does, which is found by counting those.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from export.builder import Builder, Tensor
from export.lowerings.operands import as_int64


@dataclass(frozen=True)
class Compaction:
    """The steps of masked sequences, those that count at the front.

    Attributes:
        order: (batch, time, 1), the step at each position.
        lengths: (batch,), how many steps count.
        position: (batch, time, 1), the position of each step, or of the last one before it that counts; -1 if none.
        mask: (batch, time, 1), whether a step counts.
    """

    order: ir.Value
    lengths: ir.Value
    position: ir.Value
    mask: ir.Value

    @classmethod
    def of(cls, g: Builder, mask: Tensor) -> Compaction:
        """The compaction of a mask, (batch, time)."""
        counts = g.op("Cast", mask.value, to=int(ir.DataType.INT64))
        rank = g.op("CumSum", counts, np.array(1, np.int64))
        position = g.op("Sub", rank, as_int64(1))
        # Earlier steps have larger keys, and those that count have larger ones than those that don't.
        ones = g.op("Add", g.op("Mul", counts, as_int64(0)), as_int64(1))
        time = g.op("CumSum", ones, np.array(1, np.int64))
        size = g.op("Slice", g.op("Shape", mask.value), as_int64(1), as_int64(2))
        keys = g.op("Sub", g.op("Mul", counts, g.op("Add", size, as_int64(1))), time)
        _, order = g.op("TopK", keys, size, axis=1, outputs=2)
        lengths = g.op("Cast", g.reduce("ReduceSum", counts, [1], keepdims=False), to=int(ir.DataType.INT32))
        last_axis = as_int64(2)
        return cls(
            g.op("Unsqueeze", order, last_axis),
            lengths,
            g.op("Unsqueeze", position, last_axis),
            g.op("Unsqueeze", mask.value, last_axis),
        )

    def compact(self, g: Builder, x: Tensor) -> Tensor:
        """(batch, time, features) with the steps that count at the front."""
        return g.like(x, g.op("GatherND", x.value, self.order, batch_dims=1))

    def expand(self, g: Builder, x: Tensor, *, with_zeros: bool) -> Tensor:
        """The outputs of all steps, from those of the steps that count.

        Args:
            g: the builder of the call.
            x: (batch, time, units), the outputs of the compact sequence.
            with_zeros: the output of a step that does not count is zero.
        """
        start = g.op("Max", self.position, as_int64(0))
        outputs = g.op("GatherND", x.value, start, batch_dims=1)
        known = self.mask if with_zeros else g.op("GreaterOrEqual", self.position, as_int64(0))
        return g.like(x, g.op("Where", known, outputs, np.float32(0)))

    def last(self, g: Builder, x: Tensor, mask: Tensor, *, with_zeros: bool) -> Tensor:
        """The output of the last step, from that of the last step that counts; zero if none does."""
        if with_zeros:
            known = g.op("Gather", mask.value, as_int64(-1), axis=1)
        else:
            known = g.op("Unsqueeze", g.op("Greater", self.lengths, np.array(0, np.int32)), as_int64(1))
        return g.like(x, g.op("Where", known, x.value, np.float32(0)))
