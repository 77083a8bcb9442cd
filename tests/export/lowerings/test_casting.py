"""Casts against Keras."""

import numpy as np
import pytest
from keras import ops

from export.errors import UserError
from tests.export.helpers import check_operation, compare, in_either_layout


def test_casts_of_integers() -> None:
    x = np.array([[-300, -129, -1, 0, 127, 255, 256, 70_000]], "int32")
    narrow = ("int8", "uint8", "int16", "uint16", "uint32")
    compare({dtype: lambda x, dtype=dtype: ops.cast(ops.cast(x, dtype), "int64") for dtype in narrow}, x)
    saturated = {d: lambda x, d=d: ops.cast(ops.saturate_cast(x, d), "int32") for d in (*narrow, "bool")}
    compare(saturated, x)
    floats = np.array([[-3e38, -300.5, -0.5, 0.4, 200.9, 300.0, 2147483520.0, 3e38]], "float32")
    compare(
        {d: lambda x, d=d: ops.cast(ops.saturate_cast(x, d), "int32") for d in ("uint8", "int32")}, floats
    )


@pytest.mark.skipif(not hasattr(ops, "view"), reason="this version of Keras has no view")
def test_view() -> None:
    x = np.array([[-1, 7]], "int32")
    compare(
        {
            "same": lambda x: ops.view(x, "int32"),
            "unsigned": lambda x: ops.cast(ops.view(x, "uint32"), "int64"),
        },
        x,
    )
    with pytest.raises(UserError, match=r"a view of float32 as int32; ONNX can't reinterpret bits"):
        check_operation(lambda x: ops.view(x, "int32"))


@in_either_layout
def test_layouts(channels_first: bool) -> None:
    check_operation(
        lambda x: (
            ops.cast(ops.cast(x * 4, "int32") + 2, "float32") * ops.convert_to_tensor(x > 0, dtype="float32")
        ),
        channels_first,
    )
