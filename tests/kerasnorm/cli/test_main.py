"""The command `kerasnorm`: its list of commands, and how each is called."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

import kerasnorm
from kerasnorm.cli.main import COMMANDS, cli
from tests.conftest import Here

ROOT = Path(__file__).resolve().parents[3]


def run(*arguments: str, program: str = "") -> "subprocess.CompletedProcess[str]":
    """Call `kerasnorm ARGUMENTS...` as its script does, after a line of Python."""
    code = f"import sys; sys.argv[0] = 'kerasnorm'; {program}\nfrom kerasnorm.cli.main import cli; sys.exit(cli())"
    argv = [sys.executable, "-c", code, *arguments]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60)


def test_help_lists_every_command_on_one_screen_without_a_framework() -> None:
    frameworks = "('keras', 'tensorflow', 'numpy', 'onnx', 'onnxruntime')"
    done = run("--help", program=f"sys.modules.update(dict.fromkeys({frameworks}))")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: kerasnorm COMMAND ...\n")
    lines = done.stdout.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    listed = re.findall(r"^  (\w+)  +\S", done.stdout, re.MULTILINE)
    assert listed == list(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_in_its_module(name: str) -> None:
    found = importlib.util.find_spec(COMMANDS[name].module)
    assert found is not None
    assert "def cli() -> int:" in Path(str(found.origin)).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "kerasnorm: error: the following arguments are required: COMMAND (see kerasnorm --help)"),
        ("trian", "kerasnorm: error: argument COMMAND: invalid choice: 'trian' (choose from "),
        ("train --norm x", "kerasnorm train: error: argument --norm: invalid choice: 'x'"),
        ("workbook", "kerasnorm workbook: error: the following arguments are required: OUT.xlsx"),
        ("infer", "kerasnorm infer: error: the following arguments are required: MODEL.onnx, FILE"),
        ("export gone.keras", "error: gone.keras: expected a Keras model, found no such file"),
    ],
)
def test_a_mistake_is_one_line_with_the_command_that_was_called(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: str, message: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/kerasnorm", *arguments.split()])
    try:
        code = cli()
    except SystemExit as stop:
        code = int(stop.code or 0)
    output, errors = capsys.readouterr()
    assert (code, output) == (2, "")
    assert errors.count("\n") == 1
    assert errors.startswith(message)


@pytest.mark.parametrize("arguments", ["--version", "train --version", "export --version"])
def test_every_command_has_the_version(here: Here, arguments: str) -> None:
    assert here(cli, *arguments.split()) == (0, f"kerasnorm {kerasnorm.__version__}\n", "")


def test_a_command_runs_and_returns_its_exit_code(here: Here, tmp_path: Path) -> None:
    code, output, errors = here(cli, "workbook", tmp_path / "example.xlsx")
    assert (code, errors) == (0, "")
    assert "example.xlsx: 4 images" in output
    assert here(cli, "workbook", tmp_path / "example.xls")[0] == 2


def test_the_page_lists_every_command() -> None:
    page = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| `kerasnorm (\w+)` \| `python -m ([\w.]+)`", page, re.MULTILINE))
    assert listed.keys() == COMMANDS.keys()


def test_the_script_is_installed() -> None:
    assert '"kerasnorm = kerasnorm.cli.main:cli"' in (ROOT / "setup.py").read_text(encoding="utf-8")
