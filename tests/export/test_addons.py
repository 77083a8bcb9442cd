"""Models saved by Keras 2.15 with tensorflow-addons 0.23 (tests/addons/save_models.py), read into Keras 3."""

import shutil
import subprocess
from pathlib import Path

import keras
import numpy as np
import pytest

from export.addons import FilterResponseNormalization, is_keras_2, load_model
from export.errors import UserError
from export.export import export_model
from export.load import load_model as load_any

SCRIPT = Path(__file__).parent.parent / "addons/save_models.py"
MODELS = SCRIPT.parent / "models"
FILES = sorted(path.name for path in MODELS.iterdir() if path.suffix in (".h5", ".keras") or path.is_dir())
FILES = [name for name in FILES if not name.startswith("maxout")]


def check(path: Path, model: keras.Model) -> None:
    """The outputs are those that tensorflow-addons computed."""
    with np.load(path.with_name(path.name.split(".")[0].removesuffix("-saved") + ".npz")) as file:
        inputs = [file[name] for name in file.files if name.startswith("input")]
        expected = [file[name] for name in file.files if name.startswith("output")]
    outputs = model(inputs if len(inputs) > 1 else inputs[0])
    outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
    for output, one in zip(outputs, expected, strict=True):
        assert np.ptp(one) > 0.01
        np.testing.assert_allclose(output, one, rtol=1e-5, atol=1e-5)


def test_all_formats_are_there() -> None:
    assert len(FILES) == 11


@pytest.mark.parametrize("name", FILES)
def test_outputs_are_those_of_the_real_layers(name: str) -> None:
    assert is_keras_2(MODELS / name) or name == "stock.h5"
    told: list[str] = []
    model = load_model(MODELS / name, tell=told.append)
    check(MODELS / name, model)
    assert (
        len(told)
        == {"cnn": 5, "nested": 3, "sequence": 3, "stock": 0}[name.split(".")[0].removesuffix("-saved")]
    )
    for layer in model._flatten_layers():
        assert type(layer).__module__.startswith("keras.") or type(layer) is FilterResponseNormalization


@pytest.mark.parametrize("name", ["cnn.h5", "cnn.keras", "cnn-saved"])
def test_spectral_normalization_can_be_trained_on(name: str, tmp_path: Path) -> None:
    model = load_model(MODELS / name, trainable=True, tell=lambda line: None)
    check(MODELS / name, model)
    (layer,) = [one for one in model.layers if isinstance(one, keras.layers.SpectralNormalization)]
    assert layer.power_iterations == 2
    before = np.asarray(layer.vector_u).copy()
    model(np.ones((1, 12, 12, 3), np.float32), training=True)
    assert np.abs(np.asarray(layer.vector_u) - before).max() > 0
    model.save(tmp_path / "new.keras")
    keras.models.load_model(tmp_path / "new.keras")


def test_it_exports_by_the_direct_route(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = load_any(MODELS / "cnn.h5")
    assert "wn: WeightNormalization of tensorflow-addons replaced by Conv2D" in capsys.readouterr().err
    assert export_model(model, tmp_path / "cnn.onnx").conversion.route == "direct"


def test_what_is_not_known_is_named(tmp_path: Path) -> None:
    for name in ("maxout.h5", "maxout.keras"):
        with pytest.raises(
            UserError, match=r"expected of tensorflow-addons only .*, got Maxout; build the model"
        ):
            load_any(MODELS / name)
    with pytest.raises(UserError, match="found nothing of that name"):
        load_model(tmp_path / "gone.h5")
    with pytest.raises(UserError, match=r"found no keras_metadata\.pb in it"):
        load_model(tmp_path)
    (tmp_path / "cut.h5").write_bytes((MODELS / "cnn.h5").read_bytes()[:3000])
    with pytest.raises(UserError, match="expected a model that Keras 2 saved"):
        load_model(tmp_path / "cut.h5")
    shutil.copytree(MODELS / "cnn-saved", tmp_path / "saved")
    (tmp_path / "saved/variables/variables.index").unlink()
    with pytest.raises(UserError, match="expected a Keras 2 model that can be rebuilt"):
        load_model(tmp_path / "saved")


def test_group_normalization_is_tensorflow_addons_own() -> None:
    import tensorflow as tf

    with np.load(MODELS / "gradients.npz") as file:
        arrays = {name: file[name] for name in file.files}
    for groups in sorted({name.split("/")[0] for name in arrays}):
        found = {name.split("/")[1]: value for name, value in arrays.items() if name.startswith(f"{groups}/")}
        layer = keras.layers.GroupNormalization(int(groups), epsilon=1e-5, dtype="float64")
        layer.build(found["x"].shape)
        layer.gamma.assign(found["gamma"])
        layer.beta.assign(found["beta"])
        x = tf.constant(found["x"])
        with tf.GradientTape() as tape:
            tape.watch(x)
            output = layer(x)
            loss = tf.reduce_sum(output * found["weight"])
        gradients = tape.gradient(loss, [x, layer.gamma.value, layer.beta.value])
        np.testing.assert_allclose(output, found["output"], rtol=1e-9, atol=1e-9)
        for gradient, name in zip(gradients, ("dx", "dgamma", "dbeta"), strict=True):
            np.testing.assert_allclose(gradient, found[name], rtol=1e-8, atol=1e-8)


@pytest.mark.slow
def test_against_the_real_package(tmp_path: Path) -> None:
    python = next((name for name in ("python3.11", "python3.10") if shutil.which(name)), None)
    if python is None:
        pytest.skip(
            "tensorflow-addons needs Python 3.10 or 3.11, found neither: the fixtures alone were tested"
        )
    subprocess.run([python, "-m", "venv", tmp_path / "old"], check=True)
    packages = ["tensorflow-cpu==2.15.1", "tensorflow-addons==0.23.0"]
    pip: list[str | Path] = [tmp_path / "old/bin/pip", "install", "-q", *packages]
    if subprocess.run(pip, capture_output=True).returncode:
        pytest.skip(f"{' '.join(packages)} could not be installed: the fixtures alone were tested")
    done = subprocess.run(
        [tmp_path / "old/bin/python", SCRIPT, tmp_path / "models"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-500:]
    for name in FILES:
        check(tmp_path / "models" / name, load_model(tmp_path / "models" / name, tell=lambda line: None))
