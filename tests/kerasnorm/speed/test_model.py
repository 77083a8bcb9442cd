"""Which models speed_up changes, and what it leaves in them."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasnorm import build_cnn
from kerasnorm.speed import restore, speed_report, speed_up

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


def test_normalization_keeps_a_call_that_someone_else_replaced() -> None:
    layer = keras.layers.BatchNormalization()
    inputs = keras.Input((3,))
    model = keras.Model(inputs, layer(inputs))
    layer.call = lambda inputs, training=None, mask=None: 2 * inputs
    speed_up(model, 2)
    np.testing.assert_array_equal(model(np.ones((4, 3)), training=True), np.full((4, 3), 2.0))


def test_layer_in_a_wrapper_stays_stock() -> None:
    layer = keras.layers.BatchNormalization()
    inputs = keras.Input((2, 3, 4))
    speed_up(keras.Model(inputs, keras.layers.TimeDistributed(layer)(inputs)), 2)
    assert "call" not in vars(layer)


def test_verbose_prints_the_report(capsys: pytest.CaptureFixture[str]) -> None:
    model = speed_up(residual("gn")(), 2, verbose=True)
    assert capsys.readouterr().out == f"{speed_report(model)}\n"
    speed_up(model, 2)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("norm", ["bn", "gn"])
def test_export_to_saved_model_after_fit(norm: str, parts: int, tmp_path: Path) -> None:
    model = speed_up(build_cnn(norm, blocks=1), parts)
    x, y = images((8, 28, 28, 1))
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(x, y, verbose=0)
    expected = model.predict(x, verbose=0)
    model.export(tmp_path / "exported", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "exported")
    np.testing.assert_allclose(loaded.serve(x), expected, rtol=1e-4, atol=1e-5)
    tf.saved_model.save(model, tmp_path / "saved")


@pytest.mark.parametrize("norm", ["bn", "gn"])
def test_saved_training_function_has_its_gradient(norm: str, tmp_path: Path) -> None:
    _, model = twins(lambda: build_cnn(norm, blocks=1, dropout=0.0))
    speed_up(model, 2)

    class Module(tf.Module):
        def __init__(self) -> None:
            self.model = model

        @tf.function(input_signature=[tf.TensorSpec((None, 28, 28, 1), tf.float32)])
        def __call__(self, x: tf.Tensor) -> tf.Tensor:
            return self.model(x, training=True)

    def gradient(function: Any) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(function(x)[:, 0])
        return tape.gradient(loss, x)

    x = tf.constant(images((4, 28, 28, 1))[0])
    module = Module()
    expected = gradient(module)
    tf.saved_model.save(module, tmp_path / "saved")
    np.testing.assert_allclose(
        gradient(tf.saved_model.load(tmp_path / "saved")), expected, rtol=1e-4, atol=1e-7
    )
