"""stock_model: the same outputs of stock Keras layers, in a file that Keras loads without kerasnorm."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

from kerasnorm import build_cnn, stock_model
from kerasnorm.norms import NORMS
from tests.export.helpers import converted, kinds

WITHOUT_STOCK_FORM = ("rms", "frn")


def random_cnn(norm: str) -> keras.Model:
    model = build_cnn(norm, (20, 20, 1), filters=8, steps=100)
    rng = np.random.default_rng(0)
    for weight in model.trainable_weights:
        positive = weight.name in ("gamma", "alpha")
        weight.assign(rng.uniform(0.5, 1.5, weight.shape) if positive else rng.normal(0, 0.2, weight.shape))
    return model


@pytest.mark.parametrize("norm", NORMS)
def test_stock_model_computes_the_same(norm: str) -> None:
    model = random_cnn(norm)
    model.compile(keras.optimizers.SGD(0.03, momentum=0.7), "sparse_categorical_crossentropy", ["accuracy"])
    stock = stock_model(model)
    assert (stock is model) == (norm not in ("dyt", "gbn", "brn", "ws"))
    assert stock.name == model.name
    assert stock.compiled
    assert float(stock.optimizer.learning_rate) == pytest.approx(0.03)
    is_stock = all(type(layer).__module__.startswith("keras.") for layer in stock.layers)
    assert is_stock == (norm not in WITHOUT_STOCK_FORM)
    for batch in (1, 3):
        x = np.random.default_rng(batch).integers(0, 256, (batch, 20, 20, 1)).astype("float32")
        np.testing.assert_allclose(stock(x), model(x), rtol=1e-6, atol=1e-6)


def test_a_file_says_which_module_defines_its_layers(tmp_path: Path) -> None:
    stock_model(random_cnn("gbn")).save(tmp_path / "gbn.keras")
    random_cnn("rms").save(tmp_path / "rms.keras")
    with zipfile.ZipFile(tmp_path / "rms.keras") as file:
        layers = json.loads(file.read("config.json"))["config"]["layers"]
    assert "kerasnorm.normalizations.root_mean_square" in {layer["module"] for layer in layers}
    program = """
import keras
from export.errors import UserError
from export.load import load_model
keras.models.load_model("gbn.keras")
try:
    load_model("rms.keras")
except UserError as error:
    print(error)
from export.custom_code import import_code
print(sorted(import_code("kerasnorm"))[0])
print(type(load_model("rms.keras").get_layer("norm0")).__name__)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, timeout=120
    )
    assert done.returncode == 0, done.stderr
    message, first, kind = done.stdout.splitlines()
    assert "it needs code that Keras does not have: kerasnorm>RootMeanSquareNormalization; name" in message
    assert message.endswith("or the module with --import kerasnorm.normalizations.root_mean_square")
    assert (first, kind) == ("Augmentation", "RootMeanSquareNormalization")


@pytest.mark.parametrize(
    ("norm", "nodes", "kind"),
    [
        ("none", 16, "Relu"),
        ("in", 20, "InstanceNormalization"),
        ("rms", 46, "ReduceMean"),
        ("frn", 51, "Max"),
        ("dyt", 21, "Tanh"),
        ("gbn", 16, "Relu"),
        ("brn", 16, "Relu"),
        ("ws", 31, "InstanceNormalization"),
    ],
)
def test_export_folds_what_can_be_folded(norm: str, nodes: int, kind: str) -> None:
    """Also without `stock_model`: what the layers compute in inference is traced."""
    conversion = converted(random_cnn(norm), input_range=(0.0, 255.0))
    assert conversion.route == "direct"
    assert len(kinds(conversion)) == nodes
    assert kinds(conversion).count(kind) == (4 if norm == "in" else 5)
    assert "Transpose" not in kinds(conversion)
    assert ("BatchNormalization" in kinds(conversion)) == (norm == "frn")
