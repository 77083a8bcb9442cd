"""Random models of many kinds compute the same after `speed_up`, whatever of it applies to them."""

import keras
import numpy as np
import pytest

from kerasnorm.speed import speed_report, speed_up

from .helpers import as_numpy, assert_same, outcome
from .random_models import RandomModel

_COUNT, _DEFAULT = 240, 8
_SEEDS = [
    pytest.param(seed, marks=[] if seed < _DEFAULT else [pytest.mark.slow], id=str(seed))
    for seed in range(_COUNT)
]


@pytest.mark.parametrize("seed", _SEEDS)
def test_random_model_equals_stock(seed: int) -> None:
    draw = RandomModel(seed)
    stock, fast = draw.build(), RandomModel(seed).build()
    fast.set_weights(stock.get_weights())
    for ours, theirs in zip(fast.layers, stock.layers, strict=True):
        ours.trainable = theirs.trainable
    speed_up(fast, draw.parts)
    inputs = draw.inputs(stock)
    rounding = 2e-3 if draw.policy in ("float32", "float64") else 5e-2
    for training in (True, None):
        expected = outcome(stock, inputs, training, draw.dynamic)
        assert_same(outcome(fast, inputs, training, draw.dynamic), expected, rounding)
    in_inference = keras.tree.flatten(fast(inputs, training=False))
    for got, expected in zip(in_inference, keras.tree.flatten(stock(inputs, training=False)), strict=True):
        np.testing.assert_allclose(as_numpy(got), as_numpy(expected), rtol=rounding, atol=rounding)


def test_random_models_are_of_both_kinds() -> None:
    reports = []
    for seed in range(20):
        draw = RandomModel(seed)
        reports.append(speed_report(speed_up(draw.build(), draw.parts)))
    in_parts = [report.parts > 1 for report in reports]
    assert min(sum(in_parts), len(reports) - sum(in_parts)) >= 5
    assert sum(any(layer.fast for layer in report.layers) for report in reports) >= 10
