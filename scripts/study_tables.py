"""Tables of the study, from the records in results/runs/ and results/study/."""

import statistics
from pathlib import Path

from markdown_tables import markdown_table

from kerasnorm.norms import NORMS
from kerasnorm.study.plan import Run
from kerasnorm.study.statistics import summarize
from kerasnorm.study.tables import accuracies, differences_table, label, result_row, with_deviation

ROOT = Path(__file__).resolve().parent.parent

# What the reference's notebook reported, in percent, of one run each: last epoch, best epoch, train accuracy.
REFERENCE = {"bn": (99.21, 99.38, 99.10), "ln": (99.34, 99.36, 99.19), "gn": (99.40, 99.41, 99.34)}
# The columns of `result_cells`.
RESULTS = (
    *("seeds:", "test accuracy, last epoch:", "smallest to largest:", "95 % interval of the mean:"),
    *("best epoch:", "train accuracy:"),
)


def study_runs(recipe: str) -> list[Run]:
    """Return the recorded runs of a recipe on MNIST."""
    found = [
        Run(norm, int(path.name.rsplit("seed", 1)[1]), path)
        for norm in NORMS
        for path in (ROOT / "results/runs").glob(f"{norm}-mnist-{recipe}-seed*")
    ]
    return sorted(found, key=lambda run: (run.norm, run.seed))


def results_table() -> str:
    """Test accuracy of each norm and recipe, beside the reference's."""
    runs = {recipe: study_runs(recipe) for recipe in ("notebook", "documented", "best")}
    names = [f"`{recipe}`, {len({run.seed for run in found})} seeds" for recipe, found in runs.items()]
    rows = []
    for norm, (reference, *_) in REFERENCE.items():
        summaries = [summarize(accuracies(found, norm)) for found in runs.values()]
        rows.append((label(norm), f"{reference:.2f}", *map(with_deviation, summaries)))
    return markdown_table(("norm", "PyTorch study:", *(f"{name}:" for name in names)), rows)


def study_table() -> str:
    """The study's results on MNIST beside the reference's."""
    rows = []
    for norm, values in REFERENCE.items():
        last, best, training = (f"{value:.2f}" for value in values)
        rows.append([label(norm), "reference's notebook", "1", last, "", "", best, training])
        for recipe in ("notebook", "documented"):
            rows.append(["", f"`{recipe}`", *result_cells(study_runs(recipe), norm)])
    return markdown_table(("norm", "recipe", *RESULTS), rows)


def result_cells(runs: list[Run], norm: str) -> list[str]:
    """Cells for a norm, as in RESULTS."""
    seeds, last, *others = result_row(runs, norm)
    return [seeds, f"**{last}**", *others]


def best_table() -> str:
    """Recipe `best` on MNIST's test images, for each norm that has runs."""
    runs, rows = study_runs("best"), []
    for key in NORMS:
        minutes = [run.metrics["seconds"] / 60 for run in runs if run.norm == key]
        if minutes:
            rows.append((label(key), *result_cells(runs, key), f"{statistics.median(minutes):.1f}"))
    return markdown_table(("norm", *RESULTS, "minutes:"), rows)


def cluster_cost() -> str:
    """What a thousand runs of a recipe cost, by the median of the recorded runs."""
    # scripts/study.py trained one run at a time on two cores, scripts/best.py one on each core.
    cores = {"notebook": 2, "documented": 2, "best": 1}
    titles = (
        *("recipe", "recorded runs:", "cores of a run:", "minutes of a run, median:"),
        *("1,000 runs: core hours:", "hours on 100 cores:"),
    )
    rows = []
    for recipe, count in cores.items():
        runs = study_runs(recipe)
        seconds = statistics.median(run.metrics["seconds"] for run in runs)
        core_hours = 1000 * count * seconds / 3600
        hours = f"{seconds / 60:.1f}", f"{core_hours:.0f}", f"{core_hours / 100:.1f}"
        rows.append((f"`{recipe}`", len(runs), count, *hours))
    return markdown_table(titles, rows)


def recipe_differences(recipe: str) -> str:
    """Paired differences between the norms that have runs of a recipe."""
    runs = study_runs(recipe)
    found = {run.norm for run in runs}
    return differences_table(runs, [norm for norm in NORMS if norm in found]).markdown()


def written_table(path: str) -> str:
    """Return a table in results/ that scripts/study.py or scripts/best.py wrote."""
    return (ROOT / "results" / path).read_text(encoding="utf-8").strip()
