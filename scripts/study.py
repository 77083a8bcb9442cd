"""The study on MNIST, part by part: train what is missing, keep the runs' records, write tables and figures.

usage: KERASNORM_DATA=FOLDER python scripts/study.py [PART ...]     (default: all parts, several hours)
       python scripts/study.py --report                             (from the records alone)

Run directories go to runs/, their config.json, metrics.json and history.csv to docs/runs/ as they are complete,
tables and figures to docs/study/. Cut off, it goes on where it was.
"""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from export.files import write_text, write_whole
from kerasnorm.compare import NORM_NAMES, Run, accuracies
from kerasnorm.data import load_data
from kerasnorm.plots import plot_settings
from kerasnorm.recipes import NORMS
from kerasnorm.rundir import CONFIG, HISTORY, METRICS
from kerasnorm.summary import summarize

ROOT = Path(__file__).resolve().parent.parent
RUNS, RECORDS, RESULTS = ROOT / "runs", ROOT / "docs/runs", ROOT / "docs/study"

SEEDS = {"notebook": 5, "documented": 3}
PENALTIES = {"none": (0, 0), "L1": (0.001, 0), "L2": (0, 0.0005), "L1 and L2": (0.001, 0.0005)}
PENALTY_EPOCHS = 25
BATCH_SIZES = (2, 8, 32, 128)
BATCH_IMAGES, BATCH_EPOCHS = 15_000, 3
SMALL = f"mnist-first-{BATCH_IMAGES}"
PARTS = (*SEEDS, "penalties", "batch-size")


def folder(part: str, setting: str) -> str:
    """The folder of a setting's runs, within runs/ and docs/runs/."""
    return f"{part}-{setting}".replace(" ", "-").replace(",", "").lower()


def compare(seeds: int, options: Sequence[str], data: str, runs: Path = RUNS) -> None:
    """One call of kerasnorm.compare; then keep the records of all complete runs."""
    command = [sys.executable, "-m", "kerasnorm.compare", "--data", data, "--seeds", str(seeds)]
    print("+", *command[1:], *options, flush=True)
    subprocess.run([*command, "--runs", str(runs.relative_to(ROOT)), *options], check=True, cwd=ROOT)
    for metrics in runs.glob(f"*/{METRICS}"):
        record = RECORDS / metrics.parent.relative_to(RUNS)
        record.mkdir(parents=True, exist_ok=True)
        for name in (CONFIG, METRICS, HISTORY):
            shutil.copyfile(metrics.with_name(name), record / name)


def wanted(parts: Sequence[str]) -> Sequence[str]:
    """The parts that the command line names, or all; the script ends if it names another."""
    for part in sys.argv[1:]:
        if part not in parts:
            sys.exit(f"part: expected one of {', '.join(parts)}, got {part!r}")
    return sys.argv[1:] or parts


def run_part(part: str) -> None:
    """Train what a part lacks."""
    if part in SEEDS:
        compare(SEEDS[part], ["--recipe", part], "mnist")
        results = RESULTS / part
        results.mkdir(parents=True, exist_ok=True)
        for file in (RUNS / f"compare-mnist-{part}").iterdir():
            if file.suffix in (".md", ".csv", ".png"):
                shutil.copyfile(file, results / file.name)
    elif part == "penalties":
        for setting, (l1, l2) in PENALTIES.items():
            options = [
                "--recipe",
                "notebook",
                "--epochs",
                str(PENALTY_EPOCHS),
                "--l1",
                str(l1),
                "--l2",
                str(l2),
            ]
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
    """Tables and figures of the last two parts, from the records."""
    for part, settings, data, label in (
        ("penalties", list(PENALTIES), "mnist", "penalties"),
        ("batch-size", [str(size) for size in BATCH_SIZES], SMALL, "batch size"),
    ):
        values: dict[str, dict[str, list[float]]] = {}
        for norm in NORMS:
            values[norm] = {}
            for setting in settings:
                runs = [
                    Run(norm, seed, RECORDS / folder(part, setting) / f"{norm}-{data}-notebook-seed{seed}")
                    for seed in range(2)
                ]
                values[norm][setting] = accuracies(runs, norm)
        results = RESULTS / part
        results.mkdir(parents=True, exist_ok=True)
        write_text(results / "table.md", settings_table(values) + "\n")
        names = {f"{norm}, {NORM_NAMES[norm]}": of_norm for norm, of_norm in values.items()}
        figure = plot_settings(names, label, "test accuracy, %")
        write_whole(results / f"{part}.png", partial(figure.savefig, dpi=110))


def settings_table(values: dict[str, dict[str, list[float]]]) -> str:
    """Mean test accuracy and range, a row for each norm, a column for each setting."""
    settings = list(next(iter(values.values())))
    lines = ["| norm | " + " | ".join(settings) + " |", "| --- |" + " ---: |" * len(settings)]
    for norm, of_norm in values.items():
        cells = []
        for runs in of_norm.values():
            found = summarize(runs)
            cells.append(f"{found.mean:.2f} ({found.low:.2f} to {found.high:.2f})")
        lines.append(f"| {norm} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Run the parts that were named, or report."""
    if "--report" in sys.argv:
        report()
        return
    for part in wanted(PARTS):
        run_part(part)


if __name__ == "__main__":
    main()
