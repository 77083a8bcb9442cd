import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from export.evidence import evidence_path, read_evidence
from export.export import export_model
from export.verify import cli, verify
from tests.export.helpers import functional

L = keras.layers


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("verify") / "model.onnx"
    model = functional((8, 8, 1), L.Conv2D(4, 3), L.ReLU(), L.Flatten(), L.Dense(3, activation="softmax"))
    export_model(model, path, check=evidence_path(path))
    return path


@pytest.fixture
def check(here: Callable[..., Any]) -> Callable[..., Any]:
    return partial(here, cli)


def spoiled(exported: Path, folder: Path, by: float) -> Path:
    model = onnx.load(exported)
    tensor = next(t for t in model.graph.initializer if len(t.dims) > 1)
    array = numpy_helper.to_array(tensor).copy()
    array *= 1 + by
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    onnx.save(model, folder / "spoiled.onnx")
    return folder / "spoiled.onnx"


def test_the_examples_are_exact(exported: Path) -> None:
    examples, oracle = read_evidence(evidence_path(exported))
    assert oracle == "Keras in float64"
    assert [example.kind for example in examples] == ["batch 1", "batch 2", "batch 7"]
    for example in examples:
        outputs = example.outputs["probabilities"]
        assert outputs.dtype == np.float64
        np.testing.assert_allclose(outputs.sum(-1), 1, rtol=1e-14, atol=0)
        absolute, relative = example.allowances["probabilities"]
        assert 1e-7 < absolute < 1e-4
        assert relative == 32 * 2.0**-23


def test_a_right_model(check: Callable[..., Any], exported: Path) -> None:
    code, output, errors = check(exported)
    assert (code, errors) == (0, "")
    assert [line.split()[:3] for line in output.splitlines()[1:]] == [
        *(["probabilities", "batch", n] for n in ("1", "2", "7"))
    ]
    assert output.count("ok") == 3


def test_a_wrong_model(check: Callable[..., Any], exported: Path, tmp_path: Path) -> None:
    code, output, errors = check(spoiled(exported, tmp_path, 0.5), "--check", evidence_path(exported))
    assert code == 1
    assert errors.count("\n") == 1
    assert "output 'probabilities' differs by up to" in errors
    assert "above tolerance" in output


def test_a_wider_tolerance_for_a_quantized_model(
    check: Callable[..., Any], exported: Path, tmp_path: Path
) -> None:
    path = spoiled(exported, tmp_path, 0.01)
    assert check(path, "--check", evidence_path(exported), "--tolerance", 0.2)[0] == 0
    assert check(path, "--check", evidence_path(exported), "--tolerance", 1e-5)[0] == 1


def test_json(check: Callable[..., Any], exported: Path) -> None:
    code, output, _ = check(exported, "--json", "--provider", "CPUExecutionProvider")
    record = json.loads(output)
    assert code == 0
    assert record["passed"] is True
    assert record["oracle"] == "Keras in float64"
    assert [row["rows"] for row in record["differences"]] == [1, 2, 7]
    assert all(row["max_abs"] <= row["allowance"] for row in record["differences"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--provider", "abacus"], "provider: expected one of this machine's ("),
        (["--tolerance", -1], "tolerance: expected 0 or more, got -1.0"),
        (["--check", "none.zip"], "none.zip: expected a model's check, found no file of that name"),
    ],
)
def test_wrong_use(check: Callable[..., Any], exported: Path, words: list[object], message: str) -> None:
    code, _, errors = check(exported, *words)
    assert code == 2
    assert errors.count("\n") == 1
    assert message in errors


def test_another_models_check(exported: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.onnx"
    export_model(functional((5,), L.Dense(2)), other, check=evidence_path(other))
    with pytest.raises(ValueError, match="expected a model that takes the check's inputs"):
        verify(other, read_evidence(evidence_path(exported))[0])


def test_numpy_and_onnxruntime_alone_are_needed(exported: Path) -> None:
    script = (
        "import sys; from export.verify import main; code = main([sys.argv[1]]); "
        "print(sorted({'keras', 'tensorflow', 'onnx', 'google.protobuf', 'export.parity'} & set(sys.modules)), code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(exported)],
        capture_output=True,
        text=True,
        timeout=100,
        env=os.environ,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[] 0"
