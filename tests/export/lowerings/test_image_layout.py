"""Single images and batches, in either data format."""

import keras
import pytest
from keras import ops

from tests.export.helpers import converted, kinds


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("single", [False, True], ids=["batch", "one image"])
def test_layouts(single: bool, data_format: str) -> None:
    shape = (6, 5, 3) if data_format == "channels_last" else (3, 6, 5)
    x = keras.Input(shape, name="x")
    if single:  # each number of the batch becomes an image of its own
        x = keras.Input(batch_shape=shape, name="x")
    y = ops.image.resize(x, (3, 10), data_format=data_format)
    sizes = {"route": "direct"} if not single else {"route": "direct", "batch": shape[0]}
    conversion = converted(keras.Model(x, y), **sizes)
    assert kinds(conversion).count("Transpose") <= 2
