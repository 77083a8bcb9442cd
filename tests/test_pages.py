"""The examples and links of README.md and the pages in docs/."""

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest

import kerasnorm
from tests.export.test_public import NAMES

ROOT = Path(__file__).resolve().parent.parent
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
}
PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)
EXAMPLES = [
    pytest.param(code, id=f"{page}-{index}")
    for page, text in PAGES.items()
    for index, code in enumerate(PYTHON.findall(text))
]
LINK = re.compile(r"\]\(([^)\s#:]+)(?:#[^)\s]*)?\)")


@pytest.mark.parametrize("code", EXAMPLES)
def test_an_example_imports_what_there_is(code: str) -> None:
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] in ("kerasnorm", "export"):
            module = import_module(str(node.module))
            assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


@pytest.mark.parametrize(
    "page",
    [
        "docs/export/custom-layers.md",
        pytest.param("README.md", marks=pytest.mark.slow),
        pytest.param("docs/training/callbacks.md", marks=pytest.mark.slow),
    ],
)
def test_the_first_example_of_a_page_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = PYTHON.findall(PAGES[page])[0]
    exec(compile(code, page, "exec"), {"__name__": "example"})
    assert [path.suffix for path in tmp_path.iterdir()]


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files(page: str) -> None:
    folder = (ROOT / page).parent
    text = re.sub(r"```.*?```", "", PAGES[page], flags=re.DOTALL)
    assert [link for link in LINK.findall(text) if not (folder / link).exists()] == []


def test_the_reference_has_every_public_name() -> None:
    commands = ("export.__main__", "export.command")
    of_export = {name for module, names in NAMES.items() if module not in commands for name in names}
    for package, public in {"kerasnorm": set(kerasnorm.__all__), "export": of_export - {"cli"}}.items():
        entries = re.findall(r"^::: (\S+)$", PAGES[f"docs/api/{package}.md"], re.MULTILINE)
        assert public - {entry.rsplit(".", 1)[1] for entry in entries} == set()
