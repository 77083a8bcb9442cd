"""export_model: convert, check parity, write. `python -m export` and the training library call it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from export.conversion import Conversion, Options
from export.convert import convert, convert_layerwise
from export.errors import KerasnormError, ParityError
from export.evidence import write_evidence
from export.files import write_json
from export.float16 import with_float16_weights
from export.interface import with_inputs
from export.keras_graph import layer_outputs
from export.metadata import count_nodes, set_metadata
from export.parity import (
    Inputs,
    Parity,
    Progress,
    check_parity,
    first_divergence,
    first_layer_that_diverges,
    parity_text,
    report_path,
)
from export.parity.rounding import Rounding
from export.weights_file import write_model


@dataclass(frozen=True)
class Exported:
    """An exported model.

    Attributes:
        path: the ONNX file.
        conversion: the conversion.
        parity: the result of the parity check.
        files: the ONNX file, and that of its weights if the model is larger than 2 GB.
        rounding: what rounding the weights to float16 changed; None if they were not.
    """

    path: Path
    conversion: Conversion
    parity: Parity
    files: list[Path]
    rounding: Rounding | None = None


def export_model(
    model: keras.Model,
    path: Path | str,
    options: Options | None = None,
    *,
    atol: float | None = None,
    rtol: float | None = None,
    data: Inputs | None = None,
    source: str = "seeded random data",
    report: Path | None = None,
    check: Path | None = None,
    quick: bool = False,
    progress: Progress | None = None,
) -> Exported:
    """Convert a Keras model to ONNX, check that it computes the same values, and write it.

    Args:
        model: the Keras model.
        path: the ONNX file to write.
        options: how to convert.
        atol: a stricter absolute tolerance than that of the parity check; None for its own.
        rtol: a stricter relative tolerance, likewise.
        data: an array for each input to check with, all of which is compared; None for seeded random inputs.
        source: what the report calls the data.
        report: the JSON file for the parity report; None for NAME.parity.json beside the model.
        check: a file for some inputs and their exact outputs, with which `export.verify` repeats the check elsewhere;
            None for none.
        quick: check fewer and smaller batches.
        progress: called after each batch of the check with the rows done and the rows in all.

    Raises:
        UserError: the model can't be converted, or a file can't be written.
        ParityError: the graph computes different values. Nothing was written.
        CheckError: with `float16`, rounding the weights changes the outputs too much. Nothing was written.
    """
    path = Path(path)
    model = with_inputs(model, options.inputs if options else None)
    conversion = convert(model, options)
    parity = check_parity(
        model,
        conversion,
        atol=atol,
        rtol=rtol,
        data=data,
        source=source,
        quick=quick,
        progress=progress,
    )
    if not parity.passed:
        raise ParityError(
            f"{model.name}: expected the ONNX graph to compute what Keras computes, got {parity.failure()}; nothing "
            f"was written; {advice(model, conversion, parity)}",
            parity,
        )
    examples, oracle, rounding = parity.examples, parity.oracle, None
    if conversion.options.float16:
        conversion, rounding = with_float16_weights(model, conversion, parity, data=data, quick=quick)
        examples, oracle = rounding.examples, "the graph with its weights rounded to float16, in float32"
    set_metadata(conversion.proto, {"parity": parity_text(parity)})
    files = write_model(path, conversion.proto, conversion.weights)
    write_json(report or report_path(path), as_json(conversion, parity, rounding))
    if check is not None:
        write_evidence(check, examples, oracle)
    return Exported(path, conversion, parity, files, rounding)


def as_json(conversion: Conversion, parity: Parity, rounding: Rounding | None = None) -> dict[str, Any]:
    """The parity report: the metrics, how the graph was made, and what float16 weights changed."""
    return {
        **parity.as_json(),
        **({} if rounding is None else {"float16_weights": rounding.as_json()}),
        "route": conversion.route,
        "route_reason": conversion.reason,
        "opset": conversion.opset,
        "nodes": count_nodes(conversion.proto),
        "folded": [str(fold) for fold in conversion.folds.folded],
        "not_folded": [str(refusal) for refusal in conversion.folds.refused],
    }


def advice(model: keras.Model, conversion: Conversion, parity: Parity) -> str:
    """What to do about a failed check: the first layer that diverges, or that the difference is rounding."""
    if parity.is_rounding:
        return (
            "the difference is rounding, as in Keras itself, and only above the tolerance asked for: raise --atol and "
            "--rtol, or leave them out"
        )
    if conversion.route == "tf2onnx":
        layer = first_layer_that_diverges(model, conversion)
    else:
        try:
            _, layer = check_layerwise(model, conversion.options, quick=True)
        except KerasnormError as error:
            return f"its layers can't be compared one by one: {error}"
    if layer is not None:
        return f"the first layer that diverges is {layer!r}"
    if conversion.route == "tf2onnx":
        return "no single layer diverges; the values between can't all be told apart by the tf2onnx route"
    return (
        "each layer alone is right, so a fold or another optimization of the graph is not: please report it"
    )


def check_layerwise(
    model: keras.Model,
    options: Options,
    *,
    atol: float | None = None,
    rtol: float | None = None,
    data: Inputs | None = None,
    source: str = "seeded random data",
    quick: bool = False,
    progress: Progress | None = None,
) -> tuple[Parity, str | None]:
    """Compare the output of every Keras layer, without folds, also within nested models.

    Returns:
        The metrics, and the first layer whose error is above its allowance.
    """
    model = with_inputs(model, options.inputs)
    conversion = convert_layerwise(model, options)

    def after_each_layer(arrays: Inputs) -> list[np.ndarray]:
        tensors = [
            keras.ops.convert_to_tensor(array, dtype=symbolic.dtype)
            for array, symbolic in zip(arrays, keras.tree.flatten(model.inputs), strict=True)
        ]
        return [keras.ops.convert_to_numpy(value) for _, value in layer_outputs(model, tensors)]

    parity = check_parity(
        model,
        conversion,
        atol=atol,
        rtol=rtol,
        data=data,
        source=source,
        reference=after_each_layer,
        quick=quick,
        progress=progress,
    )
    return parity, first_divergence(parity, conversion.layers)
