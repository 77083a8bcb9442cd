import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from export.errors import UserError
from export.keras2.filter_response import FilterResponseNormalization
from export.load import load_model
from tests.export.helpers import functional
from tests.export.keras2.helpers import MODELS, check_outputs

# Prints the modules of export.keras2 that loading a model imports.
PROGRAM = """
import sys
from export.command import import_tensorflow_quietly
import_tensorflow_quietly()
from export.load import load_model
model = load_model(sys.argv[1])
print(*(name for name in sys.modules if name.startswith("export.keras2")))
print(*(type(layer).__name__ for layer in model.layers))
"""


def load_in_a_new_process(path: Path) -> list[list[str]]:
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [line.split() for line in done.stdout.splitlines()]


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_keras_2_package_is_not_imported_for_a_model_of_keras_3(suffix: str, tmp_path: Path) -> None:
    functional((4,), keras.layers.Dense(3)).save(tmp_path / f"model{suffix}")
    assert load_in_a_new_process(tmp_path / f"model{suffix}") == [[], ["InputLayer", "Dense"]]


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("module", ["export.keras2.filter_response", "export.addons"])
def test_filter_response_normalization_is_imported_by_its_name(
    suffix: str, module: str, tmp_path: Path
) -> None:
    """Also from files of earlier versions, which had the layer in export.addons."""
    path = tmp_path / f"model{suffix}"
    functional((6, 7, 3), FilterResponseNormalization()).save(path)
    if suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
        config = json.loads(parts["config.json"])
        config["config"]["layers"][1]["module"] = module
        parts["config.json"] = json.dumps(config).encode()
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in parts.items():
                archive.writestr(name, content)
    modules, layers = load_in_a_new_process(path)
    assert "export.keras2.filter_response" in modules
    assert layers == ["InputLayer", "FilterResponseNormalization"]


@pytest.mark.parametrize("name", ["cnn.h5", "stock.h5", "stock.keras", "nested-saved"])
def test_models_of_keras_2(name: str) -> None:
    check_outputs(MODELS / name, load_model(MODELS / name))


def test_unknown_layer_of_tensorflow_addons() -> None:
    with pytest.raises(
        UserError, match=r"expected of tensorflow-addons only .*, got Maxout; build the model"
    ):
        load_model(MODELS / "maxout.keras")


def test_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"or a SavedModel of Keras 2, got another folder"):
        load_model(tmp_path)


def test_lambda_layer_is_not_run(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Lambda(lambda x: x + 1)])
    model.save(tmp_path / "model.keras")
    with pytest.raises(UserError, match="it has a Lambda layer, whose code is not run"):
        load_model(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras", unsafe=True)
    np.testing.assert_array_equal(loaded(np.zeros((1, 3), "float32")), np.ones((1, 3)))


def double(x: Any) -> Any:
    return x + x


def test_names_that_lambda_layers_use(tmp_path: Path) -> None:
    """Keras would not find them."""
    inputs = keras.Input((3,))
    x = keras.layers.Lambda(lambda x: keras.ops.square(x) * np.float32(3))(inputs)
    model = keras.Model(inputs, keras.layers.Lambda(lambda x: double(x), output_shape=(3,))(x))
    model.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras", unsafe=True, custom_objects={"double": double})
    np.testing.assert_array_equal(loaded(np.full((1, 3), 2.0, "float32")), np.full((1, 3), 24))


def test_layer_that_is_not_registered(tmp_path: Path) -> None:
    class Twice(keras.layers.Layer):
        def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
            return 2 * x

    functional((3,), Twice()).save(tmp_path / "model.keras")
    with pytest.raises(
        UserError, match=r"it needs code that Keras does not have: Twice; name the Python file with --import"
    ):
        load_model(tmp_path / "model.keras")
    model = load_model(tmp_path / "model.keras", custom_objects={"Twice": Twice})
    assert type(model.layers[-1]) is Twice


def test_object_that_is_no_model(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    functional((3,), keras.layers.Dense(2)).save(path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["config.json"] = json.dumps(keras.saving.serialize_keras_object(keras.layers.ReLU())).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    with pytest.raises(UserError, match=r"model\.keras: expected a Keras model"):
        load_model(path)


def test_weights_are_those_of_the_file(tmp_path: Path) -> None:
    model = functional((4,), keras.layers.Dense(3))
    model.save(tmp_path / "model.keras")
    x = np.random.default_rng(0).normal(size=(2, 4)).astype(np.float32)
    np.testing.assert_array_equal(load_model(tmp_path / "model.keras")(x), model(x))
