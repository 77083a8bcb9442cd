"""A converted model with its weights in float16: rounded after the parity check, and measured."""

from __future__ import annotations

from dataclasses import replace

import keras
import onnx_ir as ir

from export.conversion import Conversion
from export.errors import CheckError
from export.metadata import set_metadata
from export.parity import Inputs, Parity
from export.parity.rounding import Rounding, measure_rounding, rounded_examples
from export.passes.float16_weights import Float16WeightsPass


def with_float16_weights(
    model: keras.Model,
    conversion: Conversion,
    parity: Parity,
    *,
    data: Inputs | None = None,
    quick: bool = False,
) -> tuple[Conversion, Rounding]:
    """Round the weights of a graph that has passed the parity check, and measure what that changes.

    Args:
        model: the Keras model.
        conversion: the graph.
        parity: the result of the parity check.
        data: the inputs that were checked, or None for random ones.
        quick: whether the check was quick.

    Returns:
        The conversion with weights in float16, and what changed.

    Raises:
        CheckError: rounding the weights changes the outputs too much; `export.parity.rounding` has the limits.
    """
    rounding_pass = Float16WeightsPass()
    after = ir.to_proto(rounding_pass(ir.from_proto(conversion.model)).model)
    set_metadata(after, {"weights": "float16" if rounding_pass.rounded else "float32"})
    rounding = Rounding(
        measure_rounding(model, conversion, after, parity, data=data, quick=quick),
        len(rounding_pass.rounded),
        rounding_pass.kept,
        conversion.model.ByteSize(),
        after.ByteSize(),
        rounded_examples(after, parity.examples),
    )
    failure = rounding.failure()
    if failure is not None:
        raise CheckError(
            f"{model.name}: with float16 weights, expected {failure}; nothing was written; export without --float16"
        )
    return replace(conversion, proto=after), rounding
