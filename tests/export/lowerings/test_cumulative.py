"""Cumulative sums and products against Keras."""

import numpy as np
import pytest
from keras import ops

from export.errors import UserError
from tests.export.helpers import check_operation, compare, in_either_layout, random_array


def test_axes_and_dtypes() -> None:
    functions = {
        "sum": lambda x: ops.cumsum(x, axis=-1),
        "sum of all": ops.cumsum,
        "product": lambda x: ops.cumprod(x, axis=1),
    }
    compare(functions, random_array(2, 7, 5))
    compare(
        {**functions, "as floats": lambda x: ops.cumsum(x, axis=1, dtype="float32")},
        np.full((2, 5, 3), 3, "int32"),
    )
    compare(
        {**functions, "integers": lambda x: ops.cumprod(x, axis=1, dtype="int32")}, np.ones((2, 5, 3), "bool")
    )


@in_either_layout
def test_layouts(channels_first: bool) -> None:
    check_operation(
        lambda x: (
            ops.cumsum(x, axis=1) + ops.cumsum(x, axis=-1) + ops.cumprod(x, axis=2) + ops.cumprod(x, axis=-1)
        ),
        channels_first,
    )


def test_product_along_dynamic_dimension_is_unsupported() -> None:
    with pytest.raises(UserError, match="a cumulative product along a dynamic dimension"):
        check_operation(lambda x: ops.cumprod(x, axis=0))
