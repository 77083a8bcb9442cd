import keras
import numpy as np
import pytest

from kerasnorm import StepDecay, step_decay


def linear_model(optimizer: keras.optimizers.Optimizer, seed: int = 0) -> keras.Model:
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, use_bias=False)])
    model.compile(optimizer, "mse")
    return model


X = np.random.default_rng(0).normal(size=(32, 3)).astype("float32")
Y = X @ np.array([[1.0], [-2.0], [0.5]], "float32")


def fit(model: keras.Model, callback: keras.callbacks.Callback, epochs: int, initial_epoch: int = 0) -> dict:
    return model.fit(
        X, Y, 8, epochs, initial_epoch=initial_epoch, callbacks=[callback], shuffle=False, verbose=0
    ).history


def test_step_decay_has_exact_values() -> None:
    rates = [step_decay(epoch, 0.025, 6, 0.1) for epoch in range(25)]
    assert rates[:6] == [0.025] * 6
    assert rates[6:12] == [0.025 * 0.1] * 6
    assert rates[12:18] == [0.025 * 0.1**2] * 6
    assert rates[24] == 0.025 * 0.1**4
    assert [step_decay(epoch, 0.025, 0, 0.1) for epoch in (0, 100)] == [0.025, 0.025]


def test_training_logs_the_schedule() -> None:
    decay = StepDecay(0.05, step_size=2, gamma=0.5)
    assert decay.schedule(5) == [0.05, 0.05, 0.025, 0.025, 0.0125]
    model = linear_model(keras.optimizers.SGD(0.9))
    assert fit(model, decay, 5)["learning_rate"] == decay.schedule(5)
    assert float(model.optimizer.learning_rate) == np.float32(0.0125)


@pytest.mark.parametrize("rescale", [False, True])
@pytest.mark.parametrize("split", [1, 2, 3])
def test_a_resumed_run_gives_the_same_weights(tmp_path, rescale: bool, split: int) -> None:  # type: ignore[no-untyped-def]
    def decay() -> StepDecay:
        return StepDecay(0.05, step_size=2, gamma=0.1, rescale_velocity=rescale)

    whole = linear_model(keras.optimizers.SGD(0.05, momentum=0.8))
    fit(whole, decay(), 5)
    part = linear_model(keras.optimizers.SGD(0.05, momentum=0.8))
    fit(part, decay(), split)
    part.save(tmp_path / "part.keras")
    part = keras.models.load_model(tmp_path / "part.keras")
    rates = fit(part, decay(), 5, initial_epoch=split)["learning_rate"]
    assert rates == decay().schedule(5)[split:]
    np.testing.assert_array_equal(part.get_weights()[0], whole.get_weights()[0])


@pytest.mark.parametrize("rescale", [False, True])
def test_rescaled_velocity_gives_the_steps_of_pytorch(rescale: bool) -> None:
    model = linear_model(keras.optimizers.SGD(0.05, momentum=0.8))
    w = model.get_weights()[0].astype("float64")
    fit(model, StepDecay(0.05, step_size=1, gamma=0.1, rescale_velocity=rescale), 3)
    velocity = np.zeros_like(w)
    for epoch in range(3):
        for start in range(0, 32, 8):
            x, y = X[start : start + 8].astype("float64"), Y[start : start + 8]
            velocity = 0.8 * velocity + 2 * x.T @ (x @ w - y) / 8  # PyTorch: v = m v + g
            w = w - step_decay(epoch, 0.05, 1, 0.1) * velocity  # w -= lr v
    same = np.allclose(model.get_weights()[0], w, rtol=1e-5, atol=1e-6)
    assert same == rescale


def test_wrong_arguments_and_optimizers_of_step_decay_raise() -> None:
    with pytest.raises(ValueError, match="initial_lr: expected more than 0, got -1"):
        StepDecay(-1)
    with pytest.raises(ValueError, match="step_size: expected a whole number"):
        StepDecay(0.1, step_size=-1)
    with pytest.raises(ValueError, match="gamma: expected 0 < gamma <= 1, got 2"):
        StepDecay(0.1, gamma=2)
    with pytest.raises(ValueError, match=r"rescale_velocity: expected keras.optimizers.SGD, got Adam"):
        fit(linear_model(keras.optimizers.Adam()), StepDecay(0.1, rescale_velocity=True), 1)
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)
    with pytest.raises(ValueError, match="got a ExponentialDecay; use only one"):
        fit(linear_model(keras.optimizers.SGD(schedule)), StepDecay(0.1), 1)


def test_an_optimizer_of_several_is_refused_before_the_first_step() -> None:
    multi = pytest.importorskip("keras").optimizers
    if not hasattr(multi, "MultiOptimizer"):
        pytest.skip("this Keras has no MultiOptimizer")
    inner = multi.OptimizerMap(keras.optimizers.SGD(0.1), {".*bias": keras.optimizers.SGD(0.2)})
    model = linear_model(multi.MultiOptimizer(inner))
    before = model.get_weights()[0]
    with pytest.raises(
        ValueError, match="StepDecay: expected one optimizer, got a MultiOptimizer of several"
    ):
        fit(model, StepDecay(0.1), 1)
    np.testing.assert_array_equal(model.get_weights()[0], before)


@pytest.mark.parametrize("scaled", [False, True])
def test_mixed_precision_takes_the_same_steps(scaled: bool) -> None:
    """The loss scale is a power of two, so it changes no bits here."""
    sgd = keras.optimizers.SGD(0.9, momentum=0.8)
    model = linear_model(keras.optimizers.LossScaleOptimizer(sgd, initial_scale=2.0) if scaled else sgd)
    history = fit(model, StepDecay(0.05, step_size=1, gamma=0.1, rescale_velocity=True), 3)
    plain = linear_model(keras.optimizers.SGD(0.9, momentum=0.8))
    fit(plain, StepDecay(0.05, step_size=1, gamma=0.1, rescale_velocity=True), 3)
    np.testing.assert_array_equal(model.get_weights()[0], plain.get_weights()[0])
    assert history["learning_rate"] == StepDecay(0.05, 1, 0.1).schedule(3)


class SetRate(keras.callbacks.Callback):
    """Set the learning rate at the end of a batch, or at the end of an epoch."""

    def __init__(self, rate: float, each: str) -> None:
        super().__init__()
        self.rate, self.each = rate, each

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        if self.each == "batch":
            self.model.optimizer.learning_rate = self.rate

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        if self.each == "epoch":
            self.model.optimizer.learning_rate = self.rate


def test_the_rate_that_was_in_force_is_logged() -> None:
    for each, rates in (("batch", [0.125, 0.125]), ("epoch", [0.05, 0.025])):
        model = linear_model(keras.optimizers.SGD(0.9))
        callbacks = [SetRate(0.125, each), StepDecay(0.05, step_size=1, gamma=0.5)]
        assert model.fit(X, Y, 8, 2, callbacks=callbacks, verbose=0).history["learning_rate"] == rates
