"""python on_backend.py: the layers on the backend of KERAS_BACKEND: formulas, a training, and what it leaves."""

import sys

import keras
import numpy as np

from kerasnorm import Recipe, build_cnn, load_data, stock_model
from kerasnorm.norms import NORMS

x = np.random.default_rng(0).normal(2, 3, (20, 5, 5, 4)).astype("float32")
expected = np.load(sys.argv[1])
for key, norm in NORMS.items():
    if norm.layer is None:
        continue
    layer = norm.layer(2, **({"steps": 26} if norm.has_schedule else {}))
    for training in (True, False):
        y = keras.ops.convert_to_numpy(
            layer(x, training=training) if key in ("bn", "gbn", "brn") else layer(x)
        )
        np.testing.assert_allclose(y, expected[f"{key}-{training}"], rtol=1e-4, atol=1e-5, err_msg=key)

data = load_data("digits")
recipe = Recipe(epochs=1, filters=8, batch_size=40)
for key in ("rms", "frn", "dyt", "gbn", "brn", "ws"):
    model = recipe.build_model(key, data)
    model.fit(data.x_train[:120], data.y_train[:120], batch_size=40, verbose=0)
    assert np.isfinite(np.concatenate([np.ravel(weight) for weight in model.get_weights()])).all(), key
    if key == "brn":
        assert int(model.get_layer("norm0").step) == 3
    images = data.x_test[:3]
    stock = stock_model(model).predict(images, verbose=0)
    np.testing.assert_allclose(stock, model.predict(images, verbose=0), rtol=1e-4, atol=1e-6, err_msg=key)
assert build_cnn("ws", dtype="mixed_bfloat16")(np.zeros((2, 28, 28, 1))).shape == (2, 10)
print(keras.backend.backend(), "passed")
