import re
from pathlib import Path

import keras
import numpy as np
import pytest

from export.errors import CheckError
from kerasnorm import PopulationStatistics, rundir
from kerasnorm.checkpoint import ProgressSaver, load_checkpoint, save_checkpoint
from kerasnorm.history import is_finite, read_history
from kerasnorm.normalizations import BatchRenormalization


def small_model(units: int = 2, seed: int = 0) -> keras.Model:
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(units), keras.layers.Dropout(0.5)])
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse")
    return model


def test_checkpoint_holds_weights_velocity_and_random_states(tmp_path: Path) -> None:
    model, x = small_model(), np.random.default_rng(0).normal(size=(20, 3))
    model.fit(x, x[:, :2], epochs=2, verbose=0)
    save_checkpoint(tmp_path, model, 2)
    other = small_model(seed=1)
    assert load_checkpoint(tmp_path, other) == 2
    for one in (model, other):
        one.fit(x, x[:, :2], epochs=1, shuffle=False, verbose=0)
    for a, b in zip(model.variables, other.variables, strict=True):
        np.testing.assert_array_equal(a, b)
    assert load_checkpoint(tmp_path / "none", other) == 0


def test_a_training_with_statistics_goes_on_from_its_own_moving_averages(tmp_path: Path) -> None:
    """Batch renormalization computes with them, so the resumed training is another one with any others."""
    x = np.random.default_rng(0).normal(2, 1, size=(20, 3))

    def fit(epochs: int) -> keras.Model:
        keras.utils.set_random_seed(0)
        norm = BatchRenormalization(warmup=0, r_steps=0, d_steps=0)
        model = keras.Sequential([keras.Input((3,)), norm, keras.layers.Dense(2)])
        accuracy = [keras.metrics.MeanSquaredError(name=name) for name in ("accuracy", "cross_entropy")]
        model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse", metrics=accuracy)
        done = load_checkpoint(tmp_path, model)
        statistics = PopulationStatistics(x)
        callbacks = [statistics, ProgressSaver(tmp_path, read_history(tmp_path)[:done], [statistics])]
        options = {"validation_data": (x, x[:, :2]), "callbacks": callbacks, "shuffle": False, "verbose": 0}
        model.fit(x, x[:, :2], 10, epochs, initial_epoch=done, **options)
        return model

    whole = fit(3)
    (tmp_path / rundir.CHECKPOINT).unlink()
    fit(1)
    for a, b in zip(whole.variables, fit(3).variables, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "damage", ["truncated", "another model", "empty", "one array", "epochs", "compression"]
)
def test_a_damaged_or_foreign_checkpoint_raises(tmp_path: Path, damage: str) -> None:
    save_checkpoint(tmp_path, small_model(units=3 if damage == "another model" else 2), 1)
    file = tmp_path / rundir.CHECKPOINT
    if damage == "one array":
        with open(file, "wb") as opened:
            np.save(opened, np.zeros(3))
    elif damage == "epochs":
        with np.load(file) as arrays:
            np.savez(file, **{**arrays, "epochs": np.arange(3)})
    elif damage == "compression":  # a method that zipfile does not know, in each header
        content = bytearray(file.read_bytes())
        for signature, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
            for match in re.finditer(re.escape(signature), bytes(content)):
                content[match.start() + offset] = 99
        file.write_bytes(content)
    elif damage != "another model":
        file.write_bytes(file.read_bytes()[: 500 if damage == "truncated" else 0])
    with pytest.raises(
        ValueError, match=r"checkpoint.npz: expected a checkpoint of this run.*--overwrite"
    ) as caught:
        load_checkpoint(tmp_path, small_model())
    assert "\n" not in str(caught.value)


def test_progress_is_saved_after_each_epoch(tmp_path: Path) -> None:
    model, x = small_model(), np.random.default_rng(0).normal(size=(20, 3))
    model.compile(
        keras.optimizers.SGD(0.1),
        "mse",
        metrics=["accuracy", keras.metrics.MeanSquaredError(name="cross_entropy")],
    )
    history: list[dict[str, float]] = []
    model.fit(
        x,
        x[:, :2],
        epochs=2,
        validation_data=(x, x[:, :2]),
        callbacks=[ProgressSaver(tmp_path, history)],
        verbose=0,
    )
    assert [row["epoch"] for row in history] == [1, 2]
    rows = read_history(tmp_path)
    assert [row["epoch"] for row in rows] == [1, 2]
    np.testing.assert_allclose([row["learning_rate"] for row in rows], 0.1, rtol=1e-6)
    assert all(row["seconds"] > 0 for row in rows)
    assert load_checkpoint(tmp_path, model) == 2


def test_a_loss_that_is_not_finite_ends_the_training_with_its_history(tmp_path: Path) -> None:
    model, x = small_model(), np.random.default_rng(0).normal(size=(20, 3))
    accuracy = [keras.metrics.MeanSquaredError(name=name) for name in ("accuracy", "cross_entropy")]
    model.compile(keras.optimizers.SGD(1e15), "mse", metrics=accuracy)
    progress = ProgressSaver(tmp_path, [])
    with pytest.raises(
        CheckError,
        match=r"expected a finite loss, got .*(nan|inf) in .* of epoch \d+; to continue after epoch \d+, give",
    ):
        model.fit(
            x, x[:, :2], 20, 9, validation_data=(x, x[:, :2]), callbacks=[progress], verbose=0
        )  # fmt: skip
    rows = read_history(tmp_path)
    assert 1 < len(rows) < 9
    assert [is_finite(row) for row in rows] == [True] * (len(rows) - 1) + [False]
    assert load_checkpoint(tmp_path, model) == len(rows) - 1
    assert all(np.all(np.isfinite(variable)) for variable in model.variables)
