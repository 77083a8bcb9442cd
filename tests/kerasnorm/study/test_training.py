import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from export.errors import CheckError, KerasnormError
from export.files import write_json
from kerasnorm import RECIPES
from kerasnorm.cli.config_file import parse_with_config
from kerasnorm.cli.recipe_options import recipe_from
from kerasnorm.cli.train import parser
from kerasnorm.study.plan import Run
from kerasnorm.study.training import Stopped, Training, train_in_process, training_command

Script = Callable[[str], Run]
TRAINING = Training(RECIPES["documented"], "digits")


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Script:
    """Let the process of a run be a Python script instead of a training."""

    def use(code: str) -> Run:
        command = [sys.executable, "-c", code]
        monkeypatch.setattr("kerasnorm.study.training.training_command", lambda *_: command)
        return Run("bn", 0, tmp_path / "run")

    return use


def test_the_command_resumes_the_run(tmp_path: Path) -> None:
    command = training_command(Run("gn", 3, tmp_path), tmp_path / "c.json", ["--tensorboard"])
    assert command[1:3] == ["-m", "kerasnorm.cli.child_train"]
    assert command[3:9] == ["--norm", "gn", "--seed", "3", "--out", str(tmp_path)]
    assert command[9:] == ["--resume", "--config", str(tmp_path / "c.json"), "--tensorboard"]


@pytest.mark.parametrize("name", ["mine", "best"])
@pytest.mark.parametrize(
    ("data", "held_out", "sha256"), [("digits", 0, None), ("some folder/tiny-held-out-3.npz", 7, 64 * "a")]
)
def test_the_settings_reach_the_process(
    tmp_path: Path, name: str, data: str, held_out: int, sha256: str | None
) -> None:
    # The recipe has what no option can say: a name of its own, and no penalties where `best` has some.
    recipe = dataclasses.replace(RECIPES["best"], name=name, l1=None, groups=2, nesterov=False, dropout=0.1)
    file = tmp_path / "config.json"
    write_json(file, Training(recipe, data, held_out, sha256).config())
    command = training_command(Run("gn", 3, tmp_path), file, ["--quiet"])
    arguments, config = parse_with_config(parser(), command[3:])
    assert recipe_from(arguments) == recipe
    assert (arguments.norm, arguments.seed, arguments.data, arguments.held_out) == ("gn", 3, data, held_out)
    assert config is not None
    assert config.notes == ()
    assert config.data_sha256(data, held_out) == sha256


def test_seconds_are_returned(script: Script) -> None:
    assert 0.3 <= train_in_process(script("import time; time.sleep(0.3)"), TRAINING, lambda: False) < 30


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="needs a system with CPU affinity")
def test_the_process_runs_on_its_cores(script: Script) -> None:
    core = min(os.sched_getaffinity(0))
    run = script("import os, sys, time; time.sleep(0.3); sys.exit(str(sorted(os.sched_getaffinity(0))))")
    with pytest.raises(CheckError, match=rf"run: \[{core}\]$"):
        train_in_process(run, TRAINING, lambda: False, [core])


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "import sys; sys.exit('a warning\\nerror: expected luck, got none')",
            "run: expected luck, got none$",
        ),
        (
            "import sys; sys.stderr.write('error: expected luck, got none\\nnote: later\\n'); sys.exit(2)",
            "run: expected luck, got none$",
        ),
        ("import sys; sys.exit(7)", "run: exit code 7$"),
        (
            "import os, sys; sys.stderr.write('note: versions\\n'); sys.stderr.flush(); os.kill(os.getpid(), 9)",
            "run: expected a training that ends by itself, got one that was ended by signal 9; if memory was full",
        ),
        (
            r"import os, sys; os.write(2, b'error: \xff\n'); sys.exit(2)",
            "run: \ufffd$",
        ),
    ],
)
def test_the_error_is_the_last_line(script: Script, code: str, message: str) -> None:
    with pytest.raises(KerasnormError, match=message):
        train_in_process(script(code), TRAINING, lambda: False)


def test_a_training_that_fails_its_own_check(script: Script) -> None:
    with pytest.raises(CheckError, match=r"run: loss is NaN$"):
        train_in_process(
            script("import sys; print('error: loss is NaN', file=sys.stderr); sys.exit(1)"), TRAINING, no
        )


def no() -> bool:
    return False


def test_a_stopped_process_has_ended(script: Script, tmp_path: Path) -> None:
    file = tmp_path / "pid"
    run = script(f"import os, time; open({str(file)!r}, 'w').write(str(os.getpid())); time.sleep(100)")
    begin = time.monotonic()
    with pytest.raises(Stopped):
        train_in_process(run, TRAINING, lambda: file.exists() and bool(file.read_text()))
    assert time.monotonic() - begin < 60
    with pytest.raises(ProcessLookupError):
        os.kill(int(file.read_text()), 0)


PARENT = """
import sys
from pathlib import Path
import kerasnorm.study.training as training
child = [sys.executable, "-c", sys.argv[1]]
training.training_command = lambda *_: child
settings = training.Training(training.Recipe(), "digits")
training.train_in_process(training.Run("bn", 0, Path("run")), settings, lambda: False)
"""

CHILD = """
import os, sys, time
from kerasnorm.cli.child_train import end_with_parent
end_with_parent()
open("pid", "w").write(str(os.getpid()))
time.sleep(100)
"""


def test_the_process_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, CHILD], cwd=tmp_path)
    deadline = time.monotonic() + 60
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        assert parent.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    child = int((tmp_path / "pid").read_text())
    os.kill(child, 0)
    parent.kill()
    parent.wait(30)
    while is_running(child):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_running(process: int) -> bool:
    """Whether a process runs; one that nobody has waited for is a zombie on some systems."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{process}/stat")
    return not (status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z")
