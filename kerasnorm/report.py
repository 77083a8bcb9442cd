"""html_report: a study on one page that opens from disk, with no network: its pictures are within it."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from pathlib import Path

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


def html_report(
    title: str, results: str, differences: str, plots: Sequence[Path], canvases: Sequence[Path]
) -> str:
    """The page.

    Args:
        title: what was compared.
        results: markdown table, a row for each model.
        differences: markdown table, a row for each pair of models.
        plots: PNG files of the curves; a file's name without its suffix is its caption.
        canvases: PNG files of the misclassified images, likewise.
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
<p>Mean ± standard deviation over the seeds. The best epoch is picked by the test images themselves, so it is
higher than what the model would reach on new ones: compare models by the last epoch.</p>
<h2>Differences, seed by seed</h2>
<div class="scroll">{html_table(differences)}</div>
<p>Paired t-test; "more than chance" at 5 % shared among the pairs. A p-value is about the seeds: the test images
are the same for all.</p>
<h2>Learning curves</h2>
<p>Mean over the seeds; the band is from the least to the most.</p>
<div class="pictures">{"".join(map(_picture, plots))}</div>
<h2>Misclassified test images of seed 0</h2>
<div class="pictures">{"".join(map(_picture, canvases))}</div>
</body>
</html>
"""


def html_table(markdown: str) -> str:
    """A markdown table as HTML; **bold** is kept."""
    rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in markdown.splitlines()]
    parts = ["<table>"]
    for index, cells in enumerate(rows):
        if index == 1:  # the line of dashes
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
