"""python -m export: options, output, errors and exit codes."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import pytest

from export.__main__ import cli
from kerasnorm import build_cnn
from tests.export.helpers import functional, randomize

L = keras.layers


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.keras"
    randomize(build_cnn("gn")).save(path)
    return path


@pytest.fixture
def export(here: Callable[..., Any]) -> Callable[..., Any]:
    return partial(here, cli)


def test_writes_the_model_and_its_report(command: Callable[..., Any], model: Path) -> None:
    done = command("export", model)
    assert (done.returncode, done.stderr) == (0, "")
    assert "probabilities  batch 32" in done.stdout
    assert "route direct, largest difference" in done.stdout
    assert sorted(path.name for path in model.parent.iterdir()) == [
        "model.check.zip",
        "model.keras",
        "model.onnx",
        "model.parity.json",
    ]


def test_options(export: Callable[..., Any], model: Path, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (50, 28, 28), np.uint8)
    np.savez(tmp_path / "images.npz", x_test=images)
    out = tmp_path / "out.onnx"
    options = [
        "--raw-pixels",
        "--input-layout",
        "nchw",
        "--batch",
        2,
        "--check-data",
        tmp_path / "images.npz",
    ]
    names = "a,b,c,d,e,f,g,h,i,j"
    code, _, errors = export(model, "-o", out, *options, "--opset", 18, "--class-names", names)
    assert (code, errors) == (0, "")
    graph = onnx.load(out).graph
    shape = [axis.dim_value for axis in graph.input[0].type.tensor_type.shape.dim]
    assert shape == [2, 1, 28, 28]


def test_layerwise_writes_no_file(export: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "small.keras"
    functional((8, 8, 1), L.Conv2D(4, 3), L.GroupNormalization(2), L.ReLU(), L.Flatten(), L.Dense(3)).save(
        path
    )
    code, output, _ = export(path, "--layerwise")
    assert code == 0
    assert "the outputs of all layers are equal within the tolerances" in output
    assert list(tmp_path.iterdir()) == [path]


def test_difference_above_tolerance_writes_no_file(export: Callable[..., Any], model: Path) -> None:
    code, output, errors = export(model, "--atol", 0, "--rtol", 0)
    assert code == 1
    assert errors.count("\n") == 1
    assert "nothing was written" in errors
    assert "above tolerance" in output
    assert list(model.parent.iterdir()) == [model]


def test_help_takes_less_than_a_second(command: Callable[..., Any]) -> None:
    import time

    command("export", "--help")
    for module in ("export", "export.infer", "export.bench"):
        start = time.monotonic()
        assert command(module, "--help").returncode == 0
        assert time.monotonic() - start < 1


def damaged_model(path: Path) -> Path:
    path.with_name("part.keras").write_bytes(path.read_bytes()[:5000])
    return path.with_name("part.keras")


def text_file(path: Path) -> Path:
    path.with_name("text.keras").write_text("hello")
    return path.with_name("text.keras")


def lambda_layer(path: Path) -> Path:
    keras.Sequential([keras.Input((3,)), L.Lambda(lambda x: x + 1)]).save(path.with_name("lambda.keras"))
    return path.with_name("lambda.keras")


def custom_layer(path: Path) -> Path:
    class Mine(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return x

    keras.Sequential([keras.Input((3,)), Mine()]).save(path.with_name("custom.keras"))
    return path.with_name("custom.keras")


def layer_in_training(path: Path) -> Path:
    x = keras.Input((3,))
    keras.Model(x, L.Dropout(0.5, name="always")(x, training=True)).save(path.with_name("trains.keras"))
    return path.with_name("trains.keras")


def h5_text_file(path: Path) -> Path:
    path.with_name("text.h5").write_text("hello")
    return path.with_name("text.h5")


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (
            lambda path: path.with_name("none.keras"),
            [],
            "none.keras: expected a Keras model, found no such file",
        ),
        (lambda path: path.parent, [], "a SavedModel of Keras 2, got another folder"),
        (text_file, [], "text.keras: expected a Keras model, got a file that is no .keras archive"),
        (h5_text_file, [], "text.h5: expected a Keras model that can be loaded"),
        (
            damaged_model,
            [],
            "part.keras: expected a Keras model, got a file that is no .keras archive, or a part of one",
        ),
        (lambda_layer, [], "it has a Lambda layer, whose code is not run"),
        (custom_layer, [], "it needs code that Keras does not have"),
        (
            layer_in_training,
            [],
            "layer 'always' (Dropout): expected a model for inference, got a layer that is called with training=True",
        ),
        (lambda path: path, ["--opset", 40], "opset: expected 13 to 23, got 40"),
        (lambda path: path, ["--portable", "--opset", 17], "GroupNormalization needs opset 21, got 17"),
        (lambda path: path, ["--batch", 0], "batch: expected 1 or more, got 0"),
        (lambda path: path, ["--atol", -1], "atol: expected 0 or more, got -1.0"),
        (lambda path: path, ["--input-range", 1, 0], "input-range: expected LOW below HIGH, got 1.0 0.0"),
        (lambda path: path, ["--check-data", "none.npz"], "none.npz: expected a .npz file, found nothing"),
        (
            lambda path: path,
            ["-o", "/dev/null/x.onnx"],
            "/dev/null/x.onnx: expected a file name in an existing folder",
        ),
        (lambda path: path, ["-o", "/proc/x.onnx"], "cannot write /proc/x.onnx: "),
        (lambda path: path, ["--route", "best"], "argument --route: invalid choice: 'best'"),
    ],
)
def test_unusable_input_is_one_line_and_exit_code_2(
    export: Callable[..., Any], model: Path, make: Callable[[Path], Path], options: list[object], message: str
) -> None:
    given = make(model)
    before = sorted(path.name for path in model.parent.iterdir())
    code, _, errors = export(given, *options)
    assert code == 2
    assert errors.count("\n") == 1, errors
    assert message in errors
    assert sorted(path.name for path in model.parent.iterdir()) == before


@keras.saving.register_keras_serializable("tests_of_main")
class Memory(keras.layers.Layer):
    """Computed by TensorFlow, which can't compute with symbolic tensors."""

    def call(self, x: Any) -> Any:
        import tensorflow as tf

        return tf.cumsum(x, axis=1)


def test_unsupported_layer_on_the_direct_route(export: Callable[..., Any], tmp_path: Path) -> None:
    functional((5, 3), Memory(name="memory"), L.Dense(2)).save(tmp_path / "model.keras")
    code, _, errors = export(tmp_path / "model.keras", "--route", "direct")
    assert code == 2
    assert errors.count("\n") == 1
    assert "layer 'memory' (Memory): its call can't be traced into keras.ops" in errors
    assert "add a lowering with export.lowerings.register_lowering(Memory)" in errors
    code, output, errors = export(tmp_path / "model.keras")
    assert (code, errors) == (0, "")
    assert "converted by tf2onnx: layer 'memory' (Memory)" in output
    assert "route mixed" in output
