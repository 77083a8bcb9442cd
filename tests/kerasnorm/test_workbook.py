"""The workbook: recalculated by LibreOffice, every mean, variance and normalized value against the Keras layers."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import keras
import numpy as np
import openpyxl
import pytest

from export.errors import UserError
from kerasnorm.workbook import EPSILON, LAYERS, Example, Places, main, make_workbook, value_grid

NORMS = ["bn", "ln", "gn"]
OFFICE = shutil.which("soffice") or shutil.which("libreoffice")


def recalculated(book: Any, folder: Path) -> Any:
    """The workbook with the values that LibreOffice computes for its formulas."""
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
        # momentum=0: the moving statistics are those of the last batch
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
def test_every_number_is_that_of_the_keras_layers(example: Example, tmp_path: Path) -> None:
    book = make_workbook(example)
    array: np.ndarray = example.values().astype(float)
    assert (array.min(), array.max()) == (-3, 3)

    # What a reader may edit: a value, gammas and betas; both layers of the network have their own.
    array[0, 1, 0, 1, 2] = 7.25
    book["values"].cell(*value_grid(example, 0).cell(1, 2, 0, 1)).value = 7.25
    rng = np.random.default_rng(0)
    gammas, betas = rng.normal(1, 0.5, (2, 3, len(LAYERS), example.channels)).round(3)
    for index, norm in enumerate(NORMS):
        for layer in range(len(LAYERS)):
            places = Places.of(example, layer)
            for channel in range(example.channels):
                column = places.normalized.cell(0, channel, 0, 0)[1]
                book[norm].cell(places.gamma, column).value = gammas[index, layer, channel]
                book[norm].cell(places.gamma + 1, column).value = betas[index, layer, channel]

    book = recalculated(book, tmp_path)
    for index, norm in enumerate(NORMS):
        sheet = book[norm]
        for layer in range(len(LAYERS)):
            places = Places.of(example, layer)
            images = array[layer]
            keras_norm = keras_layer(norm, example, gammas[index, layer], betas[index, layer])
            outputs = np.asarray(keras_norm(images, training=True))
            shape = (example.images, example.channels, 2, 2)
            read = np.array(
                [sheet.cell(*places.normalized.cell(*where)).value for where in np.ndindex(shape)], float
            ).reshape(shape)
            np.testing.assert_allclose(read.transpose(0, 2, 3, 1), outputs, rtol=1e-12, atol=1e-12)

            row, label = places.statistics
            count = len(example.sets(norm))
            read = np.array(
                [
                    [sheet.cell(row + line, label + 1 + part).value for part in range(4)]
                    for line in range(count)
                ],
                float,
            )
            if norm == "bn":
                means, variances = keras_norm.moving_mean, keras_norm.moving_variance
                after = outputs.reshape(-1, example.channels)
            else:
                groups = 1 if norm == "ln" else example.groups
                split = images.reshape(example.images, 4, groups, -1)
                means, variances = (np.ravel(part) for part in keras.ops.moments(split, axes=(1, 3)))
                after = outputs.reshape(example.images, 4, groups, -1)
            np.testing.assert_allclose(read[:, 0], means, rtol=1e-12, atol=1e-12)
            np.testing.assert_allclose(read[:, 1], variances, rtol=1e-12, atol=1e-12)
            axes = 0 if norm == "bn" else (1, 3)
            np.testing.assert_allclose(read[:, 2], after.mean(axes).ravel(), rtol=1e-11, atol=1e-11)
            np.testing.assert_allclose(read[:, 3], after.var(axes).ravel(), rtol=1e-11, atol=1e-11)


def test_one_colour_for_each_set_and_all_formulas_live() -> None:
    example = Example(seed=3)
    book = make_workbook(example)
    for norm, sets in (("bn", 4), ("ln", 4), ("gn", 8)):
        places = Places.of(example, 0)
        for grid in (places.values, places.normalized):
            colours: dict[tuple[int, ...], set[str]] = {}
            for image, channel, y, x in np.ndindex(4, 4, 2, 2):
                cell = book[norm].cell(*grid.cell(image, channel, y, x))
                assert str(cell.value).startswith("=")
                key = {"bn": (channel,), "ln": (image,), "gn": (image, channel // 2)}[norm]
                colours.setdefault(key, set()).add(cell.fill.start_color.rgb)
            assert len(colours) == sets
            assert all(len(colour) == 1 for colour in colours.values())
            assert len(set.union(*colours.values())) == sets


def test_the_same_seed_gives_the_same_values(tmp_path: Path) -> None:
    assert (Example(seed=4).values() == Example(seed=4).values()).all()
    assert (Example(seed=4).values() != Example(seed=5).values()).any()
    out = tmp_path / "example.xlsx"
    assert main([str(out), "--images", "2", "--channels", "6", "--groups", "2", "--seed", "4"]) == 0
    book = openpyxl.load_workbook(out)
    assert book.sheetnames == ["read me", "values", "bn", "ln", "gn"]
    grid = value_grid(Example(2, 6, 2, 4), 1)
    assert book["values"].cell(*grid.cell(1, 5, 1, 0)).value == Example(2, 6, 2, 4).values()[1, 1, 1, 0, 5]


def test_wrong_arguments(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"groups: expected a divisor of channels=4 \(\[1, 2, 4\]\), got 3"):
        main([str(tmp_path / "a.xlsx"), "--groups", "3"])
    with pytest.raises(UserError, match="images: expected 1 to 64, got 0"):
        Example(images=0)
    with pytest.raises(UserError, match="seed: expected 0 or more, got -1"):
        Example(seed=-1)
    with pytest.raises(UserError, match=r"expected a name ending in \.xlsx"):
        main([str(tmp_path / "a.xls")])
    with pytest.raises(UserError, match=r"cannot write .*: No such file or directory"):
        main([str(tmp_path / "missing/a.xlsx")])
    assert not list(tmp_path.iterdir())
