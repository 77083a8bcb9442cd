"""The report of a study: its tables and plots as files, and on one HTML page with its pictures embedded."""

from __future__ import annotations

import base64
import html
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from export.errors import UserError
from export.files import write_text, write_whole
from kerasnorm import rundir
from kerasnorm.history import read_history
from kerasnorm.study.plan import Run
from kerasnorm.study.tables import table_csv, tables

# The overlaid plots: column of history.csv, file, label of the axis, factor.
PLOTS = (
    ("cross_entropy", "train-loss.png", "train cross-entropy", 1.0),
    ("accuracy", "train-accuracy.png", "train accuracy, %", 100.0),
    ("val_cross_entropy", "test-loss.png", "test cross-entropy", 1.0),
    ("val_accuracy", "test-accuracy.png", "test accuracy, %", 100.0),
)

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 0 auto; padding: 1rem; color: #222; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid #ccc; padding: .35rem .7rem; text-align: left; vertical-align: top; }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 1rem; }
figure { margin: 0; } img { width: 100%; height: auto; }
figcaption { font-size: .9rem; color: #555; }
"""


def write_study(runs: Sequence[Run], norms: Sequence[str], title: str, out: Path) -> None:
    """Write table.md, runs.csv, four overlaid plots, the misclassified images of each norm and report.html.

    Args:
        runs: complete runs, one or more of each norm.
        norms: the norms, in the order in which they are shown.
        title: title of the report.
        out: the folder of the files; it is made if it is missing.

    Raises:
        UserError: the folder or a file can't be written.
    """
    from kerasnorm.plots import plot_overlaid

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{out}: cannot make the directory: {error.strerror}; name another with --out"
        ) from error
    results, differences = tables(runs, norms)
    write_text(out / "table.md", f"{results}\n\n{differences}\n")
    write_text(out / "runs.csv", table_csv(runs))
    histories = {norm: [read_history(run.path) for run in runs if run.norm == norm] for norm in norms}
    for column, file, label, scale in PLOTS:
        values = {
            norm: [[scale * row[column] for row in history] for history in of_norm]
            for norm, of_norm in histories.items()
        }
        write_whole(out / file, partial(plot_overlaid(values, label).savefig, dpi=110))
    grids = []
    for norm in norms:
        first = next(run for run in runs if run.norm == norm)
        source = first.path / rundir.MISCLASSIFIED
        if source.exists():  # a run is complete without it if it couldn't be drawn
            grids.append(out / f"misclassified-{norm}.png")
            write_whole(grids[-1], partial(shutil.copyfile, source))
    plots = [out / file for _, file, _, _ in PLOTS]
    write_text(out / "report.html", html_report(title, results, differences, plots, grids))


def html_report(
    title: str, results: str, differences: str, plots: Sequence[Path], grids: Sequence[Path]
) -> str:
    """Return a page that opens from disk, without a network.

    Args:
        title: what was compared.
        results: markdown table with a row for each model.
        differences: markdown table with a row for each pair of models.
        plots: PNG files of the curves; the caption is the file's name without its suffix.
        grids: PNG files of the misclassified images, likewise.
    """
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>{html.escape(title)}</h1>
<div class="scroll">{html_table(results)}</div>
<p>Mean ± standard deviation over the seeds. The best epoch is chosen by its accuracy on the test images, so it
overstates the accuracy on new images: compare models by the last epoch.</p>
<h2>Differences, seed by seed</h2>
<div class="scroll">{html_table(differences)}</div>
<p>Paired t-test; "more than chance" is at the 5 % level, divided by the number of pairs. A p-value covers the
variation between seeds only: the test images are the same for all.</p>
<h2>Learning curves</h2>
<p>Mean over the seeds; the band shows the smallest to the largest value.</p>
<div class="pictures">{"".join(map(_picture, plots))}</div>
<h2>Misclassified test images of seed 0</h2>
<div class="pictures">{"".join(map(_picture, grids))}</div>
</body>
</html>
"""


def html_table(markdown: str) -> str:
    """Return a markdown table as HTML; **bold** is kept."""
    rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in markdown.splitlines()]
    parts = ["<table>"]
    for index, cells in enumerate(rows):
        if index == 1:  # the row of dashes
            continue
        tag = "th" if index == 0 else "td"
        parts.append(
            "<tr>" + "".join(f"<{tag}>{_bold(html.escape(cell))}</{tag}>" for cell in cells) + "</tr>"
        )
    return "\n".join([*parts, "</table>"])


def _bold(text: str) -> str:
    whole = text.startswith("**") and text.endswith("**") and len(text) > 4
    return f"<strong>{text[2:-2]}</strong>" if whole else text


def _picture(path: Path) -> str:
    name = html.escape(path.stem.replace("-", " "))
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<figure><img alt="{name}" src="data:image/png;base64,{data}"><figcaption>{name}</figcaption></figure>'
