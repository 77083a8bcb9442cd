import numpy as np
import pytest
from onnx import TensorProto, numpy_helper

from export.errors import UserError
from export.tensor_proto import decode, encode

ARRAYS = [
    *(
        np.arange(-3, 3).reshape(2, 3).astype(d)
        for d in ("float32", "float64", "float16", "int8", "int32", "int64")
    ),
    *(np.arange(200, 206).astype(d) for d in ("uint8", "uint16", "uint32", "uint64")),
    np.array([[True, False]]),
    np.float64(3.5).reshape(()),
    np.zeros((0, 4), np.float32),
    np.array([["a", "b c"], ["", "d"]], object),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda a: f"{a.dtype}{a.shape}")
def test_onnx_reads_what_is_written_and_the_other_way_round(array: np.ndarray) -> None:
    tensor = TensorProto.FromString(encode(array, "name"))
    assert tensor.name == "name"
    theirs = numpy_helper.to_array(tensor)
    if array.dtype == object:
        theirs = np.array(
            [x.decode() if isinstance(x, bytes) else x for x in theirs.ravel()], object
        ).reshape(array.shape)
    np.testing.assert_array_equal(theirs, array)
    name, ours = decode(numpy_helper.from_array(array, "other").SerializeToString())
    assert name == "other"
    assert ours.dtype == array.dtype
    np.testing.assert_array_equal(ours, array)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff", "expected an ONNX tensor, got a damaged file"),
        (encode(np.zeros(9, np.float32), "x")[:-5], "expected an ONNX tensor, got a damaged file"),
        (b"\x08\x03\x10\x01", r"tensor '': expected \[3\] numbers as raw data, got 0 bytes of type 1"),
        (b"\x10\x63", r"expected \[\] numbers as raw data, got 0 bytes of type 99"),
    ],
)
def test_what_is_no_tensor(content: bytes, message: str) -> None:
    with pytest.raises(UserError, match=message):
        decode(content)


def test_what_onnx_has_no_type_for() -> None:
    with pytest.raises(UserError, match="tensor 'x': expected numbers or strings, got complex128"):
        encode(np.zeros(2, complex), "x")
