"""train(): what it trains, evaluates and keeps. The whole command line is tested in cli/test_train.py."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pytest

from export.errors import UserError
from kerasnorm import PopulationStatistics, Recipe, load_data, rundir
from kerasnorm.history import read_history
from kerasnorm.train import check_arguments, train
from tests.kerasnorm.test_data import save

AVERAGED = Recipe(
    epochs=3,
    schedule="cosine",
    warmup=0.3,
    ema=0.9,
    label_smoothing=0.1,
    shift=1.0,
    statistics=200,
    dropout=0.0,
)


@pytest.fixture
def train_digits(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    # Op determinism would stay on for the following tests.
    monkeypatch.setattr("tensorflow.config.experimental.enable_op_determinism", lambda: None)
    return partial(train, data="digits", export=False, verbose=0)


@pytest.mark.slow
def test_a_plain_fit_trains_as_train_does(train_digits: Callable[..., Path], tmp_path: Path) -> None:
    recipe = Recipe(epochs=1, dropout=0.0, batch_size=200)
    trained = keras.models.load_model(
        train_digits("gn", recipe=recipe, seed=4, out=tmp_path / "run") / rundir.MODEL
    )

    data = load_data("digits")
    keras.utils.set_random_seed(4)
    model = recipe.build_model("gn", data)
    history = model.fit(
        recipe.training_batches(data, seed=4),
        epochs=recipe.epochs,
        steps_per_epoch=recipe.steps_per_epoch(data),
        validation_data=recipe.test_data(data),
        callbacks=recipe.callbacks(data.x_train),
        shuffle=False,  # the batches are shuffled already
        verbose=0,
    ).history
    for a, b in zip(trained.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)  # train uses the faster layers
    row = read_history(tmp_path / "run")[0]
    for key in ("loss", "cross_entropy", "val_cross_entropy"):
        np.testing.assert_allclose(row[key], history[key][0], rtol=1e-5, atol=0)


def test_callbacks_are_called_after_the_epoch_is_saved(
    train_digits: Callable[..., Path], tmp_path: Path
) -> None:
    saved = []

    def on_epoch_end(epoch: int, logs: object) -> None:
        saved.append((epoch, (tmp_path / "run/checkpoint.npz").exists()))
        raise KeyboardInterrupt

    with pytest.raises(
        KeyboardInterrupt, match="interrupted after 1 of 2 epochs; to continue, run the same command"
    ):
        train_digits(
            "ln",
            recipe=Recipe(epochs=2, batch_size=200),
            out=tmp_path / "run",
            callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=on_epoch_end)],
        )
    assert saved == [(0, True)]
    (tmp_path / "run/history.csv").unlink()
    with pytest.raises(
        UserError, match=r"run/history.csv: expected a row for each of 1 finished epochs, got 0; res"
    ):
        train_digits("ln", recipe=Recipe(epochs=2, batch_size=200), out=tmp_path / "run", resume=True)


def test_the_data_may_be_a_path(tmp_path: Path) -> None:
    save(tmp_path / "x.npz")
    assert check_arguments("bn", tmp_path / "x.npz", out=tmp_path / "run") == Recipe("documented").for_norm(
        "bn"
    )
    with pytest.raises(UserError, match=r"data: expected the SHA-256 0, got \w+ of .*x\.npz;"):
        train("bn", tmp_path / "x.npz", sha256="0", out=tmp_path / "run")  # it has read the file


@pytest.mark.slow
def test_averaged_weights_are_evaluated_and_kept_even_if_resumed(
    train_digits: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_digits("bn", recipe=AVERAGED, out=tmp_path / "whole")

    # Interrupted after the first epoch, then again after the last one, before anything is saved.
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    stopping = [keras.callbacks.LambdaCallback(on_epoch_end=stop)]
    with pytest.raises(KeyboardInterrupt, match="interrupted after 1 of 3 epochs"):
        train_digits("bn", recipe=AVERAGED, out=tmp_path / "parts", callbacks=stopping)
    with monkeypatch.context() as patch:
        patch.setattr("kerasnorm.results.save_results", stop)
        with pytest.raises(KeyboardInterrupt, match="interrupted after 3 of 3 epochs"):
            train_digits("bn", recipe=AVERAGED, out=tmp_path / "parts", resume=True)
    assert not (tmp_path / "parts/model.keras").exists()
    train_digits("bn", recipe=AVERAGED, out=tmp_path / "parts", resume=True)

    whole, parts = (keras.models.load_model(tmp_path / name / "model.keras") for name in ("whole", "parts"))
    for a, b in zip(whole.get_weights(), parts.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)  # op determinism is off here
    rows = read_history(tmp_path / "parts")
    rates = [row["learning_rate"] for row in rows]
    assert rates[0] > rates[1] > rates[2]
    assert rates[2] < 1e-8
    # The weights that were evaluated after the last epoch are the saved ones.
    data = load_data("digits")
    accuracy = (whole.predict(data.x_test, verbose=0).argmax(1) == data.y_test).mean()
    np.testing.assert_allclose(
        accuracy, read_history(tmp_path / "whole")[-1]["val_accuracy"], rtol=0, atol=1e-6
    )
    # So are the means and variances that the training images have with these weights.
    kept = [np.array(weight) for weight in whole.non_trainable_weights]
    PopulationStatistics(data.x_train[:200]).compute(whole)
    assert len(kept) == 10
    for before, after in zip(kept, whole.non_trainable_weights, strict=True):
        # TensorFlow's fused operation adds up the values of a batch one by one, in float32.
        np.testing.assert_allclose(before, after, rtol=2e-3, atol=1e-4)
