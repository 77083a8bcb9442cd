from pathlib import Path

import numpy as np
import onnx
import pytest

from export.errors import UserError
from export.evidence import Example, write_evidence
from export.web.models import names_of, read_model
from tests.export.serving import write_model
from tests.export.web.helpers import PIXELS, write_checked


def test_what_the_page_has_to_know(tmp_path: Path) -> None:
    metadata = {"input_range": "[-1, 1]", "parity": '{"data": "test images"}'}
    model = read_model(write_checked(tmp_path / "three.onnx", metadata))
    assert (model.name, model.oracle, model.source) == ("three", "the formula in float64", "test images")
    assert model.interface() == {
        "name": "three",
        "input": {
            **{"name": "x", "dtype": "float32", "layout": "nhwc", "batch": None},
            **{"height": 1, "width": 3, "channels": 1, "low": -1.0, "high": 1.0, "smallAndGrey": True},
        },
        "output": "y",
        "classes": [
            "red <b>&",
            "green\\u202e",
            "blue",
        ],  # marks that change the direction of text are escaped
    }
    np.testing.assert_array_equal(model.examples[0].inputs["x"], PIXELS)
    assert model.content == (tmp_path / "three.onnx").read_bytes()


@pytest.mark.parametrize("out", ["N, 3", "N, C"])
def test_classes_without_names_are_indices(tmp_path: Path, out: str) -> None:
    model = read_model(write_model(tmp_path / "three.onnx", out=out))
    assert model.classes == ("0", "1", "2")
    assert model.examples == []


@pytest.mark.parametrize("parity", ["", "[", "[1]", '{"data": 3}', '{"other": 1}', "[" * 100_000])
def test_metadata_of_strangers(tmp_path: Path, parity: str) -> None:
    assert read_model(write_model(tmp_path / "three.onnx", metadata={"parity": parity})).source == ""


def test_weights_in_another_file(tmp_path: Path) -> None:
    path = write_model(tmp_path / "three.onnx")
    model = onnx.load(path)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones(1000, np.float32), "large"))
    onnx.save(model, path, save_as_external_data=True, location="three.onnx.data", size_threshold=100)
    with pytest.raises(
        UserError, match=r"three\.onnx: expected a model in one file, got one with weights in"
    ):
        read_model(path)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (
            {"dtype": "float16"},
            "expected an input of float32, float64, uint8 and an output of .* got 'x' of float16",
        ),
        ({"shape": "N, 3"}, "expected a classifier of images"),
        ({"metadata": {"class_names": '["a"]'}}, "expected 3 class names in the metadata, got 1"),
    ],
)
def test_what_no_page_can_run(tmp_path: Path, how: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_model(write_model(tmp_path / "model.onnx", **how))


def test_a_damaged_check(tmp_path: Path) -> None:
    path = write_checked(tmp_path / "three.onnx")
    (tmp_path / "three.check.zip").write_bytes(b"PK")
    with pytest.raises(UserError, match="expected a model's check that can be read"):
        read_model(path)


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        ({"x": PIXELS[:, :, :0]}, {"y": np.ones((2, 3))}),
        ({"x": PIXELS[..., :0]}, {"y": np.ones((2, 3))}),
        ({"x": np.repeat(PIXELS, 3, -1)}, {"y": np.ones((2, 3))}),
        ({"x": PIXELS[:, :, :2]}, {"y": np.ones((2, 3))}),
        ({"x": PIXELS[0]}, {"y": np.ones((2, 3))}),
        ({"x": np.array([[[["a"]]]], object)}, {"y": np.ones((2, 3))}),
        ({"other": PIXELS}, {"y": np.ones((2, 3))}),
        ({"x": PIXELS}, {"z": np.ones((2, 3))}),
        ({"x": PIXELS}, {"y": np.array([["a"]], object)}),
    ],
)
def test_a_check_of_another_model(
    tmp_path: Path, inputs: dict[str, np.ndarray], outputs: dict[str, np.ndarray]
) -> None:
    path = write_checked(tmp_path / "three.onnx")
    allowances = dict.fromkeys(outputs, (0.0, 0.0))
    write_evidence(tmp_path / "three.check.zip", [Example("k", inputs, outputs, allowances)], "")
    with pytest.raises(
        UserError, match=r"three\.check\.zip: expected the check of .*three\.onnx, got that of another"
    ):
        read_model(path)


def test_names_of_models() -> None:
    assert names_of([Path("a/bn.onnx"), Path("b/gn.onnx")]) == ["bn", "gn"]
    assert names_of([Path("/a/model.onnx"), Path("/b/model.onnx"), Path("c.onnx")]) == [
        *("a/model", "b/model"),
        "c",
    ]
