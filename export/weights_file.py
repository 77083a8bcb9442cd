"""Large weights of a graph: in a file of their own while the graph is made and checked, to be in memory but once.

model = ...                         # an onnx_ir model
weights = WeightsFile.of(model)     # None if the weights are small
proto = ir.to_proto(model)          # without them; it names the file
write_model(path, proto, weights)   # one file, or two above protobuf's limit of 2 GB
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import onnx
import onnx_ir as ir
import onnxruntime

from export.errors import UserError
from export.files import write_whole
from export.runtime import open_session

LEAST = 2**25  # bytes of weights, below which they stay in memory
_SMALL = 1024  # bytes of a weight that stays in the graph
_DATA, _MODEL = "weights.bin", "model.onnx"


class WeightsFile:
    """A temporary file with the weights of a graph. It is removed with this object."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="kerasnorm-")
        self.folder = Path(self._folder.name)

    @classmethod
    def of(cls, model: ir.Model) -> WeightsFile | None:
        """Move the weights of a model into a file; None if they are small.

        Raises:
            UserError: the file can't be written.
        """
        values = model.graph.initializers.values()
        if sum(value.const_value.nbytes for value in values if value.const_value is not None) < LEAST:
            return None
        file = cls()
        try:
            ir.external_data.unload_from_model(model, file.folder, _DATA, size_threshold_bytes=_SMALL)
        except OSError as error:
            raise UserError(
                f"{file.folder}: cannot write the weights: {error.strerror}; name a folder with more space by TMPDIR"
            ) from error
        return file

    def save(self, proto: onnx.ModelProto) -> Path:
        """Write the graph beside its weights, where the runtime finds them."""
        path = self.folder / _MODEL
        path.write_bytes(proto.SerializeToString())
        return path

    def load_into(self, proto: onnx.ModelProto) -> None:
        """Take the weights into a graph."""
        onnx.external_data_helper.load_external_data_for_model(proto, str(self.folder))

    def open(self) -> BinaryIO:
        """The file with the weights."""
        return open(self.folder / _DATA, "rb")

    @property
    def size(self) -> int:
        """Bytes of the weights."""
        return (self.folder / _DATA).stat().st_size


def open_graph(
    proto: onnx.ModelProto, weights: WeightsFile | None, *, optimize: bool = True
) -> onnxruntime.InferenceSession:
    """Open a graph and its weights for inference."""
    return open_session(
        proto.SerializeToString() if weights is None else weights.save(proto), optimize=optimize
    )


def write_model(path: Path, proto: onnx.ModelProto, weights: WeightsFile | None) -> list[Path]:
    """Write an ONNX model, completely or not at all.

    Args:
        path: the file.
        proto: the graph.
        weights: its weights.

    Returns:
        The files: the model, and above 2 GB one for the weights besides, with `.data` added to its name.

    Raises:
        UserError: a file can't be written.
    """
    if weights is None:
        content = proto.SerializeToString()
        write_whole(path, lambda temporary: temporary.write_bytes(content))
        return [path]
    if proto.ByteSize() + weights.size < onnx.checker.MAXIMUM_PROTOBUF - 2**20:
        write_whole(path, lambda temporary: _write_embedded(temporary, proto, weights))
        return [path]
    data = path.with_name(f"{path.name}.data")
    renamed = onnx.ModelProto()
    renamed.CopyFrom(proto)
    for _, entry in _locations(renamed.graph):
        entry["location"].value = data.name

    def write(temporary: Path) -> None:
        # The weights come last, but for a rename: an earlier model keeps its own for as long as possible.
        temporary.write_bytes(renamed.SerializeToString())
        write_whole(data, lambda file: shutil.copyfile(weights.folder / _DATA, file))

    write_whole(path, write)
    return [path, data]


def _locations(
    graph: onnx.GraphProto,
) -> Iterator[tuple[onnx.TensorProto, dict[str, onnx.StringStringEntryProto]]]:
    """The weights that are in a file, and where: entries `location`, `offset` and `length`."""
    for tensor in graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            yield tensor, {entry.key: entry for entry in tensor.external_data}


def _write_embedded(path: Path, proto: onnx.ModelProto, weights: WeightsFile) -> None:
    """Write a model in one file, a weight at a time.

    A protobuf message is the concatenation of its fields, and a field that is a message may come in any order: the
    model without its graph, then the graph (field 7), which is the graph without weights and then each weight (field
    5), whose last field is its data (field 9).
    """
    rest, graph = onnx.ModelProto(), onnx.GraphProto()
    rest.CopyFrom(proto)
    rest.ClearField("graph")
    graph.CopyFrom(proto.graph)
    large = list(_locations(proto.graph))
    del graph.initializer[:]
    graph.initializer.extend(
        x for x in proto.graph.initializer if x.data_location != onnx.TensorProto.EXTERNAL
    )
    heads = []
    for tensor, entry in large:
        head = onnx.TensorProto()
        head.CopyFrom(tensor)
        head.ClearField("external_data")
        head.ClearField("data_location")
        length = int(entry["length"].value)
        heads.append(head.SerializeToString() + _tag(9) + _varint(length))
    sizes = [len(head) + int(entry["length"].value) for head, (_, entry) in zip(heads, large, strict=True)]
    start = graph.SerializeToString()
    total = len(start) + sum(len(_tag(5)) + len(_varint(size)) + size for size in sizes)
    with weights.open() as source, open(path, "wb") as file:
        file.write(rest.SerializeToString() + _tag(7) + _varint(total) + start)
        for head, size, (_, entry) in zip(heads, sizes, large, strict=True):
            file.write(_tag(5) + _varint(size) + head)
            source.seek(int(entry["offset"].value))
            file.write(source.read(int(entry["length"].value)))


def _tag(field: int) -> bytes:
    """The tag of a field that says its length; https://protobuf.dev/programming-guides/encoding."""
    return bytes([field << 3 | 2])


def _varint(number: int) -> bytes:
    parts = []
    while number >= 128:
        parts.append(number & 127 | 128)
        number >>= 7
    return bytes([*parts, number])
