import shutil
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from export import keras2
from export.errors import UserError
from export.hdf5 import WEIGHTS, check_hdf5, open_hdf5
from export.load import load_model
from tests.export.helpers import functional
from tests.export.keras2.helpers import MODELS

SHAPE = (4, 3)


def external_link(file: h5py.File, name: str, other: Path) -> None:
    file[name] = h5py.ExternalLink(other, "/secret")


def soft_link(file: h5py.File, name: str, other: Path) -> None:
    file["elsewhere"] = np.zeros(SHAPE, np.float32)
    file[name] = h5py.SoftLink("/elsewhere")


def external_storage(file: h5py.File, name: str, other: Path) -> None:
    file.create_dataset(name, SHAPE, "f4", external=[(str(other), 0, 48)])


def virtual_dataset(file: h5py.File, name: str, other: Path) -> None:
    layout = h5py.VirtualLayout(SHAPE, "f4")
    layout[:] = h5py.VirtualSource(other, "/secret", SHAPE)
    file.create_virtual_dataset(name, layout)


def huge_shape(file: h5py.File, name: str, other: Path) -> None:
    file.create_dataset(name, (10**6, 10**4), "f4")


def huge_chunked_shape(file: h5py.File, name: str, other: Path) -> None:
    file.create_dataset(name, (10**6, 10**4), "f4", chunks=(100, 100))[0, 0] = 1


def huge_compressed_shape(file: h5py.File, name: str, other: Path) -> None:
    file.create_dataset(name, (10**6, 10**4), "f4", chunks=(100, 100), compression="gzip")[0, 0] = 1


def huge_chunk(file: h5py.File, name: str, other: Path) -> None:
    """One number of a chunk of a billion, of which HDF5 would unpack all."""
    dataset = file.create_dataset(name, (1,), "f4", chunks=(10**9,), maxshape=(None,), compression="gzip")
    dataset.id.write_direct_chunk((0,), zlib.compress(bytes(100)))


def many_links_to_one_dataset(file: h5py.File, name: str, other: Path) -> None:
    """Each is as large as it says, but only one of them is stored."""
    file.create_dataset(name, data=np.zeros((1000, 1000), np.float32), compression="gzip")
    for index in range(99):
        file[f"{name}_{index}"] = file[name]


def compressed_zeros(file: h5py.File, name: str, other: Path) -> None:
    """300 MB of zeros in 0.3 MB."""
    dataset = file.create_dataset(name, (300, 2**18), "f4", chunks=(1, 2**18), compression="gzip")
    chunk = zlib.compress(bytes(2**20), 9)
    for row in range(300):
        dataset.id.write_direct_chunk((row, 0), chunk)


def many_texts(file: h5py.File, name: str, other: Path) -> None:
    """Each could be the same one of a megabyte; a stranger can write the references by hand."""
    file["long"] = "a" * 2**20
    file.create_dataset(name, (1000,), h5py.string_dtype())[:] = ["b"] * 1000


ATTACKS = {
    external_link: "expected all weights in this file, got a link at",
    soft_link: "expected all weights in this file, got a link at",
    external_storage: "which is read from another",
    virtual_dataset: "which is read from another",
    huge_shape: "expected 40,000,000,000 bytes of .*, got 0;",
    huge_chunked_shape: "expected 40,000,000,000 bytes of .*, got 40,000;",
    huge_compressed_shape: r"expected 40,000,000,000 bytes of .*, got \d+;",
    huge_chunk: r"expected at most 100 times .*, got 4,000,\d{3},\d{3} bytes of weights",
    many_links_to_one_dataset: r"expected at most 100 times .*, got 400,\d{3},\d{3} bytes of weights",
    many_texts: r"expected at most 100 times .*, got [\d,]{13} bytes of weights",
    compressed_zeros: r"expected at most 100 times .*, got 314,\d{3},\d{3} bytes of weights",
}


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A file of somebody else."""
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["secret"] = np.full(SHAPE, 42, np.float32)
    return tmp_path / "other.h5"


def attack_keras_2_h5(folder: Path, replace: Callable[[h5py.File, str], None]) -> Path:
    path = Path(shutil.copy(MODELS / "stock.h5", folder / "model.h5"))
    with h5py.File(path, "r+") as file:
        del file["model_weights/dense_3/dense_3/kernel:0"]
        replace(file, "model_weights/dense_3/dense_3/kernel:0")
    return path


def attack_h5(folder: Path, replace: Callable[[h5py.File, str], None]) -> Path:
    path = folder / "model.h5"
    functional((4,), keras.layers.Dense(3, name="dense")).save(path)
    with h5py.File(path, "r+") as file:
        del file["model_weights/dense/dense/kernel"]
        replace(file, "model_weights/dense/dense/kernel")
    return path


def attack_keras(folder: Path, replace: Callable[[h5py.File, str], None]) -> Path:
    path = folder / "model.keras"
    functional((4,), keras.layers.Dense(3, name="dense")).save(folder / "good.keras")
    with zipfile.ZipFile(folder / "good.keras") as good, zipfile.ZipFile(path, "w") as bad:
        (folder / WEIGHTS).write_bytes(good.read(WEIGHTS))
        with h5py.File(folder / WEIGHTS, "r+") as file:
            del file["layers/dense/vars/0"]
            replace(file, "layers/dense/vars/0")
        bad.writestr("config.json", good.read("config.json"))
        bad.writestr("metadata.json", good.read("metadata.json"))
        bad.write(folder / WEIGHTS, WEIGHTS)
    return path


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
@pytest.mark.parametrize("make", [attack_h5, attack_keras, attack_keras_2_h5], ids=lambda make: make.__name__)
def test_model_file_is_refused(
    make: Callable[..., Path], attack: Callable[..., None], other: Path, tmp_path: Path
) -> None:
    path = make(tmp_path, lambda file, name: attack(file, name, other))
    load = keras2.load_model if make is attack_keras_2_h5 else load_model
    with pytest.raises(UserError, match=ATTACKS[attack]) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_link_to_a_group_is_refused(other: Path, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "model.h5", "w") as file:
        file["model_weights"] = h5py.ExternalLink(other, "/")
    with pytest.raises(UserError, match="got a link at 'model_weights'"), open_hdf5(tmp_path / "model.h5"):
        pass


def test_archive_that_expands_a_thousand_times_is_refused(tmp_path: Path) -> None:
    functional((4,), keras.layers.Dense(3)).save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras", "a", zipfile.ZIP_DEFLATED) as archive:
        for index in range(3):
            archive.writestr(f"assets/{index}", bytes(10**8))
    message = r"model\.keras: expected at most 100 times .*, got 300,\d{3},\d{3} bytes of unpacked data"
    with pytest.raises(UserError, match=message), open_hdf5(tmp_path / "model.keras"):
        pass
    with pytest.raises(UserError, match=message):
        load_model(tmp_path / "model.keras")


def test_compressed_weights_are_accepted(tmp_path: Path) -> None:
    """Keras doesn't compress, but `h5repack` does; zeros reach the highest ratio."""
    with h5py.File(tmp_path / "model.h5", "w") as file:
        for shape in ((0,), (1,), (1000, 1000)):
            file.create_dataset(f"{shape}", data=np.zeros(shape), compression="gzip", chunks=True)
        file["text"] = ["a", "bb"]
        file["nothing"] = h5py.Empty("f4")
        file["scalar"] = 1.0
        check_hdf5(file, tmp_path / "model.h5")


def test_models_of_every_format_are_accepted(tmp_path: Path) -> None:
    model = functional((4,), keras.layers.Dense(3))
    model.compile("adam", "mse")
    model.fit(np.zeros((2, 4)), np.zeros((2, 3)), verbose=0)
    for suffix in (".keras", ".h5", ".hdf5"):
        model.save(tmp_path / f"model{suffix}")
        new = load_model(tmp_path / f"model{suffix}")
        np.testing.assert_array_equal(new.layers[1].kernel, model.layers[1].kernel)
