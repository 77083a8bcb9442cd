import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from keras import layers as L

from export.errors import UserError
from export.load import load_model
from export.variables import check_variables
from tests.export.helpers import functional


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "file").write_bytes(bytes(1000))
    return tmp_path / "file"


def change_config(path: Path, change: Callable[[str], str]) -> None:
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
        parts["config.json"] = change(parts["config.json"].decode()).encode()
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in parts.items():
                archive.writestr(name, content)
    else:
        with h5py.File(path, "r+") as h5:
            h5.attrs["model_config"] = change(h5.attrs["model_config"])


def test_nothing_is_allocated(file: Path) -> None:
    """A kernel of 10^14 numbers, which no machine has the memory for."""
    message = r"file: expected at most 100 times .*, got 400,00\d,\d{3},\d{3},\d{3} bytes of variables"
    with pytest.raises(UserError, match=message):
        check_variables(file, lambda: keras.Sequential([keras.Input((10**7,)), L.Dense(10**7)]))


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "bfloat16"])
def test_variables_that_the_file_justifies(policy: str, file: Path) -> None:
    check_variables(
        file, lambda: keras.Sequential([keras.Input((4,)), L.Dense(3, dtype=policy), L.Dropout(0.5)])
    )


def test_names_of_later_layers_stay(file: Path) -> None:
    first = L.Dense(3).name
    check_variables(file, lambda: keras.Sequential([keras.Input((4,)), L.Dense(3), L.Dense(3)]))
    number = int(first.partition("_")[2] or 0)
    assert L.Dense(3).name == f"dense_{number + 1}"


def test_error_of_the_build_is_passed_on(file: Path) -> None:
    with pytest.raises(ZeroDivisionError, match="division by zero"):
        check_variables(file, lambda: 1 / 0)


@pytest.mark.parametrize(
    ("suffix", "message"),
    [
        (
            ".keras",
            r"model\.keras: expected at most 100 times .*, got 40,0\d\d,\d{3},\d{3} bytes of variables",
        ),
        (".h5", r"model\.h5: expected .*[Ss]hape"),  # Keras compares the shapes, and nothing is allocated
    ],
)
def test_configuration_of_huge_layers_is_refused(suffix: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / f"model{suffix}"
    functional((10**4,), L.Dense(3, name="dense")).save(path)

    def enlarge(config: str) -> str:
        assert '"units": 3' in config
        return config.replace('"units": 3', '"units": 1000000')

    change_config(path, enlarge)
    with pytest.raises(UserError, match=message):
        load_model(path)


def test_huge_layer_before_an_unknown_one_is_not_built(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    functional((10**5,), L.Dense(1, name="dense"), L.ReLU()).save(path)

    def enlarge(config: str) -> str:
        changed = json.loads(config.replace('"units": 1', '"units": 100000'))
        changed["config"]["layers"][-1].update(class_name="Unknown", registered_name="Unknown", module=None)
        return json.dumps(changed)

    change_config(path, enlarge)
    with pytest.raises(UserError, match="it needs code that Keras does not have: Unknown"):
        load_model(path)


def compiled() -> keras.Model:
    model = functional((6,), L.Dense(6))
    model.compile("adam", "mse")
    model.fit(np.zeros((2, 6)), np.zeros((2, 6)), verbose=0)
    return model


def adapted() -> keras.Model:
    layer = L.Normalization()
    layer.adapt(np.random.default_rng(0).normal(size=(9, 6)))
    return functional((6,), layer, L.Dense(2))


def stateful() -> keras.Model:
    return keras.Sequential([keras.Input(batch_shape=(2, 5, 3)), L.LSTM(4, stateful=True)])


MODELS: dict[str, Callable[[], Any]] = {
    "compiled": compiled,
    "nested, compiled": lambda: functional((6,), compiled(), L.Dense(2)),
    "adapted": adapted,
    "stateful": stateful,
    "random": lambda: functional((6,), L.Dropout(0.3), L.GaussianNoise(0.1), L.Dense(2)),
    "preprocessing": lambda: functional((8, 8, 3), L.RandomFlip(), L.RandomRotation(0.1), L.Conv2D(2, 3)),
    "recurrent": lambda: functional((6, 2), L.Bidirectional(L.LSTM(3, dropout=0.2)), L.Dense(2)),
    "not built": lambda: keras.Sequential([L.Dense(3), L.Dense(4)]),
}


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("name", MODELS)
def test_models_are_loaded_as_before(name: str, suffix: str, tmp_path: Path) -> None:
    model = MODELS[name]()
    model.save(tmp_path / f"model{suffix}")
    loaded = load_model(tmp_path / f"model{suffix}")
    assert [weight.shape for weight in loaded.weights] == [weight.shape for weight in model.weights]
    for weight, expected in zip(loaded.weights, model.weights, strict=True):
        np.testing.assert_array_equal(weight, expected)


class Mask(L.Layer):
    """A layer that creates a variable from values."""

    def build(self, shape: Any) -> None:
        self.mask = keras.Variable(np.eye(4), trainable=False, name="mask")

    def call(self, x: Any) -> Any:
        return x @ self.mask


def test_variable_of_values_in_a_nested_model(tmp_path: Path) -> None:
    """Keras wraps the error that such a layer raises in another one."""
    model = functional((4,), functional((4,), Mask()), L.Dense(2))
    model.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras", custom_objects={"Mask": Mask})
    np.testing.assert_array_equal(loaded.layers[1].layers[1].mask, model.layers[1].layers[1].mask)
