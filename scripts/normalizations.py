"""All normalizations on MNIST, with one recipe and one penalty: train the missing runs, time the graphs, write tables.

usage: KERASNORM_DATA=FOLDER python scripts/normalizations.py [PART ...]     (default: all parts, two and a half hours)
       python scripts/normalizations.py --report                             (from the records alone)

The parts: `seeds` (five seeds of each), `batch-size` (four batch sizes on a part of the data), `rates` (higher learning
rates, on held-out images, for the norms that start slowly), `graphs` (size, parity and latency of the exported networks
of seed 0; run nothing else at the same time).

Run directories are in runs/, their records in results/runs/ and results/bench/normalizations.json, tables and figures
in results/study/. After an interruption, the same command continues.
"""

import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from markdown_tables import markdown_table
from recorded_runs import RESULTS, ROOT, RUNS, compare, folder, recorded, run_interruptibly, wanted
from study import BATCH_EPOCHS, BATCH_SIZES, SMALL, settings_table, write_small_mnist

from export.command import import_tensorflow_quietly
from export.errors import UserError
from export.files import write_json, write_text, write_whole
from export.runtime import open_session
from export.timing import time_calls
from kerasnorm.data import load_data
from kerasnorm.history import read_history
from kerasnorm.norms import NORMS
from kerasnorm.result_plots import plot_settings_apart, plot_tradeoff
from kerasnorm.rundir import MODEL, read_json
from kerasnorm.speed import available_cores
from kerasnorm.study.plan import Run
from kerasnorm.study.statistics import summarize
from kerasnorm.study.tables import accuracies, comparisons, label, p_text, with_deviation

# One penalty for all: the L2 factor that the reference gives to bn and ln. Its L1 factor is for bn and gn alone.
PENALTY = ["--l1", "0", "--l2", "0.0005"]
RECIPE, EPOCHS, SEEDS = "documented", 12, 5
BASELINE = "bn"
FOLDER, BATCH_FOLDER, RATE_FOLDER = "normalizations", "normalizations-batch", "normalizations-rate"
BATCH_SEEDS = RATE_SEEDS = 2
# The recipe's own learning rate first.
RATES, RATE_NORMS, HELD_OUT = ("0.025", "0.1", "0.4"), ("bn", "none", "dyt"), 5000
RECORD = ROOT / "results/bench/normalizations.json"
TIMED_BATCHES, ROUNDS, SECONDS = (1, 32), 5, 11.0  # a latency is the median of the rounds' medians
# The panels of the plot of batch sizes.
PANELS = {
    "Statistics of the batch": ("bn", "gbn", "brn"),
    "Statistics of an image": ("ln", "gn", "ws", "rms"),
    "Statistics of each channel of an image": ("in", "frn"),
    "No statistics": ("none", "dyt"),
}
PARTS = ("seeds", "batch-size", "rates", "graphs")


def run_part(part: str) -> None:
    """Train the missing runs of a part, one on each core, or time the graphs."""
    if part == "graphs":
        write_json(RECORD, measure_graphs())
        return
    options = ["--recipe", RECIPE, *PENALTY, "--jobs", str(available_cores())]
    if part == "seeds":
        options += ["--norms", *NORMS, "--epochs", str(EPOCHS), "--baseline", BASELINE]
        for seeds in range(1, SEEDS + 1):  # the records of each seed are kept before the next
            compare(seeds, options, "mnist", RUNS / FOLDER)
    elif part == "batch-size":
        options += ["--norms", *NORMS, "--epochs", str(BATCH_EPOCHS)]
        data = write_small_mnist()
        for size in reversed(BATCH_SIZES):
            of_size = ["--batch-size", str(size), "--learning-rate", str(0.025 * size / 128)]
            compare(BATCH_SEEDS, [*options, *of_size], data, RUNS / folder(BATCH_FOLDER, str(size)))
    else:
        options += ["--norms", *RATE_NORMS, "--epochs", str(EPOCHS), "--held-out", str(HELD_OUT)]
        for rate in RATES:
            compare(
                RATE_SEEDS, [*options, "--learning-rate", rate], "mnist", RUNS / folder(RATE_FOLDER, rate)
            )


def measure_graphs() -> dict[str, Any]:
    """Export the networks of seed 0, compare them with Keras on all test images, and time them in turns on one core.

    Raises:
        UserError: a run is missing.
    """
    import_tensorflow_quietly()
    import kerasnorm.normalizations  # noqa: F401, registers the layers without a stock form
    from export.export import export_model
    from export.load import load_model

    x_test = load_data("mnist").x_test
    graphs: dict[str, dict[str, Any]] = {}
    sessions = {}
    with tempfile.TemporaryDirectory() as temporary:
        for norm in NORMS:
            path = RUNS / FOLDER / f"{norm}-mnist-{RECIPE}-seed0" / MODEL
            if not path.exists():
                raise UserError(
                    f"{path}: expected the model of a run, found no file; delete its folder and run part seeds"
                )
            model = load_model(path)
            file = Path(temporary) / f"{norm}.onnx"
            exported = export_model(model, file, data=[x_test], source="MNIST test images")
            keras_classes = model.predict(x_test, batch_size=500, verbose=0).argmax(1)
            regular = [one for one in exported.parity.differences if one.data.startswith("batch")]
            sessions[norm] = open_session(file, threads=1)
            (key,) = (value.name for value in sessions[norm].get_inputs())
            classes = sessions[norm].run(None, {key: x_test.astype(np.float32)})[0].argmax(1)
            graphs[norm] = {
                "nodes": len(exported.conversion.proto.graph.node),
                "bytes": file.stat().st_size,
                "max_error": max(one.max_abs for one in regular),
                "keras_error": max(one.keras_error for one in regular),
                "classes_that_differ": int((classes != keras_classes).sum()),
            }
    for batch in TIMED_BATCHES:
        feeds = {key: x_test[:batch].astype(np.float32)}
        calls = {norm: partial(session.run, None, feeds) for norm, session in sessions.items()}
        rounds = [time_calls(calls, SECONDS) for _ in range(ROUNDS)]
        for norm, graph in graphs.items():
            medians = [statistics.median(times[norm]) for times in rounds]
            ratios = [statistics.median(times[norm]) / statistics.median(times[BASELINE]) for times in rounds]
            graph[f"batch {batch}"] = {
                "median_ms": statistics.median(medians),
                "ratio": statistics.median(ratios),
            }
    return {
        "date": time.strftime("%Y-%m-%d"),
        "machine": platform.platform(),
        "cores": available_cores(),
        "rounds": ROUNDS,
        "graphs": graphs,
    }


def seconds_of_an_epoch(runs: Sequence[Run], norm: str) -> float:
    """Return the median time of a norm's epochs on one core; the first of a run compiles and is left out."""
    return statistics.median(
        row["seconds"] for run in runs if run.norm == norm for row in read_history(run.path)[1:]
    )


def results_table(runs: Sequence[Run], graphs: dict[str, dict[str, Any]]) -> str:
    """Return accuracy, difference to the baseline, cost of training and of the graph, with a row for each norm."""
    titles = [
        *("norm", "test accuracy, %:", "95 % interval (range):", f"minus {BASELINE}, points:"),
        *("p, corrected:", "s per epoch, one core:", "ONNX nodes:", "batch 1, ms:", "batch 32, ms:"),
        "parity: error (Keras' float32):",
    ]
    rows = []
    found = {one.first: one for one in comparisons(runs, list(NORMS), BASELINE)}
    means = {norm: summarize(accuracies(runs, norm)) for norm in NORMS}
    for norm in sorted(NORMS, key=lambda norm: -means[norm].mean):
        mean, graph = means[norm], graphs[norm]
        low, high = mean.interval
        # Where some seeds fail and others don't, the interval of the t-distribution means nothing.
        is_possible = low >= 0 and high <= 100
        interval = f"{low:.2f} to {high:.2f}" if is_possible else f"({mean.low:.2f} to {mean.high:.2f})"
        cells = [label(norm), with_deviation(mean), interval, "", ""]
        if norm in found:
            difference = f"{found[norm].difference.mean:+.2f}"
            cells[3] = f"**{difference}**" if found[norm].more_than_chance else difference
            cells[4] = p_text(found[norm].corrected)
        cells += [f"{seconds_of_an_epoch(runs, norm):.1f}", str(graph["nodes"])]
        for batch in TIMED_BATCHES:
            speed = graph[f"batch {batch}"]
            cells.append(f"{speed['median_ms']:.3f} ({speed['ratio']:.2f}x)")
        cells.append(f"{graph['max_error']:.0e} ({graph['keras_error']:.0e})")
        rows.append(cells)
    return markdown_table(titles, rows)


def report() -> None:
    """Write the tables and figures of the parts that are recorded; of the seeds, those that all norms have."""
    (RESULTS / FOLDER).mkdir(parents=True, exist_ok=True)
    by_seed = [[recorded(norm, "mnist", RECIPE, seed, FOLDER) for norm in NORMS] for seed in range(SEEDS)]
    runs = [run for of_seed in by_seed if all(run.complete for run in of_seed) for run in of_seed]
    if runs and RECORD.exists():
        report_seeds(runs, read_json(RECORD)["graphs"])
    sizes = list(map(str, BATCH_SIZES))
    by_size = recorded_settings(list(NORMS), SMALL, BATCH_SEEDS, BATCH_FOLDER, sizes)
    if by_size:
        report_batch_sizes(by_size)
    by_rate = recorded_settings(RATE_NORMS, f"mnist-held-out-{HELD_OUT}", RATE_SEEDS, RATE_FOLDER, RATES)
    if by_rate:
        write_text(RESULTS / FOLDER / "rates.md", settings_table(by_rate) + "\n")


def recorded_settings(
    norms: Sequence[str], data: str, seeds: int, part: str, settings: Sequence[str]
) -> dict[str, dict[str, list[float]]]:
    """Return the accuracies by norm and setting; empty while a run is missing."""
    runs = {
        setting: [
            recorded(norm, data, RECIPE, seed, folder(part, setting))
            for norm in norms
            for seed in range(seeds)
        ]
        for setting in settings
    }
    if not all(run.complete for of_setting in runs.values() for run in of_setting):
        return {}
    return {
        norm: {setting: accuracies(of_setting, norm) for setting, of_setting in runs.items()}
        for norm in norms
    }


def report_seeds(runs: Sequence[Run], graphs: dict[str, dict[str, Any]]) -> None:
    """Write the table of results, and plot accuracy against latency."""
    write_text(RESULTS / FOLDER / "table.md", results_table(runs, graphs) + "\n")
    latency = {norm: graphs[norm][f"batch {TIMED_BATCHES[0]}"]["median_ms"] for norm in NORMS}
    values = {norm: accuracies(runs, norm) for norm in NORMS}
    figure = plot_tradeoff(values, latency, "latency of the ONNX graph at batch 1, ms", "test accuracy, %")
    write_whole(RESULTS / FOLDER / "accuracy-latency.png", partial(figure.savefig, dpi=144))


def report_batch_sizes(values: dict[str, dict[str, list[float]]]) -> None:
    """Write the table of batch sizes, and plot accuracy against them."""
    write_text(RESULTS / FOLDER / "batch-size.md", settings_table(values) + "\n")
    panels = {title: {norm: values[norm] for norm in norms} for title, norms in PANELS.items()}
    figure = plot_settings_apart(panels, "batch size", "test accuracy, %")
    write_whole(RESULTS / FOLDER / "batch-size.png", partial(figure.savefig, dpi=144))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the named parts, or write the report."""
    if "--report" in sys.argv:
        report()
        return 0
    for part in wanted(PARTS):
        run_part(part)
    report()
    return 0


if __name__ == "__main__":
    sys.exit(run_interruptibly(main))
