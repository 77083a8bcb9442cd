from pathlib import Path

import pytest

from export.errors import UserError
from export.infer_metadata import read_class_names, read_input_range, read_layout

PATH = Path("model.onnx")


def test_values_of_empty_metadata() -> None:
    assert read_layout(PATH, {}) == "nhwc"
    assert read_input_range(PATH, {}) == (0, 255)
    assert read_class_names(PATH, {}, 3) is None


def test_values() -> None:
    assert read_layout(PATH, {"input_layout": "nchw"}) == "nchw"
    assert read_layout(PATH, {"input_layout": "nchw"}, "output_layout") == "nhwc"
    assert read_input_range(PATH, {"input_range": "[-1, 0.5]"}) == (-1, 0.5)
    assert read_class_names(PATH, {"class_names": '["cat", "d\\u00f6g"]'}, 2) == ("cat", "dög")
    assert read_class_names(PATH, {"class_names": '["cat", "dog"]'}, "classes") == ("cat", "dog")
    assert read_class_names(PATH, {"class_names": "[]"}, 2) is None


@pytest.mark.parametrize("text", ["", "NCHW", "nchw\n", "\x1b[2J"])
def test_malformed_layout(text: str) -> None:
    with pytest.raises(
        UserError, match=r"^model\.onnx: expected input_layout nhwc or nchw in the metadata, got '"
    ):
        read_layout(PATH, {"input_layout": text})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0, 255",
        "null",
        "255",
        "[0]",
        "[0, 1, 2]",
        '["0", "1"]',
        "[[0], [1]]",
        "[false, true]",
        "[null, 1]",
        '{"0": 1, "1": 2}',
        "[0, NaN]",
        "[NaN, NaN]",
        "[0, Infinity]",
        "[-1e999, 1]",
        "[0, 1e39]",
        "[1, 1]",
        "[255, 0]",
        "[0, 1" + "0" * 400 + "]",
        "[0, 1" + "0" * 9999 + "]",
        "[" * 10**5,
        "[" * 10**5 + "]" * 10**5,
    ],
)
def test_malformed_input_range(text: str) -> None:
    with pytest.raises(
        UserError, match=r"^model\.onnx: expected input_range \[LOW, HIGH\] in the metadata, got '"
    ) as caught:
        read_input_range(PATH, {"input_range": text})
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "text",
    [
        "",
        "cat,dog",
        "null",
        "5",
        '"ab"',
        "[0, 1]",
        '["cat", null]',
        '[["cat"], ["dog"]]',
        '{"0": "cat"}',
        "[" * 10**5,
    ],
)
def test_malformed_class_names(text: str) -> None:
    with pytest.raises(
        UserError, match=r"^model\.onnx: expected class_names, a list of texts, in the metadata, got '"
    ):
        read_class_names(PATH, {"class_names": text}, 2)


def test_number_of_class_names() -> None:
    with pytest.raises(UserError, match=r"^model\.onnx: expected 3 class names in the metadata, got 2$"):
        read_class_names(PATH, {"class_names": '["cat", "dog"]'}, 3)
