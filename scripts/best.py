"""Recipe `best`: the search for it on held-out training images, its runs, and the effect of each of its parts.

usage: KERASNORM_DATA=FOLDER python scripts/best.py [PART ...]    (default: all parts, many hours)
       python scripts/best.py --report                           (tables from the records alone)

Run directories are in runs/, their records in results/runs/, tables in results/best/. After an interruption, the same
command continues.
"""

import sys
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from markdown_tables import markdown_table
from recorded_runs import RESULTS, RUNS, compare, folder, recorded, run_interruptibly, wanted

from export.files import write_text
from export.infer import Classifier
from kerasnorm.data import load_data
from kerasnorm.speed import available_cores

HELD_OUT = 5000
DATA = f"mnist-held-out-{HELD_OUT}"
HELD = ["--recipe", "best", "--held-out", str(HELD_OUT)]
SEEDS = 2

# The start of the search. Everything that a trial may change is written out, so that a trial stays the same when
# `best` changes.
START = {
    "dropout": 0,
    "l1": 0,
    "l2": 0.0005,
    "epochs": 20,
    "batch-size": 128,
    "learning-rate": 0.1,
    "momentum": 0.9,
    "schedule": "cosine",
    "warmup": 0.25,
    "ema": 0.999,
    "statistics": 0,
    "label-smoothing": 0,
    "rotation": 12,
    "brightness": 0.1,
    "contrast": 0.1,
    "shift": 2,
    "zoom": 0.12,
    "shear": 0.1,
}
# The changes of each trial. The first four were judged with moving averages of ten batches, whose noise hid most
# differences; the others are judged with the means and variances of training images.
TRIALS: dict[str, dict[str, object]] = {
    "start": {},
    "l2 0.0001": {"l2": 0.0001},
    "weaker": {"rotation": 8, "shift": 1, "zoom": 0.08, "shear": 0.07},
    "rate 0.2": {"learning-rate": 0.2},
}
LATER_TRIALS: dict[str, dict[str, object]] = {
    "start": {},
    "stronger": {"rotation": 15, "shift": 2.5, "zoom": 0.16, "shear": 0.15},
    "no averaging": {"ema": 0},
    "60 epochs": {"epochs": 60},
    "dropout 0.05": {"dropout": 0.05},
}
TRIALS |= {f"statistics, {name}": {"statistics": 5000} | changes for name, changes in LATER_TRIALS.items()}
# The search used bn, two seeds for each trial; some trials were repeated with other norms, one seed each.
TRIAL_NORMS = {
    "statistics, start": ("bn", "ln", "gn"),
    "statistics, stronger": ("bn", "gn"),
    "statistics, dropout 0.05": ("gn",),
}
# The effect of each part of the recipe: `best` without it, for 20 epochs; and the effect of more epochs.
# Four of them are trials as well, and their runs are there.
ABLATION_EPOCHS = 20
TRIALS_THERE = {
    "best": "statistics, start",
    "no averaging of weights": "statistics, no averaging",
    "moving averages in bn": "start",
    "60 epochs": "statistics, 60 epochs",
}
ABLATIONS: dict[str, dict[str, object]] = {
    "best": {},
    "no augmentation": {"rotation": 0, "brightness": 0, "contrast": 0, "shift": 0, "zoom": 0, "shear": 0},
    "rate in four steps": {"schedule": "step", "step-size": 5},
    "no averaging of weights": {"ema": 0},
    "moving averages in bn": {"statistics": 0},
    "no penalties": {"l2": 0},
    "dropout 0.05": {"dropout": 0.05},
    "label smoothing 0.05": {"label-smoothing": 0.05},
    "60 epochs": {"epochs": 60},
}
ABLATIONS = {name: {"epochs": ABLATION_EPOCHS, **changes} for name, changes in ABLATIONS.items()}
# How accuracy grows with training time: one run at a time, on all cores.
GROWTH_EPOCHS = (4, 10, 30)
PARTS = ("tuning", "runs", "onnx", "ablation", "growth")


def argv(changes: dict[str, object]) -> list[str]:
    """Return hyper-parameters as options of a command line."""
    return [word for option, value in changes.items() for word in (f"--{option}", str(value))]


def runs_folder(part: str, name: str) -> str:
    """Return the folder of the runs of a trial or an ablation, in runs/ and results/runs/."""
    return folder("tuning", TRIALS_THERE[name]) if name in TRIALS_THERE else folder(part, name)


def run_part(part: str) -> None:
    """Train the missing runs of a part, one run on each core; `growth` trains one run at a time on all cores."""
    if part == "growth":
        for epochs in GROWTH_EPOCHS:
            options = [*HELD, "--norms", "bn", "--epochs", str(epochs)]
            compare(1, options, "mnist", RUNS / folder(part, str(epochs)))
        return
    jobs = ["--jobs", str(available_cores())]
    if part == "runs":
        compare(5, ["--recipe", "best", *jobs], "mnist")
        return
    settings = {name: START | changes for name, changes in TRIALS.items()} if part == "tuning" else ABLATIONS
    for name, changes in settings.items():
        options = [*HELD, *argv(changes), *jobs]
        for norm in TRIAL_NORMS.get(name, ("bn",)):
            seeds = SEEDS if norm == "bn" else 1
            compare(seeds, [*options, "--norms", norm], "mnist", RUNS / runs_folder(part, name))


def onnx_table() -> str:
    """Return the accuracy of the exported models and of Keras on all test images, and the errors they share.

    This needs the run directories themselves.
    """
    data = load_data("mnist")
    titles = (
        *("run", "test accuracy, Keras, %:", "ONNX, %:", "images classified differently:"),
        "largest difference:",
    )
    probabilities, rows = [], []
    for path in sorted(RUNS.glob("*-mnist-best-seed*")):
        if not (path / "model.onnx").exists():
            continue
        model = keras.models.load_model(path / "model.keras")
        expected = model.predict(data.x_test, batch_size=500, verbose=0)
        got = Classifier(path / "model.onnx").predict(data.x_test)
        keras_share, onnx_share = (percent_right(one, data.y_test) for one in (expected, got))
        otherwise, largest = int((expected.argmax(1) != got.argmax(1)).sum()), np.abs(expected - got).max()
        rows.append((path.name, f"{keras_share:.2f}", f"{onnx_share:.2f}", otherwise, f"{largest:.0e}"))
        probabilities.append(got)
    if not probabilities:
        sys.exit(
            "onnx: expected runs of recipe best with model.onnx in runs/, got none; train them: best.py runs"
        )
    wrong = np.sum([one.argmax(1) != data.y_test for one in probabilities], axis=0)
    count = len(probabilities)
    return (
        f"{markdown_table(titles, rows)}\n\n"
        f"Of {len(data.y_test):,} test images {(wrong == count).sum()} are wrong in all {count} runs, "
        f"{(wrong > count / 2).sum()} in more than half, {(wrong > 0).sum()} in at least one. The mean of the "
        f"{count} runs' probabilities gets {percent_right(np.mean(probabilities, axis=0), data.y_test):.2f} %."
    )


def percent_right(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the accuracy in percent."""
    return 100 * float((probabilities.argmax(1) == labels).mean())


def records(name: str, norm: str) -> list[dict[str, Any]]:
    """Return metrics.json of the complete runs of a setting, by seed."""
    runs = [recorded(norm, DATA, "best", seed, name) for seed in range(SEEDS)]
    return [run.metrics for run in runs if run.complete]


def table(part: str) -> str:
    """Return a row for each trial or ablation and norm: its changes, and its results on the held-out images."""
    settings = TRIALS if part == "tuning" else ABLATIONS
    titles = (
        *("trial" if part == "tuning" else "recipe", "norm", "changes", "accuracy, %:", "each seed:"),
        *("cross-entropy:", "train cross-entropy:"),
    )
    rows = []
    for name, changes in settings.items():
        shown = {key: value for key, value in changes.items() if (key, value) != ("epochs", ABLATION_EPOCHS)}
        for norm in TRIAL_NORMS.get(name, ("bn",)):
            runs = records(runs_folder(part, name), norm)
            if not runs:
                continue
            accuracy, loss, train = (
                np.mean([one[key] for one in runs])
                for key in ("test_accuracy", "test_cross_entropy", "train_cross_entropy")
            )
            each = ", ".join(f"{100 * one['test_accuracy']:.2f}" for one in runs)
            changed = " ".join(argv(shown)) or "nothing"
            rows.append((name, norm, changed, f"{100 * accuracy:.2f}", each, f"{loss:.4f}", f"{train:.4f}"))
    return markdown_table(titles, rows)


def growth_table() -> str:
    """Return the held-out accuracy of bn by epochs and minutes."""
    rows = []
    for epochs in GROWTH_EPOCHS:
        for one in records(folder("growth", str(epochs)), "bn"):
            minutes, accuracy = f"{one['seconds'] / 60:.1f}", f"{100 * one['test_accuracy']:.2f}"
            losses = (f"{one[key]:.4f}" for key in ("test_cross_entropy", "train_cross_entropy"))
            rows.append((epochs, minutes, accuracy, *losses))
    return markdown_table(
        ("epochs:", "minutes:", "accuracy, %:", "cross-entropy:", "train cross-entropy:"), rows
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the named parts, or write the report."""
    results = RESULTS.parent / "best"
    results.mkdir(exist_ok=True)
    if "--report" in sys.argv:
        for part in ("tuning", "ablation"):
            write_text(results / f"{part}.md", table(part) + "\n")
        write_text(results / "growth.md", growth_table() + "\n")
        return 0
    for part in wanted(PARTS):
        if part == "onnx":
            write_text(results / "onnx.md", onnx_table() + "\n")
        else:
            run_part(part)
    return 0


if __name__ == "__main__":
    sys.exit(run_interruptibly(main))
