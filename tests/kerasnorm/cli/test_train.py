"""The command line as a user runs it, in processes of its own."""

import csv
import dataclasses
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pytest

from kerasnorm import Recipe, load_data
from kerasnorm.cli.train import cli
from kerasnorm.lock import locked

Command = Callable[..., "subprocess.CompletedProcess[str]"]
TRAIN = "kerasnorm.train"
FILES = sorted(
    [
        *("config.json", "curves.png", "history.csv", "metrics.json", "misclassified.png"),
        *("confusion.csv", "confusion.png", "model.keras", "model.onnx", "parity.json"),
    ]
)


Here = Callable[..., "tuple[int, str, str]"]


@pytest.fixture
def train_here(here: Here, monkeypatch: pytest.MonkeyPatch) -> Here:
    """The command line within this process, for tests that end before training starts."""
    # Op determinism would stay on for the following tests.
    monkeypatch.setattr("tensorflow.config.experimental.enable_op_determinism", lambda: None)
    return partial(here, cli)


@pytest.mark.parametrize(
    "norm", ["bn", *(pytest.param(norm, marks=pytest.mark.slow) for norm in ("ln", "gn"))]
)
def test_one_epoch_end_to_end(command: Command, tmp_path: Path, norm: str) -> None:
    done = command(TRAIN, "--norm", norm, "--data", "digits", "--epochs", 1)
    assert (done.returncode, done.stderr) == (0, "")
    epoch, result = done.stdout.splitlines()
    metric = r"\d\.\d{4}"
    line = (
        rf"epoch 1/1, [\d.]+ s, \d+:\d\d in all: accuracy {metric} \(val {metric}\), loss {metric}, lr 0\.025"
    )
    assert re.fullmatch(line, epoch)
    assert result.startswith(f"runs/{norm}-digits-documented-seed0: test accuracy ")
    path = tmp_path / f"runs/{norm}-digits-documented-seed0"
    assert sorted(file.name for file in path.iterdir()) == FILES

    config = json.loads((path / "config.json").read_text())
    assert config["recipe"]["epochs"] == 1
    penalties = {"bn": (0.001, 0.0005), "ln": (0, 0.0005), "gn": (0.001, 0)}[norm]
    assert (config["recipe"]["l1"], config["recipe"]["l2"]) == penalties
    assert len(config["data"]["sha256"]) == 64

    with open(path / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    columns = ["epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"]
    assert list(rows[0])[:6] == columns
    assert [row["epoch"] for row in rows] == ["1"]
    assert float(rows[0]["learning_rate"]) == 0.025

    parity = json.loads((path / "parity.json").read_text())
    assert parity["passed"] is True
    assert parity["route"] == "direct"
    assert parity["data"] == "test images of digits"

    metrics = json.loads((path / "metrics.json").read_text())
    assert metrics["trainable_parameters"] == 9680
    assert metrics["non_trainable_parameters"] == (160 if norm == "bn" else 0)
    assert metrics["misclassified"] == round(360 * (1 - metrics["test_accuracy"]))
    assert 0 < metrics["test_accuracy"] < 1

    if norm != "bn":
        return
    # Without our packages: Python can't import a name that is None in sys.modules.
    program = (
        "import sys; sys.modules['kerasnorm'] = sys.modules['export'] = None\n"
        "import keras, numpy as np\n"
        f"model = keras.models.load_model({str(path / 'model.keras')!r})\n"
        "print(model.predict(np.zeros((2, 28, 28, 1), 'uint8'), verbose=0).sum(axis=1).round(5).tolist())\n"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert loaded.stdout.strip() == "[1.0, 1.0]", loaded.stderr


@pytest.mark.parametrize(("options", "verbose"), [("", None), ("--quiet", 0), ("--verbose", 2)])
def test_whose_progress_is_shown(
    train_here: Here, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, options: str, verbose: int | None
) -> None:
    given = {}

    def train(*_: object, **arguments: object) -> Path:
        given.update(arguments)
        (tmp_path / "metrics.json").write_text(
            '{"test_accuracy": 0.5, "best_test_accuracy": 0.75, "epochs": 2, "best_epoch": 1, "misclassified": 3, '
            '"seconds": 4, "train_accuracy": 0.5}'
        )
        return tmp_path

    monkeypatch.setattr("kerasnorm.cli.train.train", train)
    code, output, _ = train_here(
        "--norm", "bn", "--data", "digits", "--out", tmp_path / "run", *options.split()
    )
    assert (code, given["verbose"]) == (0, verbose)
    assert (
        "test accuracy 50.00 % at the last of 2 epochs (best 75.00 % at epoch 1), 3 misclassified" in output
    )


@pytest.mark.slow
def test_jax_backend_trains_with_the_stock_layers(command: Command, tmp_path: Path) -> None:
    pytest.importorskip("jax")
    options = ("--norm", "bn", "--data", "digits", "--epochs", 2, "--out", "run")
    done = command(TRAIN, *options, env={"KERAS_BACKEND": "jax"})
    assert done.returncode == 0, done.stderr
    assert sorted(file.name for file in (tmp_path / "run").iterdir()) == FILES
    assert json.loads((tmp_path / "run/config.json").read_text())["versions"]["backend"] == "jax"
    done = command(TRAIN, *options, "--ema", "0.9", "--overwrite", env={"KERAS_BACKEND": "jax"})
    assert done.returncode == 2
    assert "ema: expected Keras' TensorFlow backend for averaged weights, got jax" in done.stderr
    assert (tmp_path / "run/config.json").exists()
    with open(tmp_path / "run/history.csv", newline="") as file:
        losses = [float(row["cross_entropy"]) for row in csv.DictReader(file)]
    assert losses[1] < losses[0]
    model = keras.models.load_model(tmp_path / "run/model.keras")  # here, by TensorFlow
    metrics = json.loads((tmp_path / "run/metrics.json").read_text())
    data = load_data("digits")
    predicted = model.predict(data.x_test, verbose=0).argmax(1)
    assert int((predicted != data.y_test).sum()) == metrics["misclassified"]


SETTINGS = ("--norm", "gn", "--data", "digits", "--epochs", 6, "--step-size", 2, "--seed", 3)


def interrupt(folder: Path, out: str, rows: int, how: signal.Signals, *more: str) -> "tuple[int, str]":
    """Start a run and stop it with a signal once history.csv has that many rows."""
    arguments = [sys.executable, "-m", TRAIN, *map(str, SETTINGS), "--out", out, *more]
    process = subprocess.Popen(
        arguments,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # These tests may run in the background, where a shell lets SIGINT be ignored.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    history = folder / out / "history.csv"
    deadline = time.monotonic() + 120
    while not (history.exists() and history.read_text().count("\n") > rows):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(how)
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors


@pytest.mark.slow
def test_a_killed_and_an_interrupted_run_resume_to_the_same_bits(
    command: Command, train_here: Here, tmp_path: Path
) -> None:
    whole = command(TRAIN, *SETTINGS, "--out", "whole")
    assert whole.returncode == 0, whole.stderr

    code, _ = interrupt(tmp_path, "parts", 1, signal.SIGKILL)
    assert code == -signal.SIGKILL
    assert not (tmp_path / "parts/metrics.json").exists()
    code, errors = interrupt(tmp_path, "parts", 3, signal.SIGINT, "--resume")
    assert code == 130
    assert errors.count("\n") == 1
    assert "of 6 epochs; to continue, run the same command with --resume" in errors
    # Killed after history.csv was written and before the checkpoint: one row too many.
    rows = (tmp_path / "parts/history.csv").read_text()
    (tmp_path / "parts/history.csv").write_text(rows + rows.splitlines()[-1].replace("0.", "9.") + "\n")

    resumed = command(TRAIN, *SETTINGS, "--out", "parts", "--resume")
    assert (resumed.returncode, resumed.stderr) == (0, "")
    one, two = (keras.models.load_model(tmp_path / name / "model.keras") for name in ("whole", "parts"))
    for a, b in zip(one.weights, two.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(one.optimizer.variables, two.optimizer.variables, strict=True):
        np.testing.assert_array_equal(a, b)
    histories = []
    for name in ("whole", "parts"):
        with open(tmp_path / name / "history.csv", newline="") as file:
            histories.append([{**row, "seconds": ""} for row in csv.DictReader(file)])
    assert histories[0] == histories[1]
    rates = [float(row["learning_rate"]) for row in histories[1]]
    assert rates == [0.025 * 0.1 ** (epoch // 2) for epoch in range(6)]
    assert sorted(file.name for file in (tmp_path / "parts").iterdir()) == FILES

    options = (*SETTINGS, "--out", tmp_path / "parts")
    code, output, _ = train_here(*options, "--resume")
    assert code == 0
    assert "parts: the run is complete already" in output
    code, _, errors = train_here(*options, "--resume", "--momentum", 0.5)
    assert code == 2
    assert "expected a run with momentum=0.5, got one with momentum=0.8" in errors
    code, _, errors = train_here(*options)
    assert code == 2
    assert "expected a new directory, got one with files; give --resume" in errors


def test_overwrite_removes_nothing_if_an_argument_is_wrong(train_here: Here, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/one.png").write_text("precious")
    code, _, errors = train_here(
        "--norm", "bn", "--data", "digits", "--out", tmp_path / "photos", "--overwrite"
    )
    assert code == 2
    assert "expected a run directory, got one without config.json" in errors
    assert (tmp_path / "photos/one.png").read_text() == "precious"

    run = tmp_path / "run"
    run.mkdir()
    for name in ("config.json", "metrics.json"):
        (run / name).write_text("{}")
    code, _, _ = train_here("--norm", "bn", "--data", "gone.npz", "--out", run, "--overwrite")
    assert code == 2
    assert (run / "metrics.json").read_text() == "{}"


@pytest.mark.slow
def test_overwrite_removes_the_files_of_a_run_alone(command: Command, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for name in ("config.json", "metrics.json"):
        (run / name).write_text("{}")
    (run / "notes.txt").write_text("mine")
    options = (
        "--norm",
        "bn",
        "--data",
        "digits",
        "--epochs",
        1,
        "--out",
        "run",
        "--overwrite",
        "--no-export",
    )
    assert command(TRAIN, *options).returncode == 0
    without_onnx = [name for name in FILES if name not in ("model.onnx", "parity.json")]
    assert sorted(file.name for file in run.iterdir()) == sorted([*without_onnx, "notes.txt"])


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ("--help", 0),
        ("--norm x", 2),
        ("--norm bn --epochs 0", 2),
        ("--norm bn --quiet --verbose", 2),
        ("--norm bn --seed -1", 2),
        ("--norm bn --held-out -1", 2),
        ("--norm gn --groups 5", 2),
        ("--norm bn --groups 4", 2),
        ("--norm gn --filters 6", 2),
        ("--norm bn --data gone.npz", 2),
        ("--norm bn --data digitz", 2),
        ("--norm bn --resume --overwrite", 2),
        ("--norm bn --out taken", 2),
        ("--norm bn --out taken --overwrite", 2),
        ("--norm bn --out another --resume", 2),
        ("--norm bn --out busy --resume", 2),
        ("--norm bn --out taken/file", 2),
        ("--norm bn --data digits", 2),
    ],
)
def test_help_and_usage_errors_take_less_than_a_second(
    command: Command, tmp_path: Path, options: str, code: int
) -> None:
    """Of processor time, and without TensorFlow: the wall clock of a busy machine says little."""
    for folder in ("taken", "another", "busy", "runs/bn-digits-documented-seed0"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "taken/file").touch()
    (tmp_path / "runs/bn-digits-documented-seed0/file").touch()
    (tmp_path / "another/config.json").write_text('{"norm": "gn"}')
    recipe = dataclasses.asdict(Recipe().for_norm("bn"))
    recipe["name"] = "documented"
    (tmp_path / "busy/config.json").write_text(json.dumps({"norm": "bn", "seed": 0, "recipe": recipe}))
    before = sorted(tmp_path.rglob("*"))
    if "busy" in options:
        with locked(tmp_path / "busy"):
            done, seconds = timed(command, *options.split())
        assert "in which a training is running" in done.stderr
    else:
        done, seconds = timed(command, *options.split())
    assert done.returncode == code
    assert done.stderr.count("\n") == (0 if code == 0 else 1)
    assert seconds < 1
    assert sorted(tmp_path.rglob("*")) == before


def timed(command: Command, *options: str) -> "tuple[subprocess.CompletedProcess[str], float]":
    """Run the command once more if it took long: the first has bytecode to write."""
    for _ in range(2):
        start = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = command(TRAIN, *options)
        end = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = end.ru_utime + end.ru_stime - start.ru_utime - start.ru_stime
        if seconds < 1:
            break
    return done, seconds


@pytest.mark.slow
def test_a_run_that_diverges_stops_and_is_resumed_with_another_learning_rate(
    command: Command, tmp_path: Path
) -> None:
    options = (
        "--norm",
        "ln",
        "--data",
        "digits",
        "--epochs",
        4,
        "--step-size",
        0,
        "--out",
        "run",
        "--no-export",
    )
    done = command(TRAIN, *options, "--learning-rate", "1e20")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert re.search(
        r"run: expected a finite loss, got .*; to continue after epoch 0, give --resume", done.stderr
    )
    history = (tmp_path / "run/history.csv").read_text()
    assert history.count("\n") == 2
    assert re.search(r"^1,(nan|inf)", history, re.MULTILINE)
    done = command(TRAIN, *options, "--learning-rate", "1e20", "--resume")
    assert done.returncode == 2
    assert "expected another learning rate than 1e+20" in done.stderr
    done = command(TRAIN, *options, "--learning-rate", "0.1", "--resume")
    assert (done.returncode, done.stderr) == (0, "")
    config = json.loads((tmp_path / "run/config.json").read_text())
    assert config["recipe"]["learning_rate"] == 0.1
    assert config["diverged"] == [{"epoch": 1, "learning_rate": 1e20}]
    with open(tmp_path / "run/history.csv", newline="") as file:
        assert [(row["epoch"], row["learning_rate"]) for row in csv.DictReader(file)] == [
            (str(epoch), "0.1") for epoch in (1, 2, 3, 4)
        ]


@pytest.mark.parametrize(
    ("channels", "name"),
    [
        pytest.param(4, "a$b.npz", marks=pytest.mark.slow),
        pytest.param(2, "$x^2$.npz", marks=pytest.mark.slow),
    ],
)
def test_whatever_the_images_and_the_name_the_run_completes(
    command: Command, tmp_path: Path, channels: int, name: str
) -> None:
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (60, 13, 17, channels), np.uint8), np.arange(60) % 3
    np.savez(
        tmp_path / name,
        x_train=images[:40],
        y_train=labels[:40],
        x_test=images[40:],
        y_test=labels[40:],
    )
    done = command(
        TRAIN,
        "--norm",
        "gn",
        "--data",
        name,
        "--epochs",
        1,
        "--batch-size",
        16,
        "--filters",
        4,
        "--blocks",
        1,
    )
    assert (done.returncode, done.stderr) == (0, "")
    run = tmp_path / f"runs/gn-{Path(name).stem}-documented-seed0"
    assert sorted(file.name for file in run.iterdir()) == FILES


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("", "the following arguments are required: --norm"),
        ("--norm x", "argument --norm: invalid choice: 'x' (choose from "),
        ("--norm bn --epochs 0", "epochs: expected at least 1, got 0"),
        ("--norm bn --epochs many", "argument --epochs: invalid int value: 'many'"),
        ("--norm bn --learning-rate -1", "learning_rate: expected more than 0, got -1.0"),
        ("--norm bn --l1 -1", "l1: expected 0 or more, got -1.0"),
        ("--norm bn --resume --overwrite", "expected one of --resume and --overwrite, got both"),
        ("--norm bn --seed -1", "seed: expected 0 to 2147483647, got -1"),
        ("--norm bn --quiet --verbose", "argument --verbose: not allowed with argument --quiet"),
        ("--norm bn --recipe quick", "argument --recipe: invalid choice: 'quick'"),
        ("--norm bn --data none.npz", "none.npz: expected a .npz file, found nothing of that name"),
        ("--norm bn --data digits --batch-size 2000", "batch_size: expected at most 1437"),
        ("--norm gn --data digits --groups 5", "groups: expected a divisor of filters=16"),
        ("--norm gn --data digits --groups 16", "groups: expected fewer than filters=16, got 16"),
        ("--norm ws --data digits --groups 16", "groups: expected fewer than filters=16, got 16"),
        ("--norm bn --data digits --blocks 9", "images of 42x42 pixels or more for 9 blocks, got 28x28"),
        (
            "--norm bn --data digits --out /dev/null",
            "/dev/null: expected a directory for the run, got a file",
        ),
        ("--norm bn --data digits --out /dev/null/run", "/dev/null/run: "),
        ("--norm bn --data digits --out /proc/run", "/proc/run: cannot make the run directory"),
    ],
)
def test_wrong_use_ends_with_one_line_and_exit_code_2(
    train_here: Here, options: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, errors = train_here(*options.split())
    assert code == 2
    assert errors.count("\n") == 1
    assert message in errors
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "file", "left"),
    [
        (60_000, "checkpoint.npz", ["config.json", "history.csv"]),
        (130_000, "model.keras", ["checkpoint.npz", "config.json", "history.csv"]),
    ],
)
def test_a_full_disk(command: Command, tmp_path: Path, size: int, file: str, left: list[str]) -> None:
    def limit() -> None:  # no file above `size` bytes
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    # The limit would truncate bytecode, so none is written.
    env = {"PYTHONDONTWRITEBYTECODE": "1"}
    options = ("--norm", "bn", "--data", "digits", "--epochs", 1, "--out", "run")
    done = command(TRAIN, *options, env=env, preexec_fn=limit)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"cannot write run/{file}: " in done.stderr
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == left
    if file == "model.keras":
        done = command(TRAIN, *options, "--resume")
        assert done.returncode == 0, done.stderr
        assert sorted(path.name for path in (tmp_path / "run").iterdir()) == FILES


@pytest.mark.slow
@pytest.mark.mnist
def test_one_epoch_on_mnist_learns(command: Command, tmp_path: Path) -> None:
    done = command(
        TRAIN, "--norm", "bn", "--data", "mnist", "--epochs", 1, "--out", "run", env=absolute_data()
    )
    assert done.returncode == 0, done.stderr
    # The reference reports 97.6 % after its first epoch.
    assert json.loads((tmp_path / "run/metrics.json").read_text())["test_accuracy"] > 0.97

    from export.infer import Classifier

    images = load_data("mnist").x_test
    model = keras.models.load_model(tmp_path / "run/model.keras")
    ours = Classifier(tmp_path / "run/model.onnx").predict(images)
    theirs = model.predict(images, batch_size=500, verbose=0)
    np.testing.assert_array_equal(ours.argmax(1), theirs.argmax(1))


def absolute_data() -> dict[str, str]:
    folder = os.environ.get("KERASNORM_DATA")
    return {"KERASNORM_DATA": str(Path(folder).resolve())} if folder else {}
