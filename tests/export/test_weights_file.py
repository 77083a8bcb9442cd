"""Large weights in a file of their own, and models that are written in one file or two."""

from pathlib import Path

import keras
import numpy as np
import onnx
import pytest
from keras import layers as L

from export import weights_file
from export.convert import Conversion, convert
from export.errors import UserError
from export.export import export_model
from export.limits import available_memory
from export.parity import check_parity
from export.runtime import open_session
from export.weights_file import open_graph, write_model
from tests.export.helpers import functional, random_array


@pytest.fixture(autouse=True)
def small_weights_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights_file, "LEAST", 3000)


def model() -> keras.Model:
    """Convolution and Dense have a kernel above 1,024 bytes each; the biases are small."""
    return functional((6, 6, 4), L.Conv2D(16, 3, activation="relu"), L.Flatten(), L.Dense(8), L.Softmax())


def outputs(conversion: Conversion, x: np.ndarray) -> np.ndarray:
    result: np.ndarray = open_graph(conversion.proto, conversion.weights).run(None, {"x": x})[0]
    return result


def test_weights_are_in_the_file_until_the_model_is_asked_for() -> None:
    conversion = convert(model())
    weights = conversion.weights
    assert weights is not None
    assert weights.size >= 4 * (3 * 3 * 4 * 16 + 4 * 4 * 16 * 8)
    assert conversion.proto.ByteSize() < 3000
    x = random_array(3, 6, 6, 4)
    before = outputs(conversion, x)
    assert check_parity(model(), conversion, quick=True).passed
    content = conversion.model.SerializeToString()
    assert conversion.weights is None
    np.testing.assert_array_equal(open_session(content).run(None, {"x": x})[0], before)
    np.testing.assert_array_equal(outputs(conversion, x), before)


def test_the_file_is_removed_with_the_conversion() -> None:
    conversion = convert(model())
    assert conversion.weights is not None
    folder = conversion.weights.folder
    assert folder.is_dir()
    del conversion
    assert not folder.exists()


def test_small_models_stay_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights_file, "LEAST", 10**6)
    assert convert(model()).weights is None


def test_one_file_has_all_that_the_model_in_memory_has(tmp_path: Path) -> None:
    conversion = convert(model())
    files = write_model(tmp_path / "m.onnx", conversion.proto, conversion.weights)
    assert files == [tmp_path / "m.onnx"] == list(tmp_path.iterdir())
    written, whole = onnx.load(tmp_path / "m.onnx"), conversion.model
    onnx.checker.check_model(written, full_check=True)

    def arrays(proto: onnx.ModelProto) -> dict[str, np.ndarray]:
        return {t.name: onnx.numpy_helper.to_array(t) for t in proto.graph.initializer}

    ours, theirs = arrays(written), arrays(whole)
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs[name])
    del written.graph.initializer[:]
    del whole.graph.initializer[:]
    assert written == whole


def test_two_files_above_the_limit_of_protobuf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx.checker, "MAXIMUM_PROTOBUF", 2**20 + 3000)
    exported = export_model(model(), tmp_path / "m.onnx", quick=True)
    assert exported.files == [tmp_path / "m.onnx", tmp_path / "m.onnx.data"]
    (tmp_path / "moved").mkdir()
    for file in exported.files:
        file.rename(tmp_path / "moved" / file.name)
    x = random_array(3, 6, 6, 4)
    got = open_session(tmp_path / "moved" / "m.onnx").run(None, {"x": x})[0]
    np.testing.assert_allclose(got, model()(x), rtol=0, atol=1e-6)


def test_a_file_that_cannot_be_written_leaves_the_earlier_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx.checker, "MAXIMUM_PROTOBUF", 2**20 + 3000)
    (tmp_path / "m.onnx").write_text("earlier")
    (tmp_path / "m.onnx.data").mkdir()  # can't be replaced by a file
    conversion = convert(model())
    with pytest.raises(UserError, match=r"cannot write .*m\.onnx\.data"):
        write_model(tmp_path / "m.onnx", conversion.proto, conversion.weights)
    assert (tmp_path / "m.onnx").read_text() == "earlier"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.onnx", "m.onnx.data"]


def test_no_space_for_the_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("onnx_ir.external_data.unload_from_model", full)
    with pytest.raises(UserError, match="cannot write the weights: No space left on device; name a folder"):
        convert(model())


@pytest.mark.slow
def test_model_above_two_gigabytes(tmp_path: Path) -> None:
    memory = available_memory()
    if memory is not None and memory < 9 * 2**30:
        pytest.skip("needs 9 GiB of free memory")
    inputs = x = keras.Input((8192,), name="x")
    for _ in range(8):
        x = L.Dense(8192, use_bias=True, activation="relu")(x)
    large = keras.Model(inputs, L.Dense(2, name="y")(x))
    done = export_model(large, tmp_path / "m.onnx", quick=True)
    assert [file.name for file in done.files] == ["m.onnx", "m.onnx.data"]
    assert done.files[1].stat().st_size > 2**31
    got = open_session(tmp_path / "m.onnx").run(None, {"x": np.ones((2, 8192), np.float32)})[0]
    np.testing.assert_allclose(got, large(np.ones((2, 8192), np.float32)), rtol=1e-4, atol=1e-5)
