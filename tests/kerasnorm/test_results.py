import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from export.errors import CheckError
from kerasnorm import MisclassifiedImages, build_cnn, load_data, rundir
from kerasnorm.confusion import read_confusion
from kerasnorm.history import COLUMNS
from kerasnorm.results import metrics, save_results

HISTORY = [
    {**dict.fromkeys(COLUMNS, 0.5), "epoch": epoch, "val_accuracy": accuracy, "seconds": 2.04}
    for epoch, accuracy in ((1, 0.25), (2, 0.75), (3, 0.5))
]


WITHOUT_EXPORT = {
    *(rundir.MODEL, rundir.CONFUSION, rundir.CONFUSION_PLOT),
    *(rundir.CURVES, rundir.MISCLASSIFIED, rundir.METRICS),
}


def test_metrics_are_of_the_last_and_the_best_epoch() -> None:
    found = metrics(build_cnn("bn"), HISTORY, 180)
    assert (found["epochs"], found["test_accuracy"]) == (3, 0.5)
    assert (found["best_epoch"], found["best_test_accuracy"]) == (2, 0.75)
    assert (found["trainable_parameters"], found["non_trainable_parameters"]) == (9680, 160)
    assert (found["misclassified"], found["seconds"]) == (180, 6.1)


def save(path: Path, **options: Any) -> keras.Model:
    keras.utils.set_random_seed(0)
    data = load_data("digits")
    model = build_cnn("ln", data.image_shape, data.num_classes)
    wrong = MisclassifiedImages(data.x_test, data.y_test)
    wrong.collect(model)
    save_results(path, model, data, HISTORY, wrong, seed=0, **options)
    return model


def test_results_without_export(tmp_path: Path) -> None:
    (tmp_path / rundir.CHECKPOINT).write_bytes(b"no longer needed")
    model = save(tmp_path, export=False)
    assert {path.name for path in tmp_path.iterdir()} == WITHOUT_EXPORT
    again = keras.models.load_model(tmp_path / rundir.MODEL)
    for a, b in zip(model.trainable_weights, again.trainable_weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_confusion_csv_agrees_with_the_metrics(tmp_path: Path) -> None:
    model = save(tmp_path, export=False)
    data, found = load_data("digits"), read_confusion(tmp_path / rundir.CONFUSION)
    assert found is not None
    assert found.class_names == data.class_names
    predicted = model.predict(data.x_test, batch_size=512, verbose=0).argmax(1)
    for actual, row in enumerate(found.counts):
        np.testing.assert_array_equal(row, np.bincount(predicted[data.y_test == actual], minlength=10))
    wrong = json.loads((tmp_path / rundir.METRICS).read_text())["misclassified"]
    assert found.counts.sum() - np.trace(found.counts) == wrong


def test_data_with_too_many_classes_has_no_confusion_matrix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kerasnorm.results.MOST_CLASSES", 9)
    save(tmp_path, export=False)
    assert {path.name for path in tmp_path.iterdir()} == WITHOUT_EXPORT - {
        *(rundir.CONFUSION, rundir.CONFUSION_PLOT)
    }


def test_a_failed_parity_check_leaves_a_complete_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise CheckError("the outputs differ")

    monkeypatch.setattr("export.export.export_model", fail)
    with pytest.raises(CheckError, match="the outputs differ"):
        save(tmp_path)
    assert (tmp_path / rundir.METRICS).exists()
    assert not (tmp_path / rundir.ONNX).exists()


@pytest.mark.parametrize(
    ("plot", "file"),
    [
        ("plots.plot_curves", rundir.CURVES),
        ("confusion_plot.plot_confusion", rundir.CONFUSION_PLOT),
        ("image_plots.plot_misclassified", rundir.MISCLASSIFIED),
    ],
)
def test_a_plot_that_cannot_be_drawn_is_left_out(
    tmp_path: Path, plot: str, file: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        assert (tmp_path / rundir.MODEL).exists()
        raise ZeroDivisionError("a bug\nof two lines")

    monkeypatch.setattr(f"kerasnorm.{plot}", fail)
    save(tmp_path, export=False)
    assert {path.name for path in tmp_path.iterdir()} == WITHOUT_EXPORT - {file}
    assert capsys.readouterr().err == (
        f"{tmp_path / file}: not written, because it can't be drawn: a bug of two lines\n"
    )


def test_a_training_that_is_much_worse_than_guessing_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(HISTORY[-1], "cross_entropy", 14.5)
    save(tmp_path, export=False)
    assert capsys.readouterr().err == (
        f"{tmp_path}: the training diverged: its cross-entropy is 14.5, that of guessing 2.3; "
        "use a smaller learning rate\n"
    )
    assert (tmp_path / rundir.METRICS).exists()
