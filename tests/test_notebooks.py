"""The notebooks run from top to bottom, on digits; they define nothing that belongs into the package."""

import os
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
COLAB = "https://colab.research.google.com/github/{project}/blob/main/notebooks/{name}"


def test_there_are_three() -> None:
    assert [path.name[:2] for path in NOTEBOOKS] == ["1_", "2_", "3_"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_reader_opens_it_in_colab_and_installs_the_package(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    (project,) = re.findall(
        r'^URL = "https://github\.com/(.*)"$', (ROOT / "setup.py").read_text(), re.MULTILINE
    )
    link = f"({COLAB.format(project=project, name=path.name)})"
    assert link in notebook.cells[0].source
    assert link in (ROOT / "docs/getting-started.md").read_text()
    install = notebook.cells[1].source
    assert re.search(r'^project = "kerasnorm(\[excel\])?"$', install, re.MULTILINE)
    assert f"git+https://github.com/{project}" in install
    first = nbformat.read(NOTEBOOKS[0], as_version=4).cells[1].source
    assert install.partition("\n\n")[2] == first.partition("\n\n")[2], (
        "the cell is the same in every notebook"
    )


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_reader_finds_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1)), "run it from the top"
    outputs = [output for cell in code for output in cell.outputs]
    assert outputs
    assert not [output for output in outputs if output.output_type == "error"]
    assert not [output for output in outputs if output.get("name") == "stderr"]
    assert not re.search(r"/(work|home|root|tmp)/", str(outputs)), "a path of the machine it was run on"
    lines = [line for cell in code for line in cell.source.splitlines()]
    assert not [line for line in lines if line.startswith("class ")]


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", []):
            cell.source = 'data_name = "digits"\nepochs = 6'
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", os.environ.get("TF_CPP_MIN_LOG_LEVEL", "3"))
    client = NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()  # raises on the first cell that fails
    text = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))
    if path.name.startswith("1_"):
        assert text.count("largest difference from") == 3
        assert (tmp_path / "normalizations.xlsx").exists()
    elif path.name.startswith("2_"):
        accuracies = [float(line.split()[-2]) for line in text.splitlines() if "test accuracy" in line]
        assert len(accuracies) == 3
        assert min(accuracies) > 80
    else:
        assert "passed: True" in text
        assert "the same class as Keras: 100.00 %" in text
