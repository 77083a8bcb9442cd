import io
import os
from collections.abc import Iterator
from functools import cache

import keras
import numpy as np
import pytest

from kerasnorm import Progress
from kerasnorm.callbacks.progress import clock_text, metric_texts, number_text

X = np.random.default_rng(0).normal(size=(64, 3)).astype("float32")
Y = X @ np.array([[1.0], [-2.0], [0.5]], "float32")


class Terminal(io.StringIO):
    """What is written to a terminal; `lines` are the states of its line, `\\n` ends one."""

    def isatty(self) -> bool:
        return True

    def lines(self) -> list[str]:
        return [line.rstrip(" ") for line in self.getvalue().split("\r")[1:]]


def seconds(step: float) -> Iterator[float]:
    """A clock that goes on by `step` seconds each time it is read."""
    now = 0.0
    while True:
        yield now
        now += step


@cache
def model() -> keras.Model:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.025), "mse", metrics=["mae"])
    return model


def fit(*callbacks: keras.callbacks.Callback, epochs: int = 3, **options: object) -> None:
    options = {"x": X, "y": Y, "batch_size": 16, "validation_data": (X, Y), **options}
    model().fit(epochs=epochs, callbacks=callbacks, shuffle=False, verbose=0, **options)


def test_a_log_file_gets_a_line_for_each_epoch() -> None:
    out = io.StringIO()
    fit(Progress(stream=out, clock=seconds(10).__next__))
    lines = out.getvalue().splitlines()
    for index, (line, time) in enumerate(zip(lines, ["0:20 left", "0:10 left", "1:00 in all"], strict=True)):
        beginning = f"epoch {index + 1}/3, 10 s, {time}: loss "
        assert line.startswith(beginning)
        assert line.endswith(", lr 0.025")
        assert "(val " in line


def test_a_terminal_gets_one_line_that_is_updated() -> None:
    out = Terminal()
    fit(Progress(("loss", "val_loss"), out, seconds(1).__next__))
    *lines, last = out.lines()
    assert lines[0].startswith("epoch 1/3, batch 1: loss ")
    assert lines[1].startswith("epoch 1/3, 0:10 left: loss ")  # 10 batches of a second each
    assert [line.partition(":")[0] for line in lines[::5]] == [
        "epoch 1/3, batch 1",
        "epoch 2/3, 0",
        "epoch 3/3, 0",
    ]
    assert all("(val " in line for line in lines[4:])  # the last epoch's, as long as there is no newer one
    assert "mae" not in out.getvalue()
    assert last.startswith("epoch 3/3, 0:19 in all: loss ")
    assert last.endswith("lr 0.025\n")
    assert out.getvalue().count("\n") == 1


def test_a_terminal_is_updated_ten_times_a_second_at_most() -> None:
    out = Terminal()
    fit(Progress(stream=out, clock=seconds(0.01).__next__), epochs=4)
    assert len(out.lines()) <= 4 + 1 + 4  # epochs, the end, and the tenths of a second


@pytest.mark.parametrize(("width", "shown"), [(100, "mae"), (62, "loss"), (30, "left"), (9, "epoch 2/3")])
def test_a_terminal_shows_as_many_metrics_as_fit(
    monkeypatch: pytest.MonkeyPatch, width: int, shown: str
) -> None:
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((width + 1, 24)))
    out = Terminal()
    fit(Progress(stream=out, clock=seconds(1).__next__))
    assert max(map(len, out.lines())) <= width + 1  # with the line break
    line = next(line for line in out.lines() if line.startswith("epoch 2/3"))
    assert shown in line
    assert not line.endswith((",", ":", " "))


def test_a_resumed_training_counts_what_is_left() -> None:
    out = io.StringIO()
    fit(Progress(stream=out, clock=seconds(10).__next__), epochs=25, initial_epoch=22)
    assert [line[:30] for line in out.getvalue().splitlines()[:2]] == [
        "epoch 23/25, 10 s, 0:20 left: ",
        "epoch 24/25, 10 s, 0:10 left: ",
    ]


def test_a_generator_without_a_length() -> None:
    def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for start in range(0, 64, 16):
            yield X[start : start + 16], Y[start : start + 16]

    out = Terminal()
    progress = Progress(stream=out, clock=seconds(1).__next__)
    fit(progress, x=batches(), y=None, batch_size=None, epochs=1)
    assert [line.partition(":")[0] for line in out.lines()[:4]] == [
        f"epoch 1/1, batch {n}" for n in (1, 2, 3, 4)
    ]


def test_a_loop_of_ones_own_with_an_unknown_number_of_epochs() -> None:
    out = io.StringIO()
    progress = Progress(stream=out, clock=seconds(1).__next__)
    progress.set_model(model())
    progress.on_train_begin()
    progress.on_epoch_begin(6)
    progress.on_train_batch_end(0, {"loss": 1.0})
    progress.on_epoch_end(6, {"loss": 0.5})
    progress.on_train_end()
    assert out.getvalue() == "epoch 7, 1.0 s: loss 0.5000, lr 0.025\n"


def test_an_interrupted_training_leaves_the_next_output_its_own_line() -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    out = Terminal()
    progress = Progress(stream=out)
    stopping = keras.callbacks.LambdaCallback(on_epoch_end=stop)
    with pytest.raises(KeyboardInterrupt, match=r"^$"):
        fit(progress, stopping)
    assert not out.getvalue().endswith("\n")
    progress.close()
    progress.close()
    assert out.getvalue().count("\n") == 1


def test_the_weights_are_the_same_with_and_without() -> None:
    weights = model().get_weights()
    fit()
    plain = model().get_weights()
    model().set_weights(weights)
    fit(Progress(stream=Terminal()))
    for a, b in zip(plain, model().get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("names", "texts"),
    [
        (None, ["accuracy 0.9000 (val 0.8000)", "loss 0.1000", "val_auc 0.5000", "lr 0.01"]),
        (("val_accuracy", "gone"), ["val_accuracy 0.8000", "lr 0.01"]),
        (("loss", "accuracy"), ["loss 0.1000", "accuracy 0.9000", "lr 0.01"]),
    ],
)
def test_metrics_stand_beside_their_validation_value(
    names: "tuple[str, ...] | None", texts: list[str]
) -> None:
    logs = {"accuracy": 0.9, "loss": 0.1, "val_accuracy": 0.8, "val_auc": 0.5, "learning_rate": 0.01}
    assert metric_texts(logs, names) == texts


def test_numbers_and_times() -> None:
    values = [0, 0.98765, -2, 1e-3, 2e-5, 1e6, float("nan"), np.array([0.5, 0.25]), "text\n"]
    assert [number_text(value) for value in values] == [
        *("0.0000", "0.9877", "-2.0000", "0.0010", "2.000e-05", "1.000e+06", "nan", "[0.5 0.25]", "text"),
    ]
    assert [clock_text(value) for value in (0, 0.6, 59.6, 61, 3600, 90_000)] == [
        *("0:00", "0:01", "1:00", "1:01", "1:00:00", "25:00:00")
    ]
