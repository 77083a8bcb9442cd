"""HDF5 files that may come from a stranger.

HDF5 can take a dataset's values from any other file that the reader may open: through an external link, external
storage, or a virtual dataset. A dataset can also declare a huge shape and store next to none of it, a chunk that is
much larger than its shape, or the same long text many times. Keras writes none of these, so a model file that holds
one is refused before anything is read from it.
"""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Iterator
from pathlib import Path

import h5py

from export.errors import UserError
from export.limits import check_size, open_zip

WEIGHTS = "model.weights.h5"  # the HDF5 file in a .keras archive
MAX_COMPRESSION = 1032  # the highest ratio that deflate, HDF5's gzip filter, reaches


@contextlib.contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open a `.h5` file, or the weights in a `.keras` archive, once `check_hdf5` has found nothing wrong with it.

    Raises:
        UserError: the file takes data from elsewhere, or declares more data than it stores.
    """
    source: Path | io.BytesIO = path
    if path.suffix == ".keras":
        source = io.BytesIO(read_member(path, WEIGHTS))
    with h5py.File(source, "r") as file:
        check_hdf5(file, path)
        yield file


def read_member(path: Path, name: str) -> bytes:
    """Read a member of a `.keras` archive, once the size of all of them has been checked.

    Raises:
        UserError: the archive has no such member, or unpacks to more than its size justifies.
    """
    with open_zip(path) as archive:
        check_size(path, "unpacked data", sum(member.file_size for member in archive.infolist()))
        if name not in archive.namelist():
            raise UserError(
                f"{path}: expected a .keras archive with a {name}, got one without; save the model again"
            )
        return archive.read(name)


def check_hdf5(file: h5py.File, path: Path) -> None:
    """Check that an open HDF5 file holds all its data itself, and as much as it declares.

    Only the headers of the datasets are read.

    Args:
        file: the file.
        path: the file on the disk, whose size limits that of the data.

    Raises:
        UserError: the file takes data from elsewhere, or declares more data than it stores or than the memory holds.
    """
    sizes: list[int] = []

    # h5py stops at the first value that this returns. An exception would not get through.
    def find_fault(name: str, link: object) -> str | None:
        if not isinstance(link, h5py.HardLink):
            return f"expected all weights in this file, got a link at {name!r}"
        dataset = file[name]
        if not isinstance(dataset, h5py.Dataset):
            return None
        if dataset.external or dataset.is_virtual:
            return f"expected all weights in this file, got {name!r}, which is read from another"
        stored = dataset.id.get_storage_size()
        is_filtered = dataset.id.get_create_plist().get_nfilters() > 0
        if dataset.nbytes > stored * (MAX_COMPRESSION if is_filtered else 1):
            return (
                f"expected {dataset.nbytes:,} bytes of {name!r}, as its shape {dataset.shape} declares, "
                f"got {stored:,}"
            )
        count = max(dataset.size or 0, math.prod(dataset.chunks or (0,)))
        # All the texts of a dataset can be one and the same, and that one can be as long as the file.
        item = file.id.get_filesize() if dataset.dtype.hasobject and count > 1 else dataset.dtype.itemsize
        sizes.append(count * item)
        return None

    fault = file.visititems_links(find_fault)
    if fault:
        raise UserError(f"{path}: {fault}; save the model again with Keras")
    check_size(path, "weights", sum(sizes))
