import json
import subprocess
import sys
import warnings
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


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_keras_2_package_is_not_imported_for_a_model_of_keras_3(suffix: str, tmp_path: Path) -> None:
    functional((4,), keras.layers.Dense(3)).save(tmp_path / f"model{suffix}")
    assert load_in_a_new_process(tmp_path / f"model{suffix}") == [[], ["InputLayer", "Dense"]]


@pytest.mark.slow
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
    (tmp_path / "saved_model.pb").write_bytes(b"hello")
    with pytest.raises(
        UserError, match=r"got a SavedModel, as model\.export writes it: .* save the model itself"
    ):
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


def test_folder_of_keras_3(tmp_path: Path) -> None:
    model = functional((4,), keras.layers.Dense(3))
    model.save(tmp_path / "folder", zipped=False)
    x = np.ones((2, 4), np.float32)
    np.testing.assert_array_equal(load_model(tmp_path / "folder")(x), model(x))
    (tmp_path / "folder" / "model.weights.h5").write_bytes(b"hello")
    with pytest.raises(UserError, match=r"can be loaded in safe mode: .*file signature not found"):
        load_model(tmp_path / "folder")


def weights_and_config(folder: Path, *units: int) -> tuple[keras.Model, Path, Path]:
    """A compiled model, its weights, and its configuration."""
    model = functional((4,), *map(keras.layers.Dense, units))
    model.compile("adam", "mse")
    model.fit(np.ones((2, 4)), np.ones((2, units[-1])), verbose=0)
    weights, config = folder / f"model{len(units)}.weights.h5", folder / f"model{len(units)}.json"
    model.save_weights(weights)
    config.write_text(model.to_json())
    return model, weights, config


def test_weights_with_a_configuration(tmp_path: Path) -> None:
    model, weights, config = weights_and_config(tmp_path, 3)
    x = np.ones((2, 4), np.float32)
    np.testing.assert_array_equal(load_model(weights, config=config)(x), model(x))


def test_weights_of_another_model(tmp_path: Path) -> None:
    _, one, of_one = weights_and_config(tmp_path, 3)
    _, two, of_two = weights_and_config(tmp_path, 3, 3)
    with pytest.raises(UserError, match=r"expected the weights of the model .*, 15 numbers, got 27"):
        load_model(two, config=of_one)
    with pytest.raises(UserError, match=r"Layer 'dense_\d+' expected 2 variables, but received 0"):
        load_model(one, config=of_two)


def test_configuration_of_a_huge_model(tmp_path: Path) -> None:
    _, weights, config = weights_and_config(tmp_path, 3)
    config.write_text(config.read_text().replace('"units": 3', f'"units": {10**12}'))
    with pytest.raises(UserError, match=r"expected at most 100 times .* bytes of variables"):
        load_model(weights, config=config)


@pytest.mark.parametrize(
    ("name", "config", "message"),
    [
        ("model1.keras", "model1.json", r"expected weights alone, .* besides --config, got another file"),
        ("model1.h5", "model1.json", r"expected weights alone, .* besides --config, got another file"),
        ("gone.weights.h5", "model1.json", r"expected weights .*, found no file of that name"),
        ("text.h5", "model1.json", r"text\.h5: expected weights that can be loaded: .*signature not found"),
        ("model1.weights.h5", "gone.json", r"gone\.json: expected the configuration .*: No such file"),
        ("model1.weights.h5", "text.h5", r"text\.h5: expected the configuration of a Keras model as JSON"),
        ("model1.weights.h5", "list.json", r"list\.json: expected the configuration .*, got other JSON"),
        ("model1.weights.h5", "old.json", r"old\.json: expected the configuration of a Keras 3 model"),
    ],
)
def test_configuration_that_does_not_fit(name: str, config: str, message: str, tmp_path: Path) -> None:
    model, _, _ = weights_and_config(tmp_path, 3)
    model.save(tmp_path / "model1.keras")
    model.save(tmp_path / "model1.h5")
    (tmp_path / "text.h5").write_text("hello")
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "old.json").write_text(
        '{"class_name": "Sequential", "config": {}, "keras_version": "2.15.0"}'
    )
    with pytest.raises(UserError, match=message):
        load_model(tmp_path / name, config=tmp_path / config)


def changed(path: Path, **members: bytes | None) -> Path:
    """Replace members of a .keras archive, or remove them (None); `__` stands for a dot."""
    with zipfile.ZipFile(path) as archive:
        parts: dict[str, bytes | None] = {name: archive.read(name) for name in archive.namelist()}
    parts |= {name.replace("__", "."): content for name, content in members.items()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            if content is not None:
                archive.writestr(name, content)
    return path


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"config__json": None}, r"expected a \.keras archive with a config\.json, got one without"),
        ({"model__weights__h5": None}, r"expected a \.keras archive with a model\.weights\.h5, got one"),
        ({"config__json": b"{"}, r"expected the configuration of a Keras model as JSON: Expecting"),
        ({"config__json": b"[" * 10**5}, r"as JSON: .*recursion"),
        ({"config__json": b"3"}, r"an object with a class_name, got other JSON"),
        ({"model__weights__h5": b"hello"}, r"can be loaded in safe mode: .*file signature not found"),
    ],
)
def test_damaged_archive(members: dict[str, bytes | None], message: str, tmp_path: Path) -> None:
    functional((4,), keras.layers.Dense(3)).save(tmp_path / "model.keras")
    with pytest.raises(UserError, match=message):
        load_model(changed(tmp_path / "model.keras", **members))


def test_file_of_a_newer_keras(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    model = functional((4,), keras.layers.Dense(3))
    model.save(path)
    config = model.to_json().replace('"units": 3', '"units": 3, "heads": 2').encode()
    metadata = b'{"keras_version": "99.1.0"}'
    with pytest.raises(UserError, match=r"\{'heads': 2\}; Keras 99\.1\.0 saved it, this is 3.*: install"):
        load_model(changed(path, config__json=config, metadata__json=metadata))


def test_random_weights_are_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keras warns of weights that an earlier version didn't save, and goes on."""
    functional((4,), keras.layers.Dense(3)).save(tmp_path / "model.keras")
    load = keras.models.load_model

    def load_and_warn(*args: Any, **kwargs: Any) -> keras.Model:
        warnings.warn("Affected layers will retain their freshly-initialized weights.", stacklevel=1)
        return load(*args, **kwargs)

    monkeypatch.setattr(keras.models, "load_model", load_and_warn)
    with pytest.raises(
        UserError, match="expected all weights of the model, got none for the layers in nested"
    ):
        load_model(tmp_path / "model.keras")
