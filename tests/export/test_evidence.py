import dataclasses
import zipfile
from pathlib import Path

import numpy as np
import pytest

from export.errors import UserError
from export.evidence import Example, evidence_path, read_evidence, write_evidence

EXAMPLE = Example(
    "batch 2",
    {"image": np.ones((2, 3), np.float32), "ids": np.array([[1], [2]])},
    {"probabilities": np.array([[0.25, 0.75], [0.5, 0.5]])},
    {"probabilities": (1e-6, 1e-7)},
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = evidence_path(tmp_path / "model.onnx")
    assert path == tmp_path / "model.check.zip"
    write_evidence(path, [EXAMPLE, EXAMPLE], "Keras in float64")
    examples, oracle = read_evidence(path)
    assert oracle == "Keras in float64"
    assert len(examples) == 2
    for example in examples:
        assert (example.kind, example.allowances) == (EXAMPLE.kind, EXAMPLE.allowances)
        for ours, theirs in ((example.inputs, EXAMPLE.inputs), (example.outputs, EXAMPLE.outputs)):
            assert list(ours) == list(theirs)
            for name in ours:
                assert ours[name].dtype == theirs[name].dtype
                np.testing.assert_array_equal(ours[name], theirs[name])


def test_the_layout_is_that_of_the_onnx_project(tmp_path: Path) -> None:
    write_evidence(tmp_path / "x.check.zip", [EXAMPLE], "")
    with zipfile.ZipFile(tmp_path / "x.check.zip") as file:
        assert file.namelist() == [
            *("test_data_set_0/input_0.pb", "test_data_set_0/input_1.pb", "test_data_set_0/output_0.pb"),
            "check.json",
        ]


def archive(path: Path, record: str, *names: str) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("check.json", record)
        for name in names:
            file.writestr(name, b"\xff")


SETS = '{"oracle": "", "sets": [{"kind": "k", "inputs": 1, "outputs": 0, "allowances": {}}]}'


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "expected a model's check, found no file of that name; name it with --check"),
        (
            lambda path: path.write_text("text"),
            "expected a model's check that can be read: File is not a zip file",
        ),
        (lambda path: archive(path, "{"), "expected a model's check that can be read"),
        (lambda path: archive(path, "{}"), "expected a model's check that can be read: 'sets'"),
        (lambda path: archive(path, "[" * 100_000), "expected a model's check that can be read"),
        (lambda path: archive(path, SETS), "There is no item named 'test_data_set_0/input_0.pb'"),
        (
            lambda path: archive(path, SETS, "test_data_set_0/input_0.pb"),
            "expected an ONNX tensor, got a damaged file",
        ),
    ],
)
def test_what_is_no_check(tmp_path: Path, make: object, message: str) -> None:
    path = tmp_path / "model.check.zip"
    make(path)  # type: ignore[operator]
    with pytest.raises(UserError, match=message):
        read_evidence(path)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -1.0])
def test_an_allowance_that_allows_anything(tmp_path: Path, number: float) -> None:
    path = tmp_path / "model.check.zip"
    write_evidence(
        path, [dataclasses.replace(EXAMPLE, allowances=dict.fromkeys(EXAMPLE.outputs, (0.0, number)))], ""
    )
    with pytest.raises(UserError, match="set 0 has an allowance that is not a number from 0"):
        read_evidence(path)


def test_a_byte_that_is_another_one(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / "model.check.zip"
    write_evidence(path, [EXAMPLE], "")
    content = path.read_bytes()
    messages = []
    for _ in range(300):
        damaged = bytearray(content)
        damaged[rng.integers(len(damaged))] ^= int(rng.integers(1, 256))
        path.write_bytes(damaged)
        try:
            read_evidence(path)
        except UserError as error:
            messages.append(str(error))
    assert len(messages) > 100
    assert all(message.startswith(f"{path}: expected") for message in messages)
