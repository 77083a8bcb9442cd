from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest

from export.errors import UserError
from export.runtime import open_session, run_session

MODEL = onnx.parser.parse_model(
    '<ir_version: 8, opset_import: ["": 17]> twice (float[N, 3] x) => (float[N, 3] y) { y = Add(x, x) }'
)


@pytest.mark.parametrize("optimize", [False, True])
@pytest.mark.parametrize("threads", [0, 1])
def test_model_is_opened_from_a_file_and_from_bytes(optimize: bool, threads: int, tmp_path: Path) -> None:
    onnx.save(MODEL, tmp_path / "model.onnx")
    x = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)
    for model in (tmp_path / "model.onnx", str(tmp_path / "model.onnx"), MODEL.SerializeToString()):
        session = open_session(model, threads=threads, optimize=optimize)
        np.testing.assert_array_equal(session.run(None, {"x": x})[0], 2 * x)


def test_unusable_model(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.onnx: expected an ONNX file, found no file of that name"):
        open_session(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(UserError, match=r"text\.onnx: expected an ONNX model that onnxruntime can run: "):
        open_session(tmp_path / "text.onnx")
    with pytest.raises(UserError, match="the graph: expected an ONNX model that onnxruntime can run: "):
        open_session(b"hello")


def declaring(shape: str, path: Path) -> Path:
    text = f'<ir_version: 8, opset_import: ["": 17]> same (float[{shape}] x) => (float[{shape}] y) {{ y = Relu(x) }}'
    onnx.save(onnx.parser.parse_model(text), path)
    return path


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ("N, 60000, 60000, 1", "28,800,000,000"),
        ("60000, 60000", "28,800,000,000"),
        ("100000, 28, 28, 1", "627,200,000"),
        ("4294967296, 4294967296, 4294967296, A", "633,825,300,114,114,700,748,351,602,688"),
    ],
)
def test_huge_declared_input_is_refused(shape: str, size: str, tmp_path: Path) -> None:
    path = declaring(shape, tmp_path / "model.onnx")
    message = rf"model\.onnx: expected at most 100 times .*, got {size} bytes of inputs and outputs"
    for given in (path, str(path)):
        with pytest.raises(UserError, match=message):
            open_session(given)


@pytest.mark.parametrize("shape", ["N, H, W, C", "32, 224, 224, 3", "1, 3, 2048, 2048", "", "0, 60000"])
def test_other_shapes_are_accepted(shape: str, tmp_path: Path) -> None:
    assert open_session(declaring(shape, tmp_path / "model.onnx")).get_inputs()[0].name == "x"


def test_model_that_fails(tmp_path: Path) -> None:
    onnx.save(MODEL, tmp_path / "model.onnx")
    session = open_session(tmp_path / "model.onnx")
    x = np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(run_session(session, {"x": x}, "model.onnx")[0], 2 * x)
    for wrong in (np.ones((2, 4), np.float32), np.ones((2, 3), np.float64)):
        with pytest.raises(
            UserError, match=r"^model\.onnx: expected a model that runs with inputs of float\d\d \(2, "
        ):
            run_session(session, {"x": wrong}, "model.onnx")
