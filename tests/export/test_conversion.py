"""Options and Conversion."""

import dataclasses
from typing import Any

import onnx
import pytest

from export.conversion import Conversion, Options
from export.errors import UserError
from export.targets import HIGHEST_OPSET, LOWEST_OPSET, TARGETS


@pytest.mark.parametrize("opset", [7, LOWEST_OPSET - 1, HIGHEST_OPSET + 1])
def test_opset_out_of_range(opset: int) -> None:
    with pytest.raises(UserError, match=f"opset: expected 13 to 23, got {opset}"):
        Options(opset=opset)


@pytest.mark.parametrize("opset", [None, LOWEST_OPSET, HIGHEST_OPSET])
def test_opset_in_range(opset: int | None) -> None:
    assert Options(opset=opset).opset == opset


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "tensorrt", "opset": 21}, "opset: expected 13 to 20, got 21, for target tensorrt"),
        ({"target": "openvino", "opset": 17}, "opset: expected 18 to 23, got 17, for target openvino"),
        ({"target": "phone"}, "target: expected onnxruntime, onnxruntime-web, .*, got 'phone'"),
        ({"input_layout": "chw"}, "input_layout: expected nhwc or nchw, got 'chw'"),
        ({"output_layout": "NCHW"}, "output_layout: expected nhwc or nchw, got 'NCHW'"),
    ],
)
def test_unknown_targets_and_layouts(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Options(**options)


def test_portable_is_a_target() -> None:
    assert Options(portable=True) == Options(target="portable")
    assert dataclasses.replace(Options(portable=True), batch=2) == Options(target="portable", batch=2)
    assert Options(target="openvino").runtime is TARGETS["openvino"]


@pytest.mark.parametrize("batch", [0, -1])
def test_batch_out_of_range(batch: int) -> None:
    with pytest.raises(UserError, match=f"batch: expected 1 or more, got {batch}"):
        Options(batch=batch)


def test_conversion_opset_ignores_other_domains() -> None:
    opsets = [onnx.helper.make_opsetid("com.microsoft", 1), onnx.helper.make_opsetid("", 17)]
    model = onnx.helper.make_model(onnx.helper.make_graph([], "empty", [], []), opset_imports=opsets)
    conversion = Conversion(model, Options(), "direct", [], [], (0.0, 1.0))
    assert conversion.opset == 17
    assert (conversion.reason, conversion.layers) == ("", [])
    assert (conversion.folds.folded, conversion.folds.refused) == ((), ())
