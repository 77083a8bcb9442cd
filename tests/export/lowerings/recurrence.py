"""What the tests of recurrent layers share."""

from typing import Any

import keras
import numpy as np

from export.convert import Conversion, Options, convert
from export.parity import check_parity

L = keras.layers
UNITS = 3
RECURRENT = {"LSTM": L.LSTM, "GRU": L.GRU, "SimpleRNN": L.SimpleRNN}


def series(length: int | None = 6, batch: int | None = None) -> Any:
    """A series of 5 numbers."""
    return keras.Input((length, 5), batch_size=batch)


def ids() -> Any:
    """Ids of which 0 is padding."""
    return keras.Input((6,), dtype="int32")


def words(x: Any) -> Any:
    return L.Embedding(6, 4, mask_zero=True)(x)


def masks(seed: int = 0, rows: int = 24, length: int = 6) -> np.ndarray:
    """Masks of every kind: holes, padding at either end, all steps, and none."""
    found = np.random.default_rng(seed).random((rows, length)) < 0.5
    found[0], found[1], found[2], found[3] = True, False, np.arange(length) < 2, np.arange(length) >= 4
    return found


def numbers(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def exact(inputs: Any, outputs: Any, data: list[np.ndarray] | None = None) -> Conversion:
    """Convert a model with random weights by the direct route and compare it with Keras."""
    model = keras.Model(inputs, outputs)
    rng = np.random.default_rng(2)
    for weight in model.weights:
        low, high = (0.5, 2) if "variance" in weight.name else (-1, 1)
        if "float" in str(weight.dtype):
            weight.assign(rng.uniform(low, high, weight.shape))
    conversion = convert(model, Options(route="direct"))
    parity = check_parity(model, conversion, data=data, batches=(1, 3), quick=True)
    assert parity.passed, parity.table()
    return conversion
