"""The records of the normalizations, and that everything reads them: a fourth one appears everywhere."""

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from export.errors import UserError
from kerasnorm import Recipe, build_cnn
from kerasnorm.cli import compare, pytorch, train
from kerasnorm.norms import NORMS, Norm, get_norm, with_groups
from kerasnorm.pytorch import model_from_state_dict, state_dict_from_model
from kerasnorm.shared_values import SharedValues
from kerasnorm.study.report import write_study
from kerasnorm.study.tables import differences_table, results_table
from kerasnorm.workbook import Example, make_workbook
from tests.kerasnorm.study.finished import finished

STUDY = ["bn", "ln", "gn"]


class SpatialGain(keras.layers.Layer):
    """x / rms(x) over an image's pixels, times a gain for each channel."""

    def build(self, shape: tuple[int | None, ...]) -> None:
        self.gain = self.add_weight(shape=shape[-1:], initializer="ones", name="gain")

    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        square = keras.ops.mean(keras.ops.square(x), axis=(1, 2), keepdims=True)
        return x * keras.ops.rsqrt(square + 1e-5) * self.gain


def spatial_gain(groups: int | None, **options: Any) -> keras.layers.Layer:
    assert groups is not None
    return SpatialGain(dtype=options["dtype"], name=options["name"])


def each_image_and_channel(images: int, channels: int, groups: int) -> list[SharedValues]:
    return [
        (f"image {i + 1}, channel {c + 1}", range(i, i + 1), range(c, c + 1))
        for i in range(images)
        for c in range(channels)
    ]


@pytest.fixture
def fourth(monkeypatch: pytest.MonkeyPatch) -> Norm:
    """A made-up normalization with groups and a weight of its own."""
    norm = Norm(
        key="xn",
        name="Example Normalization",
        description="a variance for each image and channel",
        keras_layer="SpatialGain()",
        layer=spatial_gain,
        l1=0.25,
        l2=0.125,
        pytorch={"gain_factor": "gain"},
        shared_values=each_image_and_channel,
        has_groups=True,
    )
    monkeypatch.setitem(NORMS, norm.key, norm)
    return norm


def test_fourth_norm_is_built_with_its_groups_and_penalties(fourth: Norm) -> None:
    model = build_cnn("xn", groups=2)
    assert model.name == "cnn_xn"
    assert [type(layer) for layer in model.layers].count(SpatialGain) == 5
    for batch in (1, 3):
        assert model(np.zeros((batch, 28, 28, 1))).shape == (batch, 10)
    recipe = Recipe().for_norm("xn")
    assert (recipe.l1, recipe.l2) == (0.25, 0.125)
    with pytest.raises(UserError, match=r"got 2; normalizations with groups: gn.*, xn$"):
        build_cnn("ln", groups=2)


def test_fourth_norm_is_a_choice_of_every_command(fourth: Norm) -> None:
    assert train.parser().parse_args(["--norm", "xn"]).norm == "xn"
    assert compare.parser().parse_args([]).norms == STUDY
    assert compare.parser().parse_args(["--norms", "xn"]).norms == ["xn"]
    assert pytorch.parser().parse_args(["a.npz", "-o", "b.keras", "--norm", "xn"]).norm == "xn"
    for command in (train, compare):
        assert "xn: Example Normalization" in " ".join(command.parser().format_help().split())
    assert f"number of groups, for {', '.join(with_groups())} (default" in " ".join(
        pytorch.parser().format_help().split()
    )


def test_fourth_norm_is_in_the_tables_and_files_of_the_study(fourth: Norm, tmp_path: Path) -> None:
    accuracies = {"bn": (0.990, 0.991), "xn": (0.993, 0.995)}
    runs = [
        finished(tmp_path, norm, seed, value)
        for norm, of_norm in accuracies.items()
        for seed, value in enumerate(of_norm)
    ]
    results, differences = (table(runs, ["bn", "xn"]) for table in (results_table, differences_table))
    assert "| xn, Example Normalization | 2 | **99.40 ± 0.14** |" in results.markdown()
    assert "| bn - xn | -0.350 |" in differences.markdown()
    write_study(runs, ["bn", "xn"], "study", tmp_path / "out")
    assert "xn, Example Normalization" in (tmp_path / "out/report.html").read_text()
    assert (tmp_path / "out/misclassified-xn.png").exists()


def test_fourth_norm_has_a_sheet_in_the_workbook(fourth: Norm) -> None:
    assert make_workbook(Example(images=2)).sheetnames == ["read me", "values", *STUDY]
    example = Example(images=2, channels=4, norms=("bn", "xn"))
    book = make_workbook(example)
    assert book.sheetnames == ["read me", "values", "bn", "xn"]
    assert book["xn"]["A1"].value == "Example Normalization: a variance for each image and channel"
    text = "\n".join(str(row[0].value) for row in book["read me"].rows)
    assert "xn: a variance for each image and channel" in text
    assert "xn: SpatialGain()" in text
    labels = {str(cell.value) for row in book["xn"].rows for cell in row}
    assert {label for label, _, _ in example.sets("xn")} <= labels
    assert len(example.sets("xn")) == 8


def test_fourth_norm_is_converted_to_pytorch_and_back(fourth: Norm) -> None:
    model = build_cnn("xn")
    rng = np.random.default_rng(0)
    for weight in model.trainable_weights:
        weight.assign(rng.normal(size=weight.shape))
    state = state_dict_from_model(model)
    assert list(state)[:2] == ["conv0.weight", "norm0.gain_factor"]
    again = model_from_state_dict(state, "xn")
    for a, b in zip(model.trainable_weights, again.trainable_weights, strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(
        UserError, match="expected weight, bias in each normalization for norm 'ln', got gain_factor"
    ):
        model_from_state_dict(state, "ln")


@pytest.mark.parametrize("norm", NORMS.values(), ids=list(NORMS))
def test_a_record_describes_its_layer(norm: Norm) -> None:
    assert NORMS[norm.key] is norm
    assert (norm.count(5) == 5) == (norm.key not in ("none", "in"))
    if norm.layer is None:
        assert norm.pytorch == {}
        return
    options = {"steps": 1000} if norm.has_schedule else {}
    layer = norm.layer(
        4, gamma_regularizer=None, beta_regularizer=None, dtype="float64", name="norm7", **options
    )
    assert layer.name == "norm7"
    assert norm.keras_layer.startswith(type(layer).__name__ + "(")
    assert getattr(layer, "epsilon", 1e-5) == (1e-6 if norm.key == "frn" else 1e-5)
    layer.build((None, 3, 3, 8))
    if norm.pytorch is not None:
        assert {weight.name for weight in layer.weights} == set(norm.pytorch.values())


@pytest.mark.parametrize("norm", [norm for norm in NORMS.values() if norm.shared_values], ids=lambda x: x.key)
@pytest.mark.parametrize(("images", "channels", "groups"), [(1, 4, 2), (3, 6, 3), (33, 2, 1)])
def test_shared_values_have_mean_0_and_variance_1_after_the_layer(
    norm: Norm, images: int, channels: int, groups: int
) -> None:
    assert norm.layer is not None
    assert norm.shared_values is not None
    x = np.random.default_rng(0).normal(2, 3, (images, 5, 5, channels))
    y = np.asarray(norm.layer(groups, dtype="float64")(x, training=True))
    count: np.ndarray = np.zeros((images, channels), int)
    for _, rows, columns in norm.shared_values(images, channels, groups):
        values = y[rows.start : rows.stop, ..., columns.start : columns.stop]
        np.testing.assert_allclose(values.mean(), 0, rtol=0, atol=1e-12)
        np.testing.assert_allclose(values.var(), 1, rtol=0, atol=1e-4)  # epsilon makes it a little smaller
        count[rows.start : rows.stop, columns.start : columns.stop] += 1
    assert (count == 1).all()  # every value is in one set


def test_get_norm() -> None:
    assert get_norm("gn").name == "Group Normalization"
    assert [key for key in ("bn", "ln", "gn") if key in with_groups()] == ["gn"]
    with pytest.raises(UserError, match=r"norm: expected one of bn, ln, gn.* got 'x'"):
        get_norm("x")
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'name'"):
        get_norm("gn").name = "other"  # type: ignore[misc]


def test_importing_norms_and_recipes_loads_no_framework() -> None:
    imports = "import sys, kerasnorm.norms, kerasnorm.recipes"
    program = f"{imports}; print([m for m in ('keras', 'tensorflow') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr
