import numpy as np
import pytest

from export.evidence import Example
from export.web.check_data import ALIGNMENT, pack

EXAMPLES = [
    Example(
        "batch 2",
        {"image": np.arange(6, dtype=np.uint8).reshape(2, 3)},
        {"p": np.array([[0.25, 0.75], [1.0, 0.0]]), "label": np.array(["a", "b"], object)},
        {"p": (1e-6, 1e-7), "label": (0.0, 0.0)},
    ),
    Example("batch 1", {"image": np.array([[7]], np.int64)}, {"p": np.array([[0.5]])}, {"p": (0.0, 0.0)}),
]


def test_arrays_are_where_the_record_says() -> None:
    content, records = pack(EXAMPLES)
    assert [record["kind"] for record in records] == ["batch 2", "batch 1"]
    for example, record in zip(EXAMPLES, records, strict=True):
        for entries, arrays in ((record["inputs"], example.inputs), (record["outputs"], example.outputs)):
            for entry, (name, array) in zip(entries, arrays.items(), strict=True):
                assert (entry["name"], tuple(entry["shape"])) == (name, array.shape)
                if entry["dtype"] == "string":
                    assert entry["values"] == array.tolist()
                    continue
                assert entry["offset"] % ALIGNMENT == 0
                read = np.frombuffer(content, entry["dtype"], array.size, entry["offset"])
                np.testing.assert_array_equal(read.reshape(array.shape), array)
    assert records[0]["outputs"][0]["allowance"] == [1e-6, 1e-7]


@pytest.mark.parametrize("dtype", [">f4", ">i8", "bool"])
def test_numbers_are_little_endian(dtype: str) -> None:
    array = np.array([[1, 0, 1]], dtype)
    content, records = pack([Example("", {"x": array}, {}, {})])
    entry = records[0]["inputs"][0]
    assert entry["dtype"] == array.dtype.name
    read = np.frombuffer(content, np.dtype(entry["dtype"]).newbyteorder("<"), 3, entry["offset"])
    np.testing.assert_array_equal(read, array[0])
