"""Write README.md's tables from the recorded runs in docs/runs; each stands between two comment lines.

usage: python scripts/tables.py [--check]   (--check: only say whether README.md is up to date)
"""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAMES = {"bn": "Batch Normalization", "ln": "Layer Normalization", "gn": "Group Normalization"}


def training_table() -> str:
    """The runs of recipe `documented` on MNIST."""
    lines = [
        "| norm | penalties | parameters | test accuracy, last epoch | best epoch | train accuracy | minutes |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for norm, name in NAMES.items():
        folder = ROOT / f"docs/runs/{norm}-mnist-documented-seed0"
        config, metrics = (
            json.loads((folder / f"{file}.json").read_text()) for file in ("config", "metrics")
        )
        recipe = config["recipe"]
        penalties = " + ".join(f"{key.upper()} {recipe[key]:g}" for key in ("l1", "l2") if recipe[key])
        lines.append(
            f"| {norm}, {name} | {penalties} | {metrics['trainable_parameters']:,} "
            f"| {100 * metrics['test_accuracy']:.2f} % "
            f"| {100 * metrics['best_test_accuracy']:.2f} % ({metrics['best_epoch']}) "
            f"| {100 * metrics['train_accuracy']:.2f} % | {metrics['seconds'] / 60:.1f} |"
        )
    return "\n".join(lines)


TABLES = {"training": training_table}


def main() -> int:
    """Rewrite each table, or compare it."""
    path = ROOT / "README.md"
    old = text = path.read_text(encoding="utf-8")
    for name, table in TABLES.items():
        start, end = f"<!-- table {name} -->\n", f"<!-- end of table {name} -->"
        if start not in text or end not in text:
            print(f"README.md: expected the lines {start.strip()} and {end}", file=sys.stderr)
            return 1
        head, rest = text.split(start, 1)
        text = head + start + table() + "\n" + end + rest.split(end, 1)[1]
    if "--check" in sys.argv:
        if text != old:
            print("README.md: its tables are not those of docs/runs; run scripts/tables.py", file=sys.stderr)
        return int(text != old)
    path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
