"""export_model: convert, prove, write; what `python -m export` and the training library call."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from export.convert import Conversion, Options, convert, convert_layerwise, count_nodes, set_metadata
from export.errors import ParityError
from export.files import write_json, write_whole
from export.lower import layer_outputs
from export.parity import Inputs, Parity, check_parity, first_divergence, parity_text, report_path


@dataclass(frozen=True)
class Exported:
    """A model that was written, and its proof."""

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
    """Convert a Keras model to ONNX, prove that it computes the same, and write it.

    Args:
        model: the Keras model.
        path: the ONNX file to write.
        options: how to convert.
        atol: tolerance of the proof, absolute.
        rtol: tolerance of the proof, relative to Keras' value.
        data: an array for each input to check with; None: seeded random numbers of the input's range.
        source: what to call the data in the report.
        report: the JSON file of the parity report; None: beside the model.

    Raises:
        UserError: the model can't be converted, or a file can't be written.
        ParityError: the graph computes something else; nothing was written.
    """
    options = options or Options()
    conversion = convert(model, options)
    parity = check_parity(model, conversion, options, atol=atol, rtol=rtol, data=data, source=source)
    if not parity.passed:
        raise ParityError(
            f"{model.name}: the ONNX graph differs from Keras by up to {parity.max_abs:.1e}, above atol {atol:g} "
            f"+ rtol {rtol:g}; nothing was written; --layerwise names the layer",
            parity,
        )
    set_metadata(conversion.model, {"parity": parity_text(parity)})
    content = conversion.model.SerializeToString()
    write_whole(path, lambda temporary: temporary.write_bytes(content))
    write_json(report or report_path(path), as_json(conversion, parity))
    return Exported(path, conversion, parity)


def as_json(conversion: Conversion, parity: Parity) -> dict[str, Any]:
    """The parity report: the figures, and how the graph came about."""
    return {
        **parity.as_json(),
        "route": conversion.route,
        "route_reason": conversion.reason,
        "opset": conversion.opset,
        "nodes": count_nodes(conversion.model),
        "folded": conversion.folds.folded,
        "not_folded": conversion.folds.refused,
    }


def check_layerwise(
    model: keras.Model, options: Options, *, atol: float, rtol: float, data: Inputs | None, source: str
) -> tuple[Parity, str | None]:
    """Compare after every Keras layer, without folds; the figures, and the first layer that diverges."""
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
