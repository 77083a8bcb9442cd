"""What a run writes for TensorBoard; that it changes no weights is tested in cli/test_kills.py."""

from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from export.errors import UserError
from kerasnorm import Recipe, load_data, rundir
from kerasnorm.image_plots import plot_misclassified
from kerasnorm.tensorboard import RunTensorBoard, write_pictures
from kerasnorm.train import check_arguments

pytest.importorskip("tensorboard")


def values(folder: Path) -> Iterator[tuple[str, int]]:
    """Tag and step of each value in the event files of a folder."""
    for file in sorted(folder.glob("events.out.tfevents.*")):
        for event in tf.compat.v1.train.summary_iterator(str(file)):
            yield from ((value.tag, event.step) for value in event.summary.value)


class Reader(keras.callbacks.Callback):
    """Reads, after each epoch, what has been written so far."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder, self.seen = folder, list[tuple[str, int]]()

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        self.seen = list(values(self.folder))


def test_a_killed_training_has_its_finished_epochs_and_a_resumed_one_the_others(tmp_path: Path) -> None:
    x, y = np.eye(4, dtype="float32"), np.arange(4)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4, name="head")])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    reader = Reader(tmp_path / "logs/train")
    for first, epochs in ((0, 2), (2, 3)):
        callbacks = [RunTensorBoard(tmp_path / "logs"), reader]
        model.fit(
            x, y, epochs=epochs, initial_epoch=first, validation_data=(x, y), callbacks=callbacks, verbose=0
        )
        assert ("epoch_accuracy", epochs - 1) in reader.seen  # before the training ends
    for tag in ("epoch_loss", "epoch_accuracy", "epoch_learning_rate"):
        assert [step for name, step in values(reader.folder) if name == tag] == [0, 1, 2]
    assert ("keras", 0) in values(reader.folder)  # the graph
    assert [step for name, step in values(reader.folder) if name.endswith("kernel/histogram")] == [0, 1, 2]
    steps = [step for name, step in values(tmp_path / "logs/validation") if name == "epoch_accuracy"]
    assert steps == [0, 1, 2]


def test_the_pictures_of_a_run(tmp_path: Path) -> None:
    data = load_data("digits")
    figure = plot_misclassified(data.x_test[:2], np.array([1, 2]), data.y_test[:2])
    figure.savefig(tmp_path / rundir.MISCLASSIFIED)
    write_pictures(tmp_path / "logs", tmp_path, Recipe(epochs=7), data, seed=0)
    found = dict(values(tmp_path / "logs/train"))
    assert found == {"augmented training images": 7, "misclassified": 7}


def test_a_folder_that_can_t_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        UserError, match=r"cannot write .*file/logs: Not a directory; name another folder with --t"
    ):
        RunTensorBoard(tmp_path / "file/logs")


def test_a_missing_package_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        UserError, match=r"tensorboard: expected the package tensorboard, .* pip install tensorboard"
    ):
        check_arguments("bn", "digits", tensorboard=True)
    check_arguments("bn", "digits")


def test_events_of_an_earlier_run_are_removed_and_nothing_else(tmp_path: Path) -> None:
    for name in ("train/events.out.tfevents.1", "validation/events.out.tfevents.2", "train/mine.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    rundir.remove_events(tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["mine.txt", "train"]
    (tmp_path / "train/mine.txt").unlink()
    rundir.remove_events(tmp_path)
    rundir.remove_events(tmp_path)
    assert not tmp_path.exists()
