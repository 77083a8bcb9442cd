import json
import shutil
from pathlib import Path

import keras
import numpy as np
import onnx
import pytest

from export.__main__ import main
from export.convert import Options
from export.errors import CheckError
from export.evidence import evidence_path
from export.export import export_model
from export.infer import Classifier
from export.verify import main as verify
from kerasnorm import build_cnn
from tests.export.helpers import functional, randomize

L = keras.layers


def test_a_file_with_float16_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = randomize(build_cnn("bn", (20, 20, 1)))
    model.save(tmp_path / "model.keras")
    small, full = tmp_path / "small.onnx", tmp_path / "full.onnx"
    assert main([str(tmp_path / "model.keras"), "-o", str(small), "--float16", "--quick"]) == 0
    text = capsys.readouterr().out
    assert "float16 weights" in text
    assert "bytes in float32" in text
    assert main([str(tmp_path / "model.keras"), "-o", str(full), "--quick"]) == 0
    assert (
        small.stat().st_size < 0.65 * full.stat().st_size
    )  # what is left are biases and the text of the graph
    proto = onnx.load(small)
    onnx.checker.check_model(proto, full_check=True)
    assert {x.key: x.value for x in proto.metadata_props}["weights"] == "float16"
    record = json.loads(small.with_name("small.parity.json").read_text())["float16_weights"]
    assert record["weights"] == 6
    assert record["kept"] == []
    assert all(0 < x["move"] < 1e-2 for x in record["changes"])
    assert {x["tensor"] for x in record["changes"]} == {"output", "logits"}
    images = np.random.default_rng(0).integers(0, 256, (4, 20, 20), np.uint8)
    one, other = (Classifier(path).predict(images) for path in (small, full))
    assert 0 < np.abs(one - other).max() < 1e-2
    # The check knows the rounded weights: it holds the file to float32, and refuses the other one.
    assert verify([str(small)]) == 0
    shutil.copy(evidence_path(small), evidence_path(full))
    with pytest.raises(CheckError, match="differs by up to"):
        verify([str(full)])


def test_mixed_precision_and_float16_weights(tmp_path: Path) -> None:
    model = functional(
        (8,),
        L.Dense(16, activation="relu", dtype="mixed_float16"),
        L.Dense(5, activation="softmax", dtype="mixed_float16"),
    )
    done = export_model(model, tmp_path / "model.onnx", Options(float16=True), quick=True)
    assert done.rounding is not None
    assert done.rounding.rounded == 2
    assert done.parity.keras_dtypes == ["mixed_float16"]


def cancelling() -> keras.Model:
    """A difference of almost equal numbers, which is mostly rounding in float16."""
    model = functional((8,), L.Dense(16), L.Dense(4))
    first, second = model.layers[1:]
    kernel = np.random.default_rng(0).uniform(1, 2, (8, 8))
    first.kernel.assign(np.concatenate([kernel, kernel * (1 + 1e-4)], 1))
    signs = np.random.default_rng(1).normal(size=(8, 4))
    second.kernel.assign(np.concatenate([signs, -signs]))
    first.bias.assign(np.zeros(16))
    second.bias.assign(np.zeros(4))
    return model


def test_a_model_that_float16_weights_change_is_refused(tmp_path: Path) -> None:
    model = cancelling()
    with pytest.raises(
        CheckError, match=r"with float16 weights, expected the values of 'dense.*' to move by at most 1%"
    ):
        export_model(model, tmp_path / "model.onnx", Options(float16=True), quick=True)
    assert list(tmp_path.iterdir()) == []
    export_model(model, tmp_path / "model.onnx", quick=True)
