"""map_coordinates against Keras."""

import keras
import numpy as np
import pytest
from keras import ops

from export.convert import Options, convert
from export.errors import UserError
from tests.export.helpers import random_array, run

RNG = np.random.default_rng(0)
ANYWHERE = RNG.uniform(-3, 8, (2, 3, 4)).astype("float32")
INSIDE = RNG.uniform(0, 3, (2, 3, 4)).astype("float32")


@pytest.mark.parametrize("fill_mode", ["constant", "nearest", "wrap", "mirror", "reflect"])
def test_fill_modes(fill_mode: str) -> None:
    # Keras' own 'mirror' reads beyond the tensor at some coordinates.
    coordinates = INSIDE if fill_mode == "mirror" else ANYWHERE
    x, given = keras.Input(batch_shape=(4, 6)), keras.Input(batch_shape=coordinates.shape)
    outputs = [
        ops.image.map_coordinates(x, one, order, fill_mode, 0.6)
        for one in (coordinates, given)
        for order in (0, 1)
    ]
    model = keras.Model([x, given], outputs)
    array = random_array(4, 6)
    results = run(convert(model, Options(route="direct")), array, coordinates)
    for got, want in zip(results, model([array, coordinates]), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def test_dynamic_size_is_unsupported() -> None:
    x = keras.Input((6,))
    with pytest.raises(UserError, match="map_coordinates of a tensor of dynamic size"):
        convert(keras.Model(x, ops.image.map_coordinates(x, ANYWHERE, 1, "nearest")), Options(route="direct"))
