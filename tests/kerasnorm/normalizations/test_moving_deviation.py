"""MovingDeviation: BatchNormalization in inference, moving standard deviations, and its stock form."""

import keras
import numpy as np
import pytest

from kerasnorm.normalizations.moving_deviation import MovingDeviation


def built(**options: object) -> MovingDeviation:
    layer = MovingDeviation(epsilon=1e-3, dtype="float64", name="norm0", **options)
    layer.build((None, 4, 3))
    rng = np.random.default_rng(0)
    layer.set_weights([rng.uniform(0.5, 2, 3) for _ in layer.weights])
    return layer


def test_inference_is_that_of_batch_normalization_and_of_the_stock_form() -> None:
    layer = built()
    x = np.random.default_rng(1).normal(size=(2, 4, 3))
    gamma, beta, mean, variance = layer.get_weights()
    want = (x - mean) / np.sqrt(variance + 1e-3) * gamma + beta
    np.testing.assert_allclose(layer(x), want, rtol=1e-12, atol=1e-12)
    (stock,) = layer.stock_layers()
    assert type(stock) is keras.layers.BatchNormalization
    np.testing.assert_array_equal(stock(x), layer(x))


def test_the_moving_deviation_is_kept_as_a_variance() -> None:
    layer = built()
    layer.set_moving(np.array([1.0, 2, 3]), np.array([0.5, 1, 2]))
    mean, deviation = layer.moving("float64")
    np.testing.assert_array_equal(mean, [1, 2, 3])
    np.testing.assert_allclose(deviation, [0.5, 1, 2], rtol=1e-12, atol=0)
    np.testing.assert_allclose(layer.moving_variance, np.array([0.25, 1, 4]) - 1e-3, rtol=1e-12, atol=0)


def test_without_gamma_and_beta() -> None:
    gamma, beta = built(scale=False, center=False).gamma_and_beta("float64")
    np.testing.assert_array_equal(gamma, np.ones(3))
    np.testing.assert_array_equal(beta, np.zeros(3))


@pytest.mark.parametrize("name", ["synchronized", "renorm"])
def test_what_it_can_not_do(name: str) -> None:
    with pytest.raises(ValueError, match=f"expected {name}=False, got True"):
        MovingDeviation(**{name: True})


def test_the_batch_is_no_axis_of_channels() -> None:
    with pytest.raises(ValueError, match="expected an axis of channels, got 0, the batch"):
        MovingDeviation(axis=0).build((None, 3))
