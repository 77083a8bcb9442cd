"""Write the tables of README.md and docs/ from the records in results/; each table is between two comment lines.

usage: python scripts/tables.py [--check]   (--check: only report whether the pages are up to date)
"""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from model_tables import (
    faults_table,
    keras_2_table,
    keras_failures_table,
    models_table,
    packages_failures,
    packages_table,
    parity_of_applications_table,
    target_models_table,
    targets_table,
)
from speed_tables import (
    agreement_table,
    applications_table,
    float16_table,
    quantization_table,
    resnet_table,
    speed_table,
    throughput_table,
)
from study_tables import (
    best_table,
    cluster_cost,
    recipe_differences,
    results_table,
    study_table,
    written_table,
)

from export.command import run
from export.errors import CheckError, UserError
from export.files import write_text

ROOT = Path(__file__).resolve().parent.parent

TABLES: dict[str, dict[str, Callable[[], str]]] = {
    "README.md": {
        "results": results_table,
        "speed": speed_table,
    },
    "docs/training/speed.md": {
        "throughput": throughput_table,
        "resnet": resnet_table,
    },
    "docs/study/index.md": {
        "study": study_table,
        "differences": partial(recipe_differences, "notebook"),
        "differences-documented": partial(recipe_differences, "documented"),
    },
    "docs/study/normalizations.md": {
        "normalizations": partial(written_table, "study/normalizations/table.md"),
        "normalizations-batch-size": partial(written_table, "study/normalizations/batch-size.md"),
        "normalizations-rates": partial(written_table, "study/normalizations/rates.md"),
    },
    "docs/study/penalties.md": {"penalties": partial(written_table, "study/penalties/table.md")},
    "docs/study/batch-size.md": {"batch-size": partial(written_table, "study/batch-size/table.md")},
    "docs/study/cluster.md": {"cluster cost": cluster_cost},
    "docs/study/best.md": {
        "best": best_table,
        "onnx": partial(written_table, "best/onnx.md"),
        "tuning": partial(written_table, "best/tuning.md"),
        "ablation": partial(written_table, "best/ablation.md"),
        "growth": partial(written_table, "best/growth.md"),
    },
    "docs/export/parity.md": {
        "parity-faults": faults_table,
        "parity-applications": parity_of_applications_table,
    },
    "docs/export/dtypes.md": {"float16": float16_table},
    "docs/export/speed.md": {
        "speed": speed_table,
        "agreement": agreement_table,
    },
    "docs/export/keras2.md": {"keras2": keras_2_table},
    "docs/export/models.md": {"models": models_table, "keras-failures": keras_failures_table},
    "docs/export/packages.md": {"packages": packages_table, "packages-failures": packages_failures},
    "docs/export/quantization.md": {"quantization": quantization_table},
    "docs/export/applications.md": {"applications": applications_table},
    "docs/export/options.md": {"targets": targets_table, "target-models": target_models_table},
}


def with_tables(page: str, text: str) -> str:
    """The text of a page with its tables as the records have them.

    Raises:
        UserError: the page lacks the lines that a table is between.
    """
    for name, table in TABLES[page].items():
        start, end = f"<!-- table {name} -->\n", f"<!-- end of table {name} -->"
        if start not in text or end not in text:
            raise UserError(
                f"{page}: expected the lines {start.strip()} and {end}, got a page without them; add them"
            )
        head, rest = text.split(start, 1)
        text = head + start + table() + "\n" + end + rest.split(end, 1)[1]
    return text


def main(argv: Sequence[str] | None = None) -> int:
    """Rewrite the tables, or check them."""
    outdated = []
    for page in TABLES:
        old = (ROOT / page).read_text(encoding="utf-8")
        new = with_tables(page, old)
        if new != old:
            outdated.append(page)
            if "--check" not in sys.argv:
                write_text(ROOT / page, new)
    if outdated and "--check" in sys.argv:
        raise CheckError(
            f"{', '.join(outdated)}: expected the tables of the records in results/, got others; run scripts/tables.py"
        )
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
