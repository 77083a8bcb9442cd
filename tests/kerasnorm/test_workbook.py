"""The workbook: every number that LibreOffice computes agrees with the Keras layers."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import openpyxl
import pytest

from export.errors import UserError
from kerasnorm.norm_layers import EPSILON
from kerasnorm.workbook import make_workbook
from kerasnorm.worked_example import LAYERS, Example, Positions, value_grid

NORMS = ["bn", "ln", "gn"]
OFFICE = shutil.which("soffice") or shutil.which("libreoffice")


def recalculated(book: Any, folder: Path) -> Any:
    """Return the workbook with the values that LibreOffice computes for its formulas."""
    if OFFICE is None:
        pytest.skip("LibreOffice is not installed: its formulas were NOT checked (Debian: libreoffice-calc)")
    (folder / "out").mkdir()
    book.save(folder / "book.xlsx")
    command = [OFFICE, f"-env:UserInstallation=file://{folder}/profile", "--headless", "--convert-to", "xlsx"]
    subprocess.run(
        [*command, "--outdir", str(folder / "out"), str(folder / "book.xlsx")],
        check=True,
        capture_output=True,
        timeout=120,
    )
    return openpyxl.load_workbook(folder / "out/book.xlsx", data_only=True)


def keras_layer(norm: str, example: Example, gamma: np.ndarray, beta: np.ndarray) -> keras.layers.Layer:
    if norm == "bn":
        # momentum=0: the moving averages are the mean and variance of the last batch
        layer = keras.layers.BatchNormalization(epsilon=EPSILON, momentum=0.0, dtype="float64")
    else:
        groups = 1 if norm == "ln" else example.groups
        layer = keras.layers.GroupNormalization(groups, epsilon=EPSILON, dtype="float64")
    layer.build((None, 2, 2, example.channels))
    layer.gamma.assign(gamma)
    layer.beta.assign(beta)
    return layer


@pytest.mark.parametrize(
    "example",
    [
        pytest.param(Example(), id="the reference's"),
        pytest.param(Example(images=3, channels=6, groups=3, seed=5), id="another", marks=pytest.mark.slow),
    ],
)
def test_every_number_agrees_with_the_keras_layers(example: Example, tmp_path: Path) -> None:
    book = make_workbook(example)
    array: np.ndarray = example.values().astype(float)
    assert (array.min(), array.max()) == (-3, 3)

    # A reader may edit a value, the gammas and the betas; each layer of the network has its own.
    array[0, 1, 0, 1, 2] = 7.25
    book["values"].cell(*value_grid(example, 0).cell(1, 2, 0, 1)).value = 7.25
    rng = np.random.default_rng(0)
    gammas, betas = rng.normal(1, 0.5, (2, len(NORMS), len(LAYERS), example.channels)).round(3)
    for index, norm in enumerate(NORMS):
        for layer in range(len(LAYERS)):
            positions = Positions.of(example, layer)
            for channel in range(example.channels):
                column = positions.normalized.cell(0, channel, 0, 0)[1]
                book[norm].cell(positions.gamma, column).value = gammas[index, layer, channel]
                book[norm].cell(positions.gamma + 1, column).value = betas[index, layer, channel]

    book = recalculated(book, tmp_path)
    for index, norm in enumerate(NORMS):
        sheet = book[norm]
        for layer in range(len(LAYERS)):
            positions = Positions.of(example, layer)
            images = array[layer]
            keras_norm = keras_layer(norm, example, gammas[index, layer], betas[index, layer])
            outputs = np.asarray(keras_norm(images, training=True))
            shape = (example.images, example.channels, 2, 2)
            read = np.array(
                [sheet.cell(*positions.normalized.cell(*where)).value for where in np.ndindex(shape)], float
            ).reshape(shape)
            np.testing.assert_allclose(read.transpose(0, 2, 3, 1), outputs, rtol=1e-12, atol=1e-12)

            row, label = positions.statistics
            count = len(example.sets(norm))
            table = np.array(
                [
                    [sheet.cell(row + line, label + 1 + part).value for part in range(4)]
                    for line in range(count)
                ],
                float,
            )
            if norm == "bn":
                means, variances = keras_norm.moving_mean, keras_norm.moving_variance
                after: np.ndarray = outputs.reshape(-1, example.channels)
            else:
                groups = 1 if norm == "ln" else example.groups
                split = images.reshape(example.images, 4, groups, -1)
                means, variances = (np.ravel(part) for part in keras.ops.moments(split, axes=(1, 3)))
                after = outputs.reshape(example.images, 4, groups, -1)
            np.testing.assert_allclose(table[:, 0], means, rtol=1e-12, atol=1e-12)
            np.testing.assert_allclose(table[:, 1], variances, rtol=1e-12, atol=1e-12)
            axes = 0 if norm == "bn" else (1, 3)
            np.testing.assert_allclose(table[:, 2], after.mean(axes).ravel(), rtol=1e-11, atol=1e-11)
            np.testing.assert_allclose(table[:, 3], after.var(axes).ravel(), rtol=1e-11, atol=1e-11)


def test_without_openpyxl_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(UserError, match=r"expected openpyxl, got none; pip install 'kerasnorm\[excel\]'"):
        make_workbook(Example())
