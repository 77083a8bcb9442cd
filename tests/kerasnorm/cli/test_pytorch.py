import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from export.errors import UserError
from kerasnorm import build_cnn
from kerasnorm.cli.pytorch import main


def test_to_a_checkpoint_and_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = build_cnn("gn", (20, 20, 1), filters=8, blocks=2, groups=4)
    model.save(tmp_path / "ours.keras")
    assert main([str(tmp_path / "ours.keras"), "-o", str(tmp_path / "theirs.npz")]) == 0
    argv = [
        tmp_path / "theirs.npz",
        "-o",
        tmp_path / "again.keras",
        "--norm",
        "gn",
        "--groups",
        4,
        "--image-size",
        20,
    ]
    assert main([str(item) for item in argv]) == 0
    again = keras.models.load_model(tmp_path / "again.keras")
    for a, b in zip(model.trainable_weights, again.trainable_weights, strict=True):
        np.testing.assert_array_equal(a, b)
    count = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    assert capsys.readouterr().out.count(f": {count:,} numbers from ") == 2


def test_wrong_arguments_leave_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"give --norm with one of bn, ln, gn"):
        main([str(tmp_path / "a.npz"), "-o", str(tmp_path / "m.keras")])
    with pytest.raises(UserError, match=r"expected a name ending in \.keras"):
        main([str(tmp_path / "a.npz"), "-o", str(tmp_path / "m.onnx"), "--norm", "bn"])
    with pytest.raises(UserError, match=r"a\.npz: expected a \.npz file, found nothing"):
        main([str(tmp_path / "a.npz"), "-o", str(tmp_path / "m.keras"), "--norm", "bn"])
    assert not (tmp_path / "m.keras").exists()
    with pytest.raises(UserError, match=r"gone\.keras: expected a Keras model, found no file of that name"):
        main([str(tmp_path / "gone.keras"), "-o", str(tmp_path / "m.npz")])
    with pytest.raises(UserError, match=r"groups: expected None for norm 'bn', got 4"):
        main([str(tmp_path / "a.npz"), "-o", str(tmp_path / "m.keras"), "--norm", "bn", "--groups", "4"])


@pytest.mark.parametrize("source", ["gone.npz", "gone.keras"])
def test_a_missing_file_is_answered_without_tensorflow(tmp_path: Path, source: str) -> None:
    program = (
        "import sys; sys.modules['tensorflow'] = sys.modules['keras'] = None\n"
        "from kerasnorm.cli.pytorch import cli; sys.exit(cli())"
    )
    out = "m.npz" if source.endswith("keras") else "m.keras"
    argv = [sys.executable, "-c", program, source, "-o", out, "--norm", "bn"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {source}: expected a ")
