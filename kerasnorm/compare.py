"""compare: the study, norms x seeds, each run in a process of its own; `python -m kerasnorm.compare`."""

from __future__ import annotations

import argparse
import contextlib
import csv
import dataclasses
import io
import itertools
import math
import os
import queue
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from export.command import Parser, run
from export.errors import UserError
from export.files import write_text, write_whole
from kerasnorm import rundir
from kerasnorm.data import NAMES
from kerasnorm.recipes import NORMS, Recipe
from kerasnorm.summary import Summary, paired_difference, summarize
from kerasnorm.train import add_recipe_arguments, add_recipe_name, recipe_arguments, recipe_from

NORM_NAMES = {"bn": "Batch Normalization", "ln": "Layer Normalization", "gn": "Group Normalization"}

# What the four overlaid plots show: column of history.csv, file, label of the axis, factor.
PLOTS = (
    ("cross_entropy", "train-loss.png", "train cross-entropy", 1.0),
    ("accuracy", "train-accuracy.png", "train accuracy, %", 100.0),
    ("val_cross_entropy", "test-loss.png", "test cross-entropy", 1.0),
    ("val_accuracy", "test-accuracy.png", "test accuracy, %", 100.0),
)


@dataclasses.dataclass(frozen=True)
class Run:
    """One run of the study: where it lies, and of what."""

    norm: str
    seed: int
    path: Path

    @property
    def complete(self) -> bool:
        """Whether nothing is left to do."""
        return (self.path / rundir.METRICS).exists()


def plan(norms: Sequence[str], seeds: int, name: str, recipe: Recipe, folder: Path) -> list[Run]:
    """The runs of a study, seed by seed, so that one that is cut off has every norm.

    Raises:
        UserError: `seeds` is less than 1, a norm is named twice, or a directory holds another run.
    """
    if seeds < 1:
        raise UserError(f"seeds: expected 1 or more, got {seeds}")
    if len(set(norms)) != len(norms):
        raise UserError(f"norms: expected each once, got {' '.join(norms)}")
    runs = [
        Run(norm, seed, folder / f"{norm}-{name}-{recipe.name}-seed{seed}")
        for seed, norm in itertools.product(range(seeds), norms)
    ]
    for one in runs:
        if (one.path / rundir.CONFIG).exists():
            wanted = dataclasses.asdict(recipe.for_norm(one.norm))
            config = {"norm": one.norm, "recipe": wanted, "seed": one.seed}
            rundir.check_same(one.path, config, "name another folder with --runs")
    return runs


def train_all(
    runs: Sequence[Run], words: Sequence[str], jobs: int = 1, say: Callable[[str], None] = print
) -> None:
    """Train what is not complete, each run in a process of its own; a run that was cut off is resumed.

    Args:
        runs: the runs.
        words: further words for `kerasnorm.train`: data, recipe and hyper-parameters.
        jobs: runs at a time, each on its own share of the cores (Linux).
        say: gets a line for each finished run, with an estimate of the time left.

    Raises:
        UserError: a run failed; the message is its own.
        KeyboardInterrupt: after Ctrl-C; the runs that are under way keep their last finished epoch.
    """
    todo = [one for one in runs if not one.complete]
    if len(todo) < len(runs):
        say(f"{len(runs) - len(todo)} of {len(runs)} runs are complete already")
    seconds: list[float] = []
    start = time.monotonic()
    shares: queue.SimpleQueue[list[int]] = queue.SimpleQueue()
    for share in core_shares(jobs):
        shares.put(share)

    def train(one: Run) -> None:
        begin = time.monotonic()
        command = [sys.executable, "-m", "kerasnorm.train", "--norm", one.norm, "--seed", str(one.seed)]
        command += ["--out", str(one.path), "--resume", *words]
        share = shares.get()
        try:
            process = _start(command, share)
            errors = process.communicate()[1]
        finally:
            shares.put(share)
        if process.returncode:
            lines = errors.strip().splitlines() or [f"exit code {process.returncode}"]
            raise UserError(f"{one.path}: {lines[-1].removeprefix('error: ')}")
        seconds.append(time.monotonic() - begin)
        left = math.ceil((len(todo) - len(seconds)) / jobs) * statistics.median(seconds)
        accuracy = rundir.read_json(one.path / rundir.METRICS)["test_accuracy"]
        say(
            f"{len(seconds)} of {len(todo)}: {one.path.name}: {100 * accuracy:.2f} %, {seconds[-1]:.0f} s; "
            + (f"about {_duration(left)} left" if left else f"{_duration(time.monotonic() - start)} in all")
        )

    with ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(train, one) for one in todo]
        try:
            for future in futures:
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def core_shares(jobs: int) -> list[list[int]]:
    """The cores of each of some processes that run side by side, as even as can be.

    A small CNN on one core takes hardly longer than on two, so two runs on a core each are done sooner than one after
    the other. Empty lists where there is nothing to share, or no way to: one job, or a system without CPU affinity.
    """
    if jobs == 1 or not hasattr(os, "sched_getaffinity"):
        return [[] for _ in range(jobs)]
    cores = sorted(os.sched_getaffinity(0))
    return [cores[job::jobs] or [cores[job % len(cores)]] for job in range(jobs)]


def _start(command: Sequence[str], cores: Sequence[int]) -> subprocess.Popen[str]:
    """Start a process on these cores, all of them where none are named."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if cores:
        with contextlib.suppress(ProcessLookupError):  # it has ended already
            os.sched_setaffinity(process.pid, cores)  # long before it has imported what counts its cores
    return process


def _duration(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"


def accuracies(runs: Sequence[Run], norm: str, key: str = "test_accuracy") -> list[float]:
    """One figure of metrics.json in percent, by seed."""
    return [100 * rundir.read_json(one.path / rundir.METRICS)[key] for one in runs if one.norm == norm]


def tables(runs: Sequence[Run], norms: Sequence[str]) -> tuple[str, str]:
    """The results and the differences, as two markdown tables."""
    lines = [
        "| norm | seeds | test accuracy, last epoch, % | smallest to largest | 95 % interval of the mean "
        "| best epoch, % | train accuracy, % |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [f"| {norm}, {NORM_NAMES[norm]} | {result_cells(runs, norm)} |" for norm in norms]
    differences = [
        "| pair | difference of the means, points | 95 % interval | p | more than chance? |",
        "| --- | ---: | ---: | ---: | --- |",
    ]
    pairs = list(itertools.combinations(norms, 2))
    for first, second in pairs:
        found = paired_difference(accuracies(runs, first), accuracies(runs, second))
        differences.append(
            f"| {first} - {second} | {found.mean:+.3f} | {_interval(found.interval, '+.3f')} "
            f"| {'' if math.isnan(found.p_value) else f'{found.p_value:.3f}'} | {_verdict(found.p_value, len(pairs))} |"
        )
    return "\n".join(lines), "\n".join(differences)


def result_cells(runs: Sequence[Run], norm: str) -> str:
    """Six cells of a markdown table: seeds, last epoch, its range, its interval, best epoch, train accuracy."""
    last, best, train = (
        summarize(accuracies(runs, norm, key))
        for key in ("test_accuracy", "best_test_accuracy", "train_accuracy")
    )
    return (
        f"{last.count} | **{_with_deviation(last)}** | {last.low:.2f} to {last.high:.2f} "
        f"| {_interval(last.interval)} | {_with_deviation(best)} | {_with_deviation(train)}"
    )


def _with_deviation(summary: Summary) -> str:
    return f"{summary.mean:.2f}" + ("" if math.isnan(summary.deviation) else f" ± {summary.deviation:.2f}")


def _interval(interval: tuple[float, float], form: str = ".2f") -> str:
    return "" if math.isnan(interval[0]) else f"{interval[0]:{form}} to {interval[1]:{form}}"


def _verdict(p_value: float, pairs: int) -> str:
    """In words, at 5 % shared among the pairs (Bonferroni)."""
    if math.isnan(p_value):
        return "one seed cannot tell"
    return "yes" if p_value < 0.05 / pairs else "no"


def table_csv(runs: Sequence[Run]) -> str:
    """A row for each run."""
    text = io.StringIO()
    columns = (
        "test_accuracy",
        "best_test_accuracy",
        "best_epoch",
        "train_accuracy",
        "misclassified",
        "seconds",
    )
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["norm", "seed", *columns])
    for one in runs:
        metrics = rundir.read_json(one.path / rundir.METRICS)
        writer.writerow([one.norm, one.seed, *(metrics[column] for column in columns)])
    return text.getvalue()


def write_study(runs: Sequence[Run], norms: Sequence[str], title: str, out: Path) -> None:
    """Write table.md, runs.csv, four overlaid plots, a canvas for each norm and report.html."""
    from kerasnorm.plots import plot_overlaid
    from kerasnorm.report import html_report

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{out}: cannot make the directory: {error.strerror}; name another with --out"
        ) from error
    results, differences = tables(runs, norms)
    write_text(out / "table.md", f"{results}\n\n{differences}\n")
    write_text(out / "runs.csv", table_csv(runs))
    histories = {norm: [rundir.read_history(one.path) for one in runs if one.norm == norm] for norm in norms}
    for column, file, label, scale in PLOTS:
        values = {
            norm: [[scale * row[column] for row in history] for history in of_norm]
            for norm, of_norm in histories.items()
        }
        write_whole(out / file, partial(plot_overlaid(values, label).savefig, dpi=110))
    canvases = []
    for norm in norms:
        first = next(one for one in runs if one.norm == norm)
        canvases.append(out / f"misclassified-{norm}.png")
        write_whole(canvases[-1], partial(shutil.copyfile, first.path / rundir.MISCLASSIFIED))
    plots = [out / file for _, file, _, _ in PLOTS]
    page = html_report(title, results, differences, plots, canvases)
    write_text(out / "report.html", page)


def parser() -> argparse.ArgumentParser:
    """The command line; hyper-parameters are those of kerasnorm.train."""
    parser = Parser(
        prog="kerasnorm-compare",
        description="Train norms x seeds and compare them: table, overlaid curves, misclassified images, report.",
    )
    parser.add_argument("--norms", nargs="+", default=list(NORMS), choices=NORMS, help="default: bn ln gn")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds, from 0 (default: 3)")
    parser.add_argument(
        "--data",
        default="auto",
        metavar="NAME|FILE.npz",
        help=f"{', '.join(NAMES)}, or a .npz file (default: auto)",
    )
    add_recipe_name(parser)
    parser.add_argument(
        "--runs", default="runs", metavar="DIR", help="folder of the run directories (default: runs)"
    )
    parser.add_argument(
        "--out", metavar="DIR", help="folder of the results (default: RUNS/compare-DATA-RECIPE)"
    )
    parser.add_argument(
        "--jobs", type=int, default=1, help="runs at a time, each on its share of the cores (default: 1)"
    )
    add_recipe_arguments(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line, train what is missing, write the results."""
    arguments = parser().parse_args(argv)
    if arguments.jobs < 1:
        raise UserError(f"jobs: expected 1 or more, got {arguments.jobs}")
    recipe = recipe_from(arguments)
    data = arguments.data
    if data == "auto":  # decided once, so that all runs have the same
        from kerasnorm.data import load_data

        data = load_data("auto").name
    folder = Path(arguments.runs)
    name = Path(data).stem + (f"-held-out-{arguments.held_out}" if arguments.held_out else "")
    runs = plan(arguments.norms, arguments.seeds, name, recipe, folder)
    words = ["--data", data, "--recipe", arguments.recipe, "--held-out", str(arguments.held_out)]
    words += recipe_arguments(arguments)
    try:
        train_all(runs, words, arguments.jobs, lambda line: print(line, flush=True))
    except KeyboardInterrupt:
        raise KeyboardInterrupt("interrupted; the same command goes on where it was") from None
    out = Path(arguments.out) if arguments.out else folder / f"compare-{name}-{recipe.name}"
    title = f"{name}, recipe {recipe.name}, {recipe.epochs} epochs, {arguments.seeds} seeds"
    write_study(runs, arguments.norms, title, out)
    print((out / "table.md").read_text(encoding="utf-8"), end="")
    print(f"{out / 'report.html'}: the same with plots and misclassified images")
    return 0


def cli() -> int:
    """Entry point of the console script."""
    return run(main)


if __name__ == "__main__":
    sys.exit(cli())
