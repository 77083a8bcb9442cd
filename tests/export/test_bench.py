import json
import sys
import time
from pathlib import Path

import pytest
from helpers import randomize

from export.bench import bench, cli, summarize, time_calls
from export.convert import Options
from export.export import export_model
from kerasnorm import build_cnn


def test_calls_take_turns_and_their_times_are_told_apart() -> None:
    times = time_calls({"quick": lambda: time.sleep(0.001), "slow": lambda: time.sleep(0.004)}, 0.3)
    quick, slow = (summarize(times[name], batch=2) for name in ("quick", "slow"))
    assert 1 <= quick["median_ms"] < 3 < slow["median_ms"] < 8
    assert quick["p05_ms"] <= quick["median_ms"] <= quick["p95_ms"]
    assert quick["images_per_second"] == pytest.approx(2000 / quick["median_ms"])
    assert min(len(values) for values in times.values()) >= 20


def test_contestants(tmp_path: Path) -> None:
    model = randomize(build_cnn("bn"))
    model.save(tmp_path / "model.keras")
    export_model(model, tmp_path / "model.onnx")
    rows = bench(
        tmp_path / "model.onnx", tmp_path / "model.keras", batches=[1, 4], threads=[0, 1], seconds=0.2
    )
    everybody = {"kerasnorm", "Keras' export", "tf2onnx route", "tf.function"}
    assert {row["name"] for row in rows} == everybody
    assert {(row["batch"], row["threads"]) for row in rows} == {(1, 0), (4, 0), (1, 1), (4, 1)}
    assert all(row["ratio"] == 1 for row in rows if row["name"] == "kerasnorm")


def test_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    export_model(build_cnn("bn"), tmp_path / "model.onnx", Options(batch=2))

    def call(*words: object) -> int:
        monkeypatch.setattr(sys, "argv", ["bench", str(tmp_path / "model.onnx"), *map(str, words)])
        return cli()

    assert call("--batches", 2, "--seconds", 0.05, "--json", tmp_path / "rows.json") == 0
    assert "| 2 | all | kerasnorm |" in capsys.readouterr().out
    assert json.loads((tmp_path / "rows.json").read_text())[0]["batch"] == 2
    assert call("--batches", 3, "--seconds", 0.05) == 2
    assert "expected a model that takes batches of 3; its batch is fixed" in capsys.readouterr().err
    assert call("--batches", 0) == 2
    assert "expected batches of 1 or more" in capsys.readouterr().err
