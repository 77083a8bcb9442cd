"""python on_backend.py KIND: train with the callbacks on the backend of KERAS_BACKEND, and check what they say.

KIND: the data: 'arrays', 'tf.data' or 'PyDataset'.
"""

import io
import sys

import keras
import numpy as np

from kerasnorm import MisclassifiedImages, PopulationStatistics, Progress, StepDecay, load_data

BATCH = 100


class Slices(keras.utils.PyDataset):
    """Batches of arrays."""

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        super().__init__()
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.x) // BATCH

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        part = slice(index * BATCH, (index + 1) * BATCH)
        return self.x[part], self.y[part]


def dataset(kind: str, x: np.ndarray, y: np.ndarray) -> object:
    if kind == "PyDataset":
        return Slices(x, y)
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices((x, y)).batch(BATCH)


def fit(with_statistics: bool, kind: str) -> tuple[keras.Model, dict, MisclassifiedImages]:
    keras.utils.set_random_seed(0)
    x, y = images[:600], data.y_train[:600]
    x_test, y_test = images[600:900], data.y_train[600:900]
    if kind == "arrays":
        calibration = PopulationStatistics(x[:200], batch_size=BATCH)
        wrong = MisclassifiedImages(x_test, y_test)
    else:
        calibration = PopulationStatistics(dataset(kind, x[:200], y[:200]))
        wrong = MisclassifiedImages(dataset(kind, x_test, y_test))
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(4, 5, 3, name="conv"),
            layers.BatchNormalization(momentum=0.9, name="norm"),
            layers.Dropout(0.2),
            layers.Flatten(),
            layers.Dense(10, name="head"),
        ]
    )
    model.compile(
        keras.optimizers.SGD(0.5, momentum=0.8),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    decay = StepDecay(0.05, step_size=1, gamma=0.5, rescale_velocity=True)
    callbacks = [decay, *([calibration] if with_statistics else []), wrong, Progress(["accuracy"], terminal)]
    fitted = (x, y) if kind == "arrays" else (dataset(kind, x, y),)
    options = {"batch_size": BATCH} if kind == "arrays" else {}
    history = model.fit(
        *fitted,
        epochs=3,
        validation_data=(x_test, y_test) if kind == "arrays" else dataset(kind, x_test, y_test),
        callbacks=callbacks,
        shuffle=False,
        verbose=0,
        **options,
    ).history
    return model, history, wrong


kind = sys.argv[1]
terminal = io.StringIO()
terminal.isatty = lambda: True  # type: ignore[method-assign]
data = load_data("digits")
images = data.x_train.astype("float32")

stock, plain, _ = fit(False, kind)
model, history, wrong = fit(True, kind)
assert history["learning_rate"] == [0.05, 0.025, 0.0125]
assert plain["loss"] == history["loss"], "the statistics have changed the training"
for a, b in zip(stock.trainable_variables, model.trainable_variables, strict=True):
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(a), keras.ops.convert_to_numpy(b))

conv = keras.Model(model.inputs, model.get_layer("conv").output)
values = conv.predict(images[:200], verbose=0).reshape(2, -1, 4)
norm = model.get_layer("norm")
for expected, moving in (
    (values.mean(1).mean(0), norm.moving_mean),
    (values.var(1).mean(0), norm.moving_variance),
):
    np.testing.assert_allclose(keras.ops.convert_to_numpy(moving), expected, rtol=1e-3, atol=1e-5)

predicted = model.predict(images[600:900], verbose=0).argmax(1)
assert wrong.count == int((predicted != data.y_train[600:900]).sum()) > 0
np.testing.assert_array_equal(wrong.images, images[600:900][wrong.indices])
lines = terminal.getvalue().strip("\n").split("\n")[-1].split("\r")
assert lines[1].startswith("epoch 1/3, "), lines[1]
assert " in all: accuracy 0." in lines[-1], lines[-1]
assert lines[-1].endswith("lr 0.0125"), lines[-1]
print(keras.backend.backend(), kind, wrong.count)
