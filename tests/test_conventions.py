"""The rules of the house that a machine can check."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted(
    path
    for folder in ("kerasnorm", "export", "tests", "scripts", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
)


def imports(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Module and names of each import in a file, also of those within functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield node.module or "", [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_no_private_name_of_another_module_is_imported() -> None:
    private = [
        f"{relative(path)}: {module}.{name}"
        for path in FILES
        for module, names in imports(path)
        for name in names
        if name.startswith("_") and not name.startswith("__")
    ]
    assert private == []


def test_export_never_imports_kerasnorm() -> None:
    found = [
        f"{relative(path)}: {module}"
        for path in FILES
        if relative(path).startswith("export/")
        for module, _ in imports(path)
        if module.split(".")[0] == "kerasnorm"
    ]
    assert found == []


def test_every_module_has_its_test_module() -> None:
    missing = []
    for package in ("kerasnorm", "export"):
        for path in (ROOT / package).rglob("*.py"):
            inner = path.relative_to(ROOT / package)
            name = "main" if path.stem == "__main__" else path.stem
            if (
                name != "__init__"
                and not (ROOT / "tests" / package / inner.parent / f"test_{name}.py").exists()
            ):
                missing.append(relative(path))
    assert missing == []
