"""The study on MNIST, part by part: train the missing runs, keep their records, write tables and figures.

usage: KERASNORM_DATA=FOLDER python scripts/study.py [PART ...]     (default: all parts, several hours)
       python scripts/study.py --report                             (from the records alone)

Run directories are in runs/, their records in results/runs/, tables and figures in results/study/. After an
interruption, the same command continues the study.
"""

import shutil
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from markdown_tables import markdown_table
from recorded_runs import RECORDS, RESULTS, ROOT, RUNS, compare, folder, recorded, run_interruptibly, wanted

from export.files import write_text, write_whole
from kerasnorm.data import load_data
from kerasnorm.history import COLUMNS, read_history
from kerasnorm.norms import NORMS
from kerasnorm.plots import plot_curves
from kerasnorm.result_plots import plot_settings
from kerasnorm.study.report import write_study
from kerasnorm.study.statistics import summarize
from kerasnorm.study.tables import accuracies

SEEDS = {"notebook": 5, "documented": 3}
PENALTIES = {"none": (0, 0), "L1": (0.001, 0), "L2": (0, 0.0005), "L1 and L2": (0.001, 0.0005)}
PENALTY_EPOCHS = 25
BATCH_SIZES = (2, 8, 32, 128)
BATCH_IMAGES, BATCH_EPOCHS = 15_000, 3
SMALL = f"mnist-first-{BATCH_IMAGES}"
PARTS = (*SEEDS, "penalties", "batch-size")


def run_part(part: str) -> None:
    """Train the missing runs of a part."""
    if part in SEEDS:
        compare(SEEDS[part], ["--recipe", part], "mnist")
        keep_results(RUNS / f"compare-mnist-{part}", part)
    elif part == "penalties":
        for setting, (l1, l2) in PENALTIES.items():
            options = ["--recipe", "notebook", "--epochs", str(PENALTY_EPOCHS)]
            options += ["--l1", str(l1), "--l2", str(l2)]
            compare(2, options, "mnist", RUNS / folder(part, setting))
    else:
        data = write_small_mnist()
        for size in reversed(BATCH_SIZES):
            options = ["--recipe", "notebook", "--epochs", str(BATCH_EPOCHS), "--batch-size", str(size)]
            options += ["--learning-rate", str(0.025 * size / 128)]
            compare(2, options, data, RUNS / folder(part, str(size)))


def write_small_mnist() -> str:
    """Write the data of the runs with several batch sizes, if it is not there, and return the file's name."""
    file = RUNS / f"{SMALL}.npz"
    if not file.exists():
        data = load_data("mnist")
        RUNS.mkdir(exist_ok=True)
        np.savez_compressed(
            file,
            x_train=data.x_train[:BATCH_IMAGES],
            y_train=data.y_train[:BATCH_IMAGES],
            x_test=data.x_test,
            y_test=data.y_test,
        )
    return str(file.relative_to(ROOT))


def keep_results(study: Path, part: str) -> None:
    """Copy the tables and plots of a study to results/study/."""
    results = RESULTS / part
    results.mkdir(parents=True, exist_ok=True)
    for file in study.iterdir():
        if file.suffix in (".md", ".csv", ".png"):
            shutil.copyfile(file, results / file.name)


def report_seeds() -> None:
    """Write tables and plots of the first two parts, and the curves of one run, from the records.

    Misclassified images are not recorded: those in results/study/ stay.
    """
    for part, seeds in SEEDS.items():
        runs = [recorded(norm, "mnist", part, seed) for seed in range(seeds) for norm in NORMS]
        unfinished = {run.norm for run in runs if not run.complete}
        norms = [norm for norm in NORMS if norm not in unfinished]
        with tempfile.TemporaryDirectory() as folder:
            write_study([run for run in runs if run.norm in norms], norms, part, Path(folder))
            keep_results(Path(folder), part)
    history = read_history(RECORDS / "gn-mnist-documented-seed0")
    columns = {key: [row[key] for row in history] for key in COLUMNS}
    figure = plot_curves(columns, f"cnn_gn: mnist, {len(history)} epochs, seed 0")
    write_whole(ROOT / "results/figures/curves-gn.png", partial(figure.savefig, dpi=120))


def report() -> None:
    """Write tables and figures of the last two parts, from the records."""
    for part, settings, data, label in (
        ("penalties", list(PENALTIES), "mnist", "penalties"),
        ("batch-size", [str(size) for size in BATCH_SIZES], SMALL, "batch size"),
    ):
        values: dict[str, dict[str, list[float]]] = {}
        for norm in NORMS:
            runs = {
                setting: [recorded(norm, data, "notebook", seed, folder(part, setting)) for seed in range(2)]
                for setting in settings
            }
            if all(run.complete for of_setting in runs.values() for run in of_setting):
                values[norm] = {setting: accuracies(of_setting, norm) for setting, of_setting in runs.items()}
        results = RESULTS / part
        results.mkdir(parents=True, exist_ok=True)
        write_text(results / "table.md", settings_table(values) + "\n")
        names = {f"{norm}, {NORMS[norm].name}": of_norm for norm, of_norm in values.items()}
        figure = plot_settings(names, label, "test accuracy, %")
        write_whole(results / f"{part}.png", partial(figure.savefig, dpi=110))


def settings_table(values: dict[str, dict[str, list[float]]]) -> str:
    """Return mean test accuracy and range, with a row for each norm and a column for each setting."""
    settings = list(next(iter(values.values())))
    rows = []
    for norm, of_norm in values.items():
        found = map(summarize, of_norm.values())
        rows.append((norm, *(f"{one.mean:.2f} ({one.low:.2f} to {one.high:.2f})" for one in found)))
    return markdown_table(("norm", *(f"{setting}:" for setting in settings)), rows)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the named parts, or write the report."""
    if "--report" in sys.argv:
        report_seeds()
        report()
        return 0
    for part in wanted(PARTS):
        run_part(part)
    return 0


if __name__ == "__main__":
    sys.exit(run_interruptibly(main))
