"""The diffs in docs/architecture.md apply, and the tests in them pass."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
DIFFS = dict(re.findall(r"<!-- diff (\w+) -->\n```diff\n(.*?)```", PAGE, re.DOTALL))


def test_the_page_shows_how_to_add_a_lowering_and_a_normalization() -> None:
    assert sorted(DIFFS) == ["lowering", "normalization"]


@pytest.mark.parametrize("package", ["kerasnorm", "export"])
def test_the_page_lists_every_module(package: str) -> None:
    paths = [path for path in (ROOT / package).iterdir() if not path.name.startswith("__init__")]
    modules = [path.name for path in paths if path.suffix == ".py"]
    modules += [f"{path.name}/" for path in paths if (path / "__init__.py").exists()]
    assert [module for module in sorted(modules) if f"`{module}`" not in PAGE] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(DIFFS))
def test_a_diff_applies_and_its_tests_pass(name: str, tmp_path: Path) -> None:
    for folder in ("kerasnorm", "export", "tests"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    applied = subprocess.run(
        ["git", "apply", "--unidiff-zero", "-"],
        input=DIFFS[name],
        cwd=tmp_path,
        text=True,
        capture_output=True,
    )
    assert applied.returncode == 0, applied.stderr
    tests = re.findall(r"^\+\+\+ b/(tests/\S+)", DIFFS[name], re.MULTILINE)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *tests],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\d+ passed", done.stdout)
