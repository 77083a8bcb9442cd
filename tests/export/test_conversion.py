"""Options and Conversion."""

import onnx
import pytest

from export.conversion import DEFAULT_OPSET, HIGHEST_OPSET, LOWEST_OPSET, Conversion, Options
from export.errors import UserError


@pytest.mark.parametrize("opset", [7, LOWEST_OPSET - 1, HIGHEST_OPSET + 1])
def test_opset_out_of_range(opset: int) -> None:
    with pytest.raises(UserError, match=f"opset: expected 13 to 23, got {opset}"):
        Options(opset=opset)


@pytest.mark.parametrize("opset", [None, LOWEST_OPSET, HIGHEST_OPSET])
def test_opset_in_range(opset: int | None) -> None:
    assert Options(opset=opset).opset == opset


@pytest.mark.parametrize("batch", [0, -1])
def test_batch_out_of_range(batch: int) -> None:
    with pytest.raises(UserError, match=f"batch: expected 1 or more, got {batch}"):
        Options(batch=batch)


def test_conversion_opset_ignores_other_domains() -> None:
    opsets = [onnx.helper.make_opsetid("com.microsoft", 1), onnx.helper.make_opsetid("", DEFAULT_OPSET)]
    model = onnx.helper.make_model(onnx.helper.make_graph([], "empty", [], []), opset_imports=opsets)
    conversion = Conversion(model, Options(), "direct", [], [], (0.0, 1.0))
    assert conversion.opset == 17
    assert (conversion.reason, conversion.layers) == ("", [])
    assert (conversion.folds.folded, conversion.folds.refused) == ((), ())
