"""Which models speed_up changes, and what it leaves in them."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasnorm import build_cnn
from kerasnorm.speed import restore, speed_up

from .helpers import images, is_fast, residual, twins


def test_subclassed_layer_keeps_its_call() -> None:
    class Mine(keras.layers.BatchNormalization):
        pass

    inputs = keras.Input((6, 6, 4))
    assert not is_fast(speed_up(keras.Model(inputs, Mine()(inputs)), 2))


def test_sequential_model() -> None:
    model = keras.Sequential([keras.Input((6, 6, 4)), keras.layers.GroupNormalization(2)])
    x = np.random.default_rng(0).normal(size=(5, 6, 6, 4)).astype("float32")
    expected = np.asarray(model(x))
    speed_up(model, 2)
    assert "call" in vars(model)
    np.testing.assert_allclose(model(x), expected, rtol=1e-4, atol=1e-5)


def test_subclassed_model_runs_whole_with_fast_layers() -> None:
    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.norm = keras.layers.GroupNormalization(2)

        def call(self, inputs: Any) -> Any:
            return self.norm(inputs)

    model = Own()
    x = np.random.default_rng(0).normal(size=(5, 6, 6, 4)).astype("float32")
    expected = np.asarray(model(x))
    speed_up(model, 2)
    assert "call" not in vars(model)
    assert "call" in vars(model.norm)
    np.testing.assert_allclose(model(x), expected, rtol=1e-4, atol=1e-5)


def test_saved_model_is_stock(tmp_path: Path) -> None:
    stock, fast = twins(residual("gn"))
    speed_up(fast, 2).save(tmp_path / "fast.keras")
    loaded = keras.models.load_model(tmp_path / "fast.keras")
    assert not is_fast(loaded)
    assert [type(layer) for layer in loaded.layers] == [type(layer) for layer in stock.layers]
    x, _ = images((4, 10, 9, 3))
    np.testing.assert_allclose(loaded(x), stock(x), rtol=1e-5, atol=1e-6)


def test_restore_undoes_speed_up() -> None:
    stock, fast = twins(residual("gn"))
    assert is_fast(speed_up(fast, 2))
    assert not is_fast(restore(fast))
    assert not is_fast(restore(stock))
    x, _ = images((4, 10, 9, 3))
    np.testing.assert_array_equal(fast(x, training=True), stock(x, training=True))


def test_restore_keeps_a_call_that_someone_else_replaced() -> None:
    layer = keras.layers.Rescaling(2.0)
    inputs = keras.Input((3,))
    model = keras.Model(inputs, layer(inputs))
    layer.call = lambda inputs: inputs
    restore(speed_up(model, 2))
    assert "call" in vars(layer)


def test_gpu_or_other_backend_keeps_stock_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["GPU:0"] if kind == "GPU" else [])
    assert not is_fast(speed_up(build_cnn("bn"), 2))
    monkeypatch.undo()
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    assert not is_fast(speed_up(build_cnn("bn"), 2))


def test_parts_below_one_are_rejected() -> None:
    with pytest.raises(ValueError, match="parts: expected 1 or more, got 0"):
        speed_up(build_cnn("bn"), 0)
