"""Cross-entropies against Keras."""

import numpy as np
import pytest
from keras import layers as L
from keras import ops

from tests.export.helpers import compare, kinds

rng = np.random.default_rng(0)
CLASSES = rng.integers(0, 6, (3, 4)).astype("int32")
TARGETS = np.eye(6, dtype="float32")[CLASSES]
LOGITS = (rng.normal(size=(3, 4, 6)) * 30).astype("float32")
PROBABILITIES = rng.uniform(0, 1, (3, 4, 6)).astype("float32")
PROBABILITIES[0, 0, :2] = 0, 1


@pytest.mark.parametrize("from_logits", [False, True])
def test_losses(from_logits: bool) -> None:
    outputs = LOGITS if from_logits else PROBABILITIES
    compare(
        {
            "binary": lambda t, x: ops.binary_crossentropy(t, x, from_logits=from_logits),
            "categorical": lambda t, x: ops.categorical_crossentropy(t, x, from_logits=from_logits),
        },
        TARGETS,
        outputs,
    )
    compare(
        {
            "sparse": lambda t, x: ops.sparse_categorical_crossentropy(t, x, from_logits=from_logits),
            "axis of size 1": lambda t, x: ops.sparse_categorical_crossentropy(
                t[..., None], x, from_logits=from_logits
            ),
        },
        CLASSES,
        outputs,
    )


def test_probabilities_that_a_softmax_or_sigmoid_made() -> None:
    conversion = compare(
        {
            "binary": lambda t, x: ops.binary_crossentropy(t, ops.sigmoid(x)),
            "categorical": lambda t, x: ops.categorical_crossentropy(t, ops.softmax(x)),
            "layer": lambda t, x: ops.categorical_crossentropy(t, L.Softmax()(x)),
        },
        TARGETS,
        LOGITS,
    )
    assert "Sigmoid" not in kinds(conversion)
    compare({"sparse": lambda t, x: ops.sparse_categorical_crossentropy(t, ops.softmax(x))}, CLASSES, LOGITS)


def test_categorical_along_another_axis() -> None:
    axis = {"axis": lambda t, x: ops.categorical_crossentropy(t, x, from_logits=True, axis=2)}
    compare(axis, TARGETS, LOGITS)
