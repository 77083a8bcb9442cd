"""The networks of the site's demo: train the missing ones, and keep their records and models in results/runs/demo/.

usage: KERASNORM_DATA=FOLDER python scripts/demo.py     (about ten minutes on two cores)

The models are kept without the state of their optimizer, which would double their size.
"""

import shutil
import sys
from dataclasses import replace
from pathlib import Path

from export.command import import_tensorflow_quietly, run
from export.files import write_whole
from kerasnorm.history import HISTORY
from kerasnorm.recipes import get_recipe
from kerasnorm.rundir import CONFIG, METRICS, MODEL, default_path
from kerasnorm.train import train

ROOT = Path(__file__).resolve().parent.parent
RUNS, RECORDS = ROOT / "runs/demo", ROOT / "results/runs/demo"
NORMS, DATA, RECIPE = ("bn", "ln", "gn"), "mnist", replace(get_recipe("best"), epochs=8)


def main(argv: object = None) -> int:
    """Train, and keep the records."""
    import_tensorflow_quietly()
    from export.load import load_model

    for norm in NORMS:
        path = default_path(norm, DATA, RECIPE, 0, RUNS)
        train(norm, DATA, RECIPE, out=path, resume=path.exists(), verbose=2)
        record = RECORDS / path.name
        record.mkdir(parents=True, exist_ok=True)
        for name in (CONFIG, HISTORY, METRICS):
            shutil.copyfile(path / name, record / name)
        write_whole(record / MODEL, load_model(path / MODEL).save)  # it is loaded without its optimizer
        print(record)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
