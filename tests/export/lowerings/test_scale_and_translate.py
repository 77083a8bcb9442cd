"""scale_and_translate against Keras."""

import keras
import numpy as np
import pytest
from keras import ops

from export.convert import Options, convert
from export.errors import UserError
from tests.export.helpers import converted, random_array, run

if not hasattr(ops.image, "scale_and_translate"):
    pytest.skip("this version of Keras has no scale_and_translate", allow_module_level=True)

SCALE, TRANSLATION = np.array([0.7, 1.3], np.float32), np.array([0.4, -2.2], np.float32)


@pytest.mark.parametrize("antialias", [False, True])
def test_methods(antialias: bool) -> None:
    x = keras.Input((8, 9, 2))
    outputs = [
        ops.image.scale_and_translate(x, (1, 6, 7, 2), SCALE, TRANSLATION, (1, 2), method, antialias)
        for method in ("linear", "bicubic", "lanczos3", "lanczos5")
    ]
    converted(keras.Model(x, outputs))


def test_computed_scale() -> None:
    x, scale = keras.Input((8, 9, 2)), keras.Input(batch_shape=(2,))
    y = ops.image.scale_and_translate(x, (1, 6, 7, 2), scale, TRANSLATION, (1, 2), "linear")
    model = keras.Model([x, scale], y)
    array = random_array(2, 8, 9, 2)
    [got] = run(convert(model, Options(route="direct")), array, SCALE)
    np.testing.assert_allclose(got, model([array, SCALE]), rtol=1e-4, atol=1e-5)


def test_dynamic_size_is_unsupported() -> None:
    x = keras.Input((None, 9, 2))
    y = ops.image.scale_and_translate(x, (1, 6, 7, 2), SCALE, TRANSLATION, (1, 2), "linear")
    with pytest.raises(UserError, match="scale_and_translate of images of dynamic size"):
        convert(keras.Model(x, y), Options(route="direct"))
