import itertools

import numpy as np
import pytest
import tensorflow as tf

from kerasnorm.callbacks.batches import Batches, size

X = np.arange(10, dtype="float32").reshape(5, 2)


def test_batches_of_arrays_keep_their_structure() -> None:
    found = list(Batches({"a": X, "b": X.tolist()}, [0, 1, 2, 3, 4], batch_size=2, name="it"))
    assert [size(x) for x, _ in found] == [2, 2, 1]
    np.testing.assert_array_equal(np.concatenate([x["b"] for x, _ in found]), X)
    assert np.concatenate([y for _, y in found]).tolist() == [0, 1, 2, 3, 4]
    ((x, y),) = Batches([X, tf.constant(X)], batch_size=9, name="it")
    assert [type(part) for part in x] == [np.ndarray, np.ndarray]
    assert y is None


def test_batches_of_datasets_can_be_read_again() -> None:
    data = tf.data.Dataset.from_tensor_slices((X, X[:, 0])).batch(2)
    for dataset in (data, data.map(lambda x, y: (x, y, y)), data.as_numpy_iterator):
        batches = Batches(dataset, batch_size=1, name="it") if not callable(dataset) else Batches(
            _Again(dataset), batch_size=1, name="it"
        )  # fmt: skip
        for _ in range(2):
            assert [(size(x), len(y)) for x, y in batches] == [(2, 2), (2, 2), (1, 1)]
    ((x, y),) = Batches(tf.data.Dataset.from_tensors(X), batch_size=1, name="it")
    assert size(x) == 5
    assert y is None


class _Again:
    def __init__(self, make) -> None:  # type: ignore[no-untyped-def]
        self.make = make

    def __iter__(self):  # type: ignore[no-untyped-def]
        return self.make()


def test_unusable_data_raises() -> None:
    with pytest.raises(ValueError, match="batch_size: expected 1 or more, got 0"):
        Batches(X, batch_size=0, name="it")
    with pytest.raises(ValueError, match="it: expected images, got none"):
        Batches(X[:0], batch_size=1, name="it")
    with pytest.raises(
        ValueError, match=r"it: expected inputs of one length, got shapes \[\(5, 2\), \(4, 2\)\]"
    ):
        Batches([X, X[1:]], batch_size=1, name="it")
    with pytest.raises(
        ValueError, match="it: expected arrays or a dataset that can be read more than once, got count"
    ):
        Batches(itertools.count(), batch_size=1, name="it")
    with pytest.raises(ValueError, match="it: expected a finite dataset, got an endless one"):
        Batches(tf.data.Dataset.from_tensors(X).repeat(), batch_size=1, name="it")
    with pytest.raises(ValueError, match="it: expected no y beside a dataset"):
        Batches(tf.data.Dataset.from_tensors(X), X, batch_size=1, name="it")
