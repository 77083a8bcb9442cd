"""The study on MNIST, part by part: train the missing runs, keep their records, write tables and figures.

usage: KERASNORM_DATA=FOLDER python scripts/study.py [PART ...]     (default: all parts, several hours)
       python scripts/study.py --report                             (from the records alone)

Run directories are in runs/. When a run is complete, its config.json, metrics.json and history.csv are copied to
results/runs/. Tables and figures are in results/study/. After an interruption, the same command continues the study.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from export.command import run
from export.errors import UserError
from export.files import write_text, write_whole
from kerasnorm.cli.interrupts import sigterm_as_interrupt
from kerasnorm.confusion import CONFUSION
from kerasnorm.data import load_data
from kerasnorm.history import HISTORY
from kerasnorm.norms import NORMS
from kerasnorm.plots import plot_settings
from kerasnorm.rundir import CONFIG, METRICS
from kerasnorm.study.plan import Run
from kerasnorm.study.statistics import summarize
from kerasnorm.study.tables import accuracies

ROOT = Path(__file__).resolve().parent.parent
RUNS, RECORDS, RESULTS = ROOT / "runs", ROOT / "results/runs", ROOT / "results/study"

SEEDS = {"notebook": 5, "documented": 3}
PENALTIES = {"none": (0, 0), "L1": (0.001, 0), "L2": (0, 0.0005), "L1 and L2": (0.001, 0.0005)}
PENALTY_EPOCHS = 25
BATCH_SIZES = (2, 8, 32, 128)
BATCH_IMAGES, BATCH_EPOCHS = 15_000, 3
SMALL = f"mnist-first-{BATCH_IMAGES}"
PARTS = (*SEEDS, "penalties", "batch-size")


def folder(part: str, setting: str) -> str:
    """Return the folder of a setting's runs, in runs/ and results/runs/."""
    return f"{part}-{setting}".replace(" ", "-").replace(",", "").lower()


def compare(seeds: int, options: Sequence[str], data: str, runs: Path = RUNS) -> None:
    """Call kerasnorm.compare, then keep the records of all complete runs."""
    command = [sys.executable, "-m", "kerasnorm.compare", "--data", data, "--seeds", str(seeds)]
    print("+", *command[1:], *options, flush=True)
    with subprocess.Popen([*command, "--runs", str(runs.relative_to(ROOT)), *options], cwd=ROOT) as process:
        try:
            code = process.wait()
        except KeyboardInterrupt:
            process.terminate()  # it stops its trainings, which continue from their last epoch
            raise
    if code:
        sys.exit(code)
    for metrics in runs.glob(f"*/{METRICS}"):
        record = RECORDS / metrics.parent.relative_to(RUNS)
        record.mkdir(parents=True, exist_ok=True)
        for name in (CONFIG, METRICS, HISTORY, CONFUSION):
            if metrics.with_name(name).exists():  # a run by an older version has no confusion.csv
                shutil.copyfile(metrics.with_name(name), record / name)


def wanted(parts: Sequence[str]) -> Sequence[str]:
    """Return the parts that the command line names, or all.

    Raises:
        UserError: it names an unknown one.
    """
    for part in sys.argv[1:]:
        if part not in parts:
            raise UserError(f"part: expected one of {', '.join(parts)}, got {part!r}")
    return sys.argv[1:] or parts


def run_part(part: str) -> None:
    """Train the missing runs of a part."""
    if part in SEEDS:
        compare(SEEDS[part], ["--recipe", part], "mnist")
        results = RESULTS / part
        results.mkdir(parents=True, exist_ok=True)
        for file in (RUNS / f"compare-mnist-{part}").iterdir():
            if file.suffix in (".md", ".csv", ".png"):
                shutil.copyfile(file, results / file.name)
    elif part == "penalties":
        for setting, (l1, l2) in PENALTIES.items():
            options = ["--recipe", "notebook", "--epochs", str(PENALTY_EPOCHS)]
            options += ["--l1", str(l1), "--l2", str(l2)]
            compare(2, options, "mnist", RUNS / folder(part, setting))
    else:
        data = load_data("mnist")
        RUNS.mkdir(exist_ok=True)
        np.savez_compressed(
            RUNS / f"{SMALL}.npz",
            x_train=data.x_train[:BATCH_IMAGES],
            y_train=data.y_train[:BATCH_IMAGES],
            x_test=data.x_test,
            y_test=data.y_test,
        )
        for size in reversed(BATCH_SIZES):
            options = ["--recipe", "notebook", "--epochs", str(BATCH_EPOCHS), "--batch-size", str(size)]
            options += ["--learning-rate", str(0.025 * size / 128)]
            compare(2, options, f"runs/{SMALL}.npz", RUNS / folder(part, str(size)))


def report() -> None:
    """Write tables and figures of the last two parts, from the records."""
    for part, settings, data, label in (
        ("penalties", list(PENALTIES), "mnist", "penalties"),
        ("batch-size", [str(size) for size in BATCH_SIZES], SMALL, "batch size"),
    ):
        values: dict[str, dict[str, list[float]]] = {}
        for norm in NORMS:
            runs = {
                setting: [
                    Run(norm, seed, RECORDS / folder(part, setting) / f"{norm}-{data}-notebook-seed{seed}")
                    for seed in range(2)
                ]
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
    lines = ["| norm | " + " | ".join(settings) + " |", "| --- |" + " ---: |" * len(settings)]
    for norm, of_norm in values.items():
        cells = []
        for runs in of_norm.values():
            found = summarize(runs)
            cells.append(f"{found.mean:.2f} ({found.low:.2f} to {found.high:.2f})")
        lines.append(f"| {norm} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the named parts, or write the report."""
    if "--report" in sys.argv:
        report()
        return 0
    for part in wanted(PARTS):
        run_part(part)
    return 0


def run_interruptibly(main: Callable[[Sequence[str] | None], int]) -> int:
    """Run a script's `main`, and return its exit code. Ctrl-C and SIGTERM stop the trainings that it has started."""
    with sigterm_as_interrupt():
        return run(main)


if __name__ == "__main__":
    sys.exit(run_interruptibly(main))
