"""MkDocs hook: the demo of docs/export/browser.md, a page with the recorded networks, in the site's folder `demo`.

It is built again when the networks or the code that writes it have changed; `build/demo` keeps the last one.
"""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig

ROOT = Path(__file__).resolve().parent.parent
RUNS = [ROOT / f"results/runs/demo/{norm}-mnist-best-seed0" for norm in ("bn", "ln", "gn")]
BUILT = ROOT / "build/demo"


def on_post_build(config: MkDocsConfig) -> None:
    """Add the demo to the site."""
    sources = [*(ROOT / "export/web").rglob("*"), *(ROOT / "kerasnorm/demo").rglob("*")]
    sources += [file for run in RUNS for file in run.iterdir()]
    kept = (path for path in sorted(sources) if path.is_file() and "__pycache__" not in path.parts)
    key = hashlib.sha256(b"".join(path.read_bytes() for path in kept)).hexdigest()
    mark = BUILT / "sources.sha256"
    if not mark.exists() or mark.read_text() != key:
        command = [sys.executable, "-m", "kerasnorm.demo", *map(str, RUNS), "-o", str(BUILT)]
        subprocess.run(command, cwd=ROOT, check=True)
        mark.write_text(key)
    shutil.copytree(
        BUILT, Path(config.site_dir) / "demo", ignore=shutil.ignore_patterns(mark.name), dirs_exist_ok=True
    )
