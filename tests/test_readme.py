"""The README's examples run as they stand."""

import re
from pathlib import Path

import pytest

README = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize(
    "heading", ["### A layer of your own", pytest.param("## In Python", marks=pytest.mark.slow)]
)
def test_a_whole_example(heading: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    example = next(code for code in EXAMPLES if README.index(code) > README.index(heading))
    exec(compile(example, heading, "exec"), {"__name__": "example"})
    assert [path.suffix for path in tmp_path.iterdir()]
