from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest

from export.errors import UserError
from export.runtime import open_session

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
