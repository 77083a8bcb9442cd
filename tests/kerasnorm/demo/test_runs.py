import subprocess
import sys
from pathlib import Path

import keras
import pytest

from export.errors import UserError
from kerasnorm.demo.runs import named, read_run
from tests.kerasnorm.demo.helpers import write_run


def test_what_a_run_is(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / "first", "gn"))
    assert (run.name, run.norm.key, run.image_shape) == ("first", "gn", (20, 20, 1))
    assert run.class_names == ("a", "b", "c")
    assert run.pixel_mean == (255 * 0.1307,)
    assert [name for name, _ in named([run])] == ["gn"]
    assert [name for name, _ in named([run, run])] == ["first", "first"]


@pytest.mark.slow
def test_layers_of_kerasnorm_are_read_in_a_new_process(tmp_path: Path) -> None:
    paths = [str(write_run(tmp_path / norm, norm)) for norm in ("rms", "frn")]
    program = (
        "import sys; from pathlib import Path; from kerasnorm.demo.runs import read_run\n"
        "print(*[read_run(Path(path)).norm.key for path in sys.argv[1:]])"
    )
    done = subprocess.run([sys.executable, "-c", program, *paths], capture_output=True, text=True)
    assert (done.returncode, done.stdout.split()) == (0, ["rms", "frn"]), done.stderr


def test_what_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"none: expected a run directory, as kerasnorm\.train writes it, found no"
    ):
        read_run(tmp_path / "none")
    path = write_run(tmp_path / "run", "bn")
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]).save(path / "model.keras")
    with pytest.raises(UserError, match=r"expected the CNN of kerasnorm\.build_cnn, got 'sequential"):
        read_run(path)
    (path / "config.json").write_text('{"norm": "bn"}')
    with pytest.raises(
        UserError, match=r"config\.json: expected norm, recipe and data of a run, found another file"
    ):
        read_run(path)
