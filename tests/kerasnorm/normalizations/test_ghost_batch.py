"""GhostBatchNormalization: each ghost batch, the moving averages of the paper, the stock form and files."""

from pathlib import Path

import keras
import numpy as np
import pytest

from kerasnorm import PopulationStatistics
from kerasnorm.normalizations import GhostBatchNormalization
from tests.kerasnorm.normalizations.layers import images, randomized, saved_and_loaded


@pytest.mark.parametrize(
    ("batch", "sizes"),
    [(12, [4, 4, 4]), (4, [4]), (3, [3]), (7, [7]), (11, [6, 5]), (14, [5, 5, 4]), (1, [1])],
)
@pytest.mark.parametrize("axis", [-1, 1])
def test_each_ghost_batch_is_normalized_as_a_batch(batch: int, sizes: list[int], axis: int) -> None:
    layer = GhostBatchNormalization(4, axis=axis, epsilon=1e-3, dtype="float64")
    bn = keras.layers.BatchNormalization(axis=axis, epsilon=1e-3, dtype="float64")
    x = images(batch, 5, 2, 3)
    x = np.moveaxis(x, -1, axis)
    for one in (layer, bn):
        one.build(x.shape)
        one.gamma.assign([1.5, 0.5, -2.0])
        one.beta.assign([0.25, 1.0, -1.0])
    assert sum(sizes) == batch
    parts = np.split(x, np.cumsum(sizes)[:-1])
    expected = np.concatenate([np.asarray(bn(part, training=True)) for part in parts])
    np.testing.assert_allclose(layer(x, training=True), expected, rtol=1e-9, atol=1e-9)


def test_moving_averages_take_a_step_for_each_ghost_batch() -> None:
    layer = randomized(GhostBatchNormalization(4, momentum=0.8, epsilon=1e-3, dtype="float64"), 3)
    mean, deviation = np.asarray(layer.moving_mean), np.sqrt(np.asarray(layer.moving_variance) + 1e-3)
    for seed in (1, 2):
        x = images(12, 5, 2, 3, seed=seed)
        layer(x, training=True)
        for ghost in np.split(x, 3):
            mean = 0.8 * mean + 0.2 * ghost.mean((0, 1, 2))
            deviation = 0.8 * deviation + 0.2 * np.sqrt(ghost.var((0, 1, 2)) + 1e-3)
    np.testing.assert_allclose(layer.moving_mean, mean, rtol=1e-12, atol=0)
    np.testing.assert_allclose(layer.moving_variance, deviation**2 - 1e-3, rtol=1e-9, atol=0)

    gamma, beta = np.asarray(layer.gamma), np.asarray(layer.beta)
    expected = (x - mean) / deviation * gamma + beta
    np.testing.assert_allclose(layer(x), expected, rtol=1e-9, atol=1e-9)
    layer.trainable = False
    np.testing.assert_allclose(layer(x, training=True), expected, rtol=1e-9, atol=1e-9)


def test_a_graph_of_any_batch_size_and_a_whole_batch() -> None:
    layer = GhostBatchNormalization(4)
    model = keras.Sequential([keras.Input((6, 6, 2)), layer, keras.layers.Flatten(), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    x = images(22, 6, 6, 2)
    model.fit(x, np.ones(22), batch_size=9, verbose=0)  # two batches of 9 and one of 4
    assert np.isfinite(np.concatenate([np.ravel(weight) for weight in model.get_weights()])).all()
    assert model(x[:3]).shape == (3, 1)


def test_population_statistics_are_means_over_the_ghost_batches() -> None:
    layer = GhostBatchNormalization(4, epsilon=1e-3)
    model = keras.Sequential([keras.Input((6, 6, 2)), layer])
    x = images(16, 6, 6, 2).astype("float32")
    PopulationStatistics(x, batch_size=8).compute(model)
    np.testing.assert_allclose(layer.moving_mean, x.mean((0, 1, 2)), rtol=1e-5, atol=1e-6)
    halves = [
        np.mean([np.sqrt(ghost.var((0, 1, 2)) + 1e-3) for ghost in np.split(half, 2)], axis=0)
        for half in np.split(x, 2)
    ]
    np.testing.assert_allclose(layer.moving_variance, np.mean(np.square(halves), 0) - 1e-3, rtol=1e-4, atol=0)


def test_stock_form_and_file(tmp_path: Path) -> None:
    layer = randomized(GhostBatchNormalization(4, momentum=0.7, epsilon=1e-4, gamma_regularizer="l2"), 3)
    (stock,) = layer.stock_layers()
    assert type(stock) is keras.layers.BatchNormalization
    assert stock.name == layer.name
    x = images(5, 4, 4, 3).astype("float32")
    np.testing.assert_array_equal(stock(x), layer(x))
    loaded = saved_and_loaded(layer, (4, 4, 3), tmp_path)
    np.testing.assert_array_equal(loaded(x, training=True), layer(x, training=True))


def test_wrong_arguments_raise() -> None:
    with pytest.raises(ValueError, match="ghost_batch_size: expected 1 or more, got 0"):
        GhostBatchNormalization(0)
    with pytest.raises(ValueError, match="GhostBatchNormalization: expected synchronized=False, got True"):
        GhostBatchNormalization(synchronized=True)
    with pytest.raises(ValueError, match="expected an axis of channels, got 0, the batch"):
        GhostBatchNormalization(axis=0).build((4, 4, 3))
