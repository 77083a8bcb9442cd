"""Static quantization to int8: what is kept, what is refused, and what the files say."""

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import pytest

from export import quantize as module
from export.__main__ import cli
from export.convert import Conversion, Options, convert
from export.errors import UserError
from export.evidence import read_evidence
from export.export import export_model
from export.infer import Classifier
from export.quantize import check_quantizable, quantize
from export.verify import verify
from tests.export.helpers import functional

L = keras.layers
CLASSES, ROWS = 3, 80


def data() -> tuple[np.ndarray, np.ndarray]:
    """Noisy images of three patterns, and the pattern of each."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, ROWS)
    patterns = rng.normal(0.5, 0.3, (CLASSES, 10, 10, 1))
    return np.clip(patterns[labels] + rng.normal(0, 0.1, (ROWS, 10, 10, 1)), 0, 1).astype(np.float32), labels


@pytest.fixture(scope="module")
def trained() -> keras.Model:
    """A small convolutional network that knows the patterns."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((10, 10, 1), name="image"),
            L.Conv2D(16, 3, padding="same", activation="relu"),
            L.MaxPool2D(),
            L.Conv2D(16, 3, padding="same", activation="relu"),
            L.Flatten(),
            L.Dense(CLASSES, activation="softmax"),
        ]
    )
    images, labels = data()
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    model.fit(images, labels, batch_size=16, epochs=6, verbose=0)
    return model


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """The median times that are "measured", by the name of the graph."""
    median = {"float32": 2.0, "products": 1.0, "all operators": 1.5}

    def time_calls(calls: dict[str, Callable[[], object]], seconds: float) -> dict[str, list[float]]:
        return {name: [median[name]] * 3 for name in calls}

    monkeypatch.setattr(module, "time_calls", time_calls)
    return median


def exported(model: keras.Model, path: Path, **options: Any) -> Any:
    images, labels = data()
    if options.get("raw_pixels"):
        images = np.round(255 * images)
    return export_model(
        model,
        path,
        Options(quantize="int8", **options),
        data=[images],
        labels=labels,
        check=path.with_name("model.check.zip"),
        quick=True,
    )


def kinds_in(path: Path) -> set[str]:
    return {node.op_type for node in onnx.load(path).graph.node}


def test_a_faster_graph_is_kept(trained: keras.Model, times: dict[str, float], tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    done = exported(trained, path, class_names=("a", "b", "c"))
    assert {"QuantizeLinear", "DequantizeLinear"} <= kinds_in(path)
    quantized = done.quantized
    assert (quantized.calibration_rows, quantized.evaluation_rows) == (ROWS // 2, ROWS // 2)
    assert quantized.before.accuracy > 0.9
    assert quantized.after.accuracy > quantized.before.accuracy - 0.01
    assert 0 < quantized.after.error < 0.1
    assert "the int8 graph is written: int8 is faster: accuracy" in quantized.line()
    # An old quantizer can't leave out a softmax.
    assert re.search(r"2 ms in float32 and 1(\.5)? ms in int8 at batch 1 \((2.00|1.33)x\)", quantized.line())
    report = json.loads((tmp_path / "model.parity.json").read_text())
    assert report["quantization"]["kept"] is True
    metadata = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert json.loads(metadata["quantization"])["mode"] == "int8"
    assert json.loads(metadata["class_names"]) == ["a", "b", "c"]
    examples, _ = read_evidence(tmp_path / "model.check.zip")
    assert all(result.within for result in verify(path, examples))
    assert Classifier(path).class_names == ("a", "b", "c")


def test_a_slower_graph_is_not(trained: keras.Model, times: dict[str, float], tmp_path: Path) -> None:
    times["products"] = times["all operators"] = 2.5
    done = exported(trained, tmp_path / "model.onnx")
    assert "QuantizeLinear" not in kinds_in(tmp_path / "model.onnx")
    assert "the float32 graph is written: int8 is not faster here: accuracy" in done.quantized.line()
    report = json.loads((tmp_path / "model.parity.json").read_text())
    assert (report["quantization"]["kept"], report["passed"]) == (False, True)


def test_a_graph_that_loses_accuracy_is_not(times: dict[str, float], monkeypatch: pytest.MonkeyPatch) -> None:
    # One input in a thousand is a thousand times as large, so that 8 bits leave nothing of the others.
    model = functional((20,), L.Dense(16, activation="tanh"), L.Dense(4, activation="softmax"))
    x = np.random.default_rng(0).normal(size=(400, 20)).astype(np.float32)
    x[::7, 3] = 1000
    result = quantize(model, convert(model), [x], None)
    assert result.model is None
    assert "int8 is refused, " in result.reason
    assert "% of the classes change: " in result.reason


def test_calibration_and_evaluation_have_no_row_in_common(
    trained: keras.Model, times: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    images, _ = data()
    images[:, 0, 0, 0] = np.arange(ROWS) / ROWS
    seen: list[float] = []

    def spy(conversion: Conversion, arrays: list[np.ndarray]) -> list[np.ndarray]:
        seen.extend(arrays[0][:, 0, 0, 0].tolist())
        return arrays

    monkeypatch.setattr(module, "graph_inputs", spy)
    quantize(trained, convert(trained), [images])
    assert len(set(seen)) == len(seen) == ROWS


def test_fixed_batch_in_another_layout(trained: keras.Model, times: dict[str, float], tmp_path: Path) -> None:
    done = exported(trained, tmp_path / "model.onnx", batch=3, input_layout="nchw", raw_pixels=True)
    quantized = done.quantized
    assert (quantized.calibration_rows, quantized.evaluation_rows) == (39, 39)
    assert list(quantized.milliseconds) == [3]


def test_a_graph_without_operators_of_integers(times: dict[str, float]) -> None:
    model = functional((4,), L.Activation("softplus"))
    result = quantize(model, convert(model), [np.ones((20, 4), np.float32)])
    assert result.model is None
    assert "int8 has no operator that this graph has" in result.line()


def test_what_is_refused(trained: keras.Model) -> None:
    images, _ = data()
    with pytest.raises(UserError, match="expected real inputs to calibrate with, got none; give some with"):
        check_quantizable(trained, None)
    with pytest.raises(UserError, match=r"expected 16 rows of data or more, half .*, got 5; give more"):
        check_quantizable(trained, [images[:5]])
    with pytest.raises(UserError, match="expected 80 rows of data or more for batches of 40, got 60; give"):
        quantize(trained, convert(trained, Options(batch=40)), [images[:60]])
    model = functional((8,), L.Dense(4, name="one"))
    model.layers[1].quantize("int8")
    with pytest.raises(UserError, match="layer 'one' is quantized to int8 already; export it without"):
        check_quantizable(model, [np.ones((20, 8))])
    with pytest.raises(UserError, match="quantize: expected 'int8' or None, got 'int4'"):
        Options(quantize="int4")  # type: ignore[arg-type]


def test_command_line(
    here: Callable[..., Any], trained: keras.Model, times: dict[str, float], tmp_path: Path
) -> None:
    export = partial(here, cli)
    images, labels = data()
    trained.save(tmp_path / "model.keras")
    np.savez(tmp_path / "data.npz", x=images, y=labels)
    np.savez(tmp_path / "wrong.npz", x=images, y=labels[:3])
    model = tmp_path / "model.keras"
    code, _, errors = export(model, "--quantize", "int8")
    assert (code, errors.count("\n")) == (2, 1)
    assert "quantize: expected real inputs to calibrate with, got none" in errors
    code, _, errors = export(model, "--quantize", "int8", "--check-data", tmp_path / "wrong.npz")
    assert (code, errors.count("\n")) == (2, 1)
    assert "expected labels for 80 rows, numbers of shape (80, ...), got int64 (3,)" in errors
    assert not (tmp_path / "model.onnx").exists()
    code, output, errors = export(
        model, "--quantize", "int8", "--check-data", tmp_path / "data.npz", "--quick"
    )
    assert (code, errors) == (0, "")
    assert "quantization: the int8 graph is written: int8 is faster: accuracy" in output
