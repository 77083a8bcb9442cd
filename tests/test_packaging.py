"""One version, one address of the project, and scripts that the workflows can call."""

import re
from pathlib import Path

import pytest

import kerasnorm

ROOT = Path(__file__).resolve().parent.parent
ADDRESS = re.compile(r"https://github\.com/([\w-]+/kerasnorm)\b")
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def text(path: str | Path) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def test_the_version_is_the_same_everywhere() -> None:
    assert re.findall(r"^version: (\S+)$", text("CITATION.cff"), re.MULTILINE) == [kerasnorm.__version__]
    newest, date = re.findall(r"^## (\S+) \((\S+)\)$", text("CHANGELOG.md"), re.MULTILINE)[0]
    assert newest == kerasnorm.__version__
    assert re.findall(r"^date-released: (\S+)$", text("CITATION.cff"), re.MULTILINE) == [date]


def test_the_address_is_the_same_everywhere() -> None:
    pages = ("setup.py", "mkdocs.yml", "CITATION.cff", ".github/ISSUE_TEMPLATE/config.yml")
    assert len({address for page in pages for address in ADDRESS.findall(text(page))}) == 1


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_calls_scripts_that_exist(workflow: Path) -> None:
    called = re.findall(r"(?:scripts|\.ci)/[\w-]+", text(workflow))
    assert called
    assert [script for script in called if not (ROOT / script).exists()] == []


def test_the_docs_extra_is_in_the_test_extra() -> None:
    """CI installs the test extra, and builds the site."""
    assert '*EXTRAS["docs"]' in text("setup.py")
