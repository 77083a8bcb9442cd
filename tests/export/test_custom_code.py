"""Code that defines custom classes: imported, and named if it is missing."""

import subprocess
import sys
from pathlib import Path

import keras
import pytest

from export.custom_code import import_code, missing_names
from export.errors import UserError
from export.model_file import read_config

CODE = """
import keras

class Plain(keras.layers.Layer):
    def call(self, x):
        return keras.ops.tanh(x)

@keras.saving.register_keras_serializable("tests_of_custom_code")
class Registered(keras.layers.Layer):
    def call(self, x):
        return 2 * x

def gate(x):
    return x * keras.ops.sigmoid(x)
"""


def saved(folder: Path) -> Path:
    """A model with two custom layers and a custom activation, saved by another process."""
    (folder / "own_layers.py").write_text(CODE)
    program = """
import keras
from own_layers import Plain, Registered, gate
x = keras.Input((4,))
keras.Model(x, Registered()(Plain()(keras.layers.Dense(3, activation=gate)(x)))).save("model.keras")
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=folder, capture_output=True)
    return folder / "model.keras"


def export(folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "export", "model.keras", "--quick", *options]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder)


@pytest.mark.slow
def test_code_is_imported_by_the_command_line(tmp_path: Path) -> None:
    saved(tmp_path)
    (tmp_path / "own_layers.py").rename(tmp_path / "layers_of_mine.py")
    refused = export(tmp_path)
    assert refused.returncode == 2
    assert (
        "it needs code that Keras does not have: gate, Plain, tests_of_custom_code>Registered; name"
        in refused.stderr
    )
    for code in ("layers_of_mine.py", "layers_of_mine"):
        done = export(tmp_path, "--import", code)
        assert done.returncode == 0, done.stderr
        (tmp_path / "model.onnx").unlink()


def test_missing_names(tmp_path: Path) -> None:
    config = read_config(saved(tmp_path))
    assert missing_names(config) == ["gate", "Plain", "tests_of_custom_code>Registered"]
    code = import_code(str(tmp_path / "own_layers.py"))
    assert sorted(code) == ["Plain", "Registered", "gate"]
    with keras.saving.custom_object_scope(code):
        assert missing_names(config) == []


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (None, r"FileNotFoundError: no file .*own\.py"),
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("x = = 1", "SyntaxError: invalid syntax"),
        ("raise RuntimeError()", "RuntimeError"),
    ],
)
def test_code_that_cannot_be_imported(tmp_path: Path, code: str | None, message: str) -> None:
    path = tmp_path / "own.py"
    if code is not None:
        path.write_text(code)
    with pytest.raises(
        UserError, match=rf"--import .*: expected a Python file or module that .*, got {message}"
    ):
        import_code(str(path))
    with pytest.raises(UserError, match="--import no_such_module: expected a Python file or module"):
        import_code("no_such_module")


def test_classes_that_a_package_collects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "some_package"
    package.mkdir()
    (package / "layers.py").write_text("import keras\n\nclass Mine(keras.layers.Layer):\n    pass\n")
    (package / "__init__.py").write_text(
        "from keras.layers import Dense\nfrom some_package.layers import Mine\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert list(import_code("some_package")) == ["Mine"]
