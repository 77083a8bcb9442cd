"""The options, markers and fixtures of all tests."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from export.command import set_tensorflow_environment
from tests.browser.installed import missing

# As the command lines do, before anything imports TensorFlow.
set_tensorflow_environment()

Command = Callable[..., "subprocess.CompletedProcess[str]"]
Here = Callable[..., "tuple[int, str, str]"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run the tests that take minutes")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    data = os.environ.get("KERASNORM_DATA")
    has_mnist = bool(data) and (Path(str(data)) / "mnist.npz").exists()
    has_mnist = has_mnist or (Path.home() / ".keras/datasets/mnist.npz").exists()
    without = missing()
    for item in items:
        if "slow" in item.keywords and not config.getoption("--slow"):
            item.add_marker(pytest.mark.skip(reason="takes minutes; run it with --slow"))
        if "mnist" in item.keywords and not has_mnist:
            item.add_marker(pytest.mark.skip(reason="needs mnist.npz in $KERASNORM_DATA or in Keras' cache"))
        if "browser" in item.keywords and without:
            item.add_marker(pytest.mark.skip(reason=without))


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    """Call `cli()` of a command in this process, with arguments; return its exit code, stdout and stderr."""

    def call(cli: Callable[[], int], *arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["command", *map(str, arguments)])
        try:
            code = cli()
        except SystemExit as stop:
            code = int(stop.code or 0)
        output = capsys.readouterr()
        return code, output.out, output.err

    return call


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """Run `python -m MODULE ARGUMENTS...` in an empty folder, as a user would."""

    def call(
        module: str,
        *arguments: object,
        env: dict[str, str] | None = None,
        preexec_fn: Callable[[], None] | None = None,
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", module, *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, **(env or {})},
            capture_output=True,
            text=True,
            timeout=300,
            preexec_fn=preexec_fn,
        )

    return call
