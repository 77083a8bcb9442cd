"""`keras.random` by numbers of another source."""

import threading
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from export.random_numbers import FIXED, fixed_numbers, random_numbers_of

SHAPE = (200, 100)
SEED = keras.random.SeedGenerator(3)

# A call of each function, and its mean and standard deviation. Those of the truncated normal distribution are from its
# density between -2 and 2.
DISTRIBUTIONS: dict[str, tuple[Any, float, float]] = {
    "normal": (lambda r: r.normal(SHAPE, 3.0, 2.0), 3.0, 2.0),
    "uniform": (lambda r: r.uniform(SHAPE, -1.0, 5.0), 2.0, 6 / np.sqrt(12)),
    "truncated_normal": (lambda r: r.truncated_normal(SHAPE, 1.0, 0.5), 1.0, 0.5 * 0.87962566),
    "randint": (lambda r: r.randint(SHAPE, -2, 5), 1.0, 2.0),
    "categorical": (lambda r: r.categorical(np.log([[0.2, 0.8]] * 200), 100), 0.8, 0.4),
    "dropout": (lambda r: r.dropout(ops.ones(SHAPE), 0.2), 1.0, 0.5),
}


def numpy_numbers(kind: Any, shape: Any, dtype: str) -> Any:
    rng = np.random.default_rng(0)
    return ops.convert_to_tensor((rng.normal if kind == "normal" else rng.uniform)(size=shape), dtype)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_distribution(name: str) -> None:
    call, mean, deviation = DISTRIBUTIONS[name]
    own = np.asarray(call(keras.random))
    with random_numbers_of(numpy_numbers):
        ours = np.asarray(call(keras.random))
    assert (ours.shape, ours.dtype) == (own.shape, own.dtype)
    # 20,000 numbers: five standard errors of the mean.
    np.testing.assert_allclose(ours.mean(), mean, rtol=0, atol=5 * deviation / np.sqrt(ours.size))
    np.testing.assert_allclose(ours.std(), deviation, rtol=0.03, atol=0)
    np.testing.assert_allclose([ours.min(), ours.max()], [own.min(), own.max()], rtol=0, atol=2)


def test_integers_stay_below_the_upper_bound() -> None:
    with random_numbers_of(lambda kind, shape, dtype: ops.full(shape, 1 - 2**-24, dtype)):
        assert np.asarray(keras.random.randint((2,), 0, 2**24)).max() == 2**24 - 1
        assert np.asarray(keras.random.randint((2,), 5, 6)).tolist() == [5, 5]


def test_shuffle_keeps_all() -> None:
    x = np.arange(12).reshape(4, 3)
    with random_numbers_of(numpy_numbers):
        for axis in (0, 1):
            y = np.asarray(keras.random.shuffle(ops.convert_to_tensor(x), axis=axis))
            np.testing.assert_array_equal(np.sort(y, axis), np.sort(x, axis))


def test_fixed_numbers() -> None:
    with random_numbers_of(fixed_numbers()):
        np.testing.assert_array_equal(keras.random.normal((2,), seed=SEED), [FIXED["normal"]] * 2)
        np.testing.assert_array_equal(keras.random.uniform((2,)), [FIXED["uniform"]] * 2)
    with random_numbers_of(fixed_numbers("float64")):
        assert np.asarray(keras.random.normal((2,), dtype="float32")).dtype == np.float64
    assert len(set(np.asarray(keras.random.normal((2,), seed=SEED)))) == 2


def test_fixed_seed_keeps_keras_numbers() -> None:
    own = np.asarray(keras.random.normal((3,), seed=7))
    with random_numbers_of(fixed_numbers()):
        np.testing.assert_array_equal(keras.random.normal((3,), seed=7), own)


def test_other_threads_keep_keras_functions() -> None:
    found = []
    with random_numbers_of(fixed_numbers()):
        thread = threading.Thread(target=lambda: found.append(np.asarray(keras.random.normal((9,)))))
        thread.start()
        thread.join()
    assert len(set(found[0])) == 9


def test_other_distributions_are_unsupported() -> None:
    with (
        random_numbers_of(fixed_numbers()),
        pytest.raises(ValueError, match="normal and the uniform distribution"),
    ):
        keras.random.gamma((3,), 1.0)
