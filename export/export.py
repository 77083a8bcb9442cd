"""export_model: convert, check parity, write. `python -m export` and the training library call it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from export.conversion import Conversion, Options
from export.convert import convert, convert_layerwise
from export.errors import ParityError
from export.files import write_json, write_whole
from export.keras_graph import layer_outputs
from export.metadata import count_nodes, set_metadata
from export.parity import Inputs, Parity, check_parity, first_divergence, parity_text, report_path


@dataclass(frozen=True)
class Exported:
    """An exported model.

    Attributes:
        path: the ONNX file.
        conversion: the conversion.
        parity: the result of the parity check.
    """

    path: Path
    conversion: Conversion
    parity: Parity


def export_model(
    model: keras.Model,
    path: Path,
    options: Options | None = None,
    *,
    atol: float = 1e-5,
    rtol: float = 1e-4,
    data: Inputs | None = None,
    source: str = "seeded random data",
    report: Path | None = None,
) -> Exported:
    """Convert a Keras model to ONNX, check that it computes the same values, and write it.

    Args:
        model: the Keras model.
        path: the ONNX file to write.
        options: how to convert.
        atol: absolute tolerance of the parity check.
        rtol: tolerance relative to Keras' value.
        data: an array for each input to check with; None for seeded random numbers in the input's range.
        source: what the report calls the data.
        report: the JSON file for the parity report; None for NAME.parity.json beside the model.

    Raises:
        UserError: the model can't be converted, or a file can't be written.
        ParityError: the graph computes different values. Nothing was written.
    """
    conversion = convert(model, options)
    parity = check_parity(
        model, conversion, conversion.options, atol=atol, rtol=rtol, data=data, source=source
    )
    if not parity.passed:
        raise ParityError(
            f"{model.name}: expected the ONNX graph to compute what Keras computes, got a difference of up to "
            f"{parity.max_abs:.1e}, above atol {atol:g} + rtol {rtol:g}; nothing was written; use --layerwise to find "
            "the layer",
            parity,
        )
    set_metadata(conversion.model, {"parity": parity_text(parity)})
    content = conversion.model.SerializeToString()
    write_whole(path, lambda temporary: temporary.write_bytes(content))
    write_json(report or report_path(path), as_json(conversion, parity))
    return Exported(path, conversion, parity)


def as_json(conversion: Conversion, parity: Parity) -> dict[str, Any]:
    """The parity report: the metrics, and how the graph was made."""
    return {
        **parity.as_json(),
        "route": conversion.route,
        "route_reason": conversion.reason,
        "opset": conversion.opset,
        "nodes": count_nodes(conversion.model),
        "folded": [str(fold) for fold in conversion.folds.folded],
        "not_folded": [str(refusal) for refusal in conversion.folds.refused],
    }


def check_layerwise(
    model: keras.Model, options: Options, *, atol: float, rtol: float, data: Inputs | None, source: str
) -> tuple[Parity, str | None]:
    """Compare the output of every Keras layer, without folds.

    Returns:
        The metrics, and the first layer whose output is outside the tolerances.
    """
    conversion = convert_layerwise(model, options)

    def after_each_layer(arrays: Inputs) -> list[np.ndarray]:
        tensors = [keras.ops.convert_to_tensor(array) for array in arrays]
        cast = [
            keras.ops.cast(tensor, symbolic.dtype)
            for tensor, symbolic in zip(tensors, keras.tree.flatten(model.inputs), strict=True)
        ]
        return [np.asarray(value) for _, value in layer_outputs(model, cast)]

    parity = check_parity(
        model, conversion, options, atol=atol, rtol=rtol, data=data, source=source, reference=after_each_layer
    )
    return parity, first_divergence(parity, conversion.layers)
