import keras
import numpy as np
import pytest

from kerasnorm import MisclassifiedImages, PopulationStatistics, StepDecay, restore, speed_up, step_decay


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
    with pytest.raises(ValueError, match="got a LearningRateSchedule"):
        fit(linear_model(keras.optimizers.SGD(schedule)), StepDecay(0.1), 1)


def identity_model() -> keras.Model:
    """A 'classifier' whose logits are its input, so that a test chooses its predictions."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.Activation("linear")])
    model.compile(keras.optimizers.SGD(0.0), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def test_misclassified_images_of_a_fit() -> None:
    predicted = np.array([0, 1, 2, 3, 0, 1, 2])
    labels = np.array([0, 2, 2, 1, 0, 1, 3])
    x = np.eye(4, dtype="float32")[predicted] * 5 + np.arange(7, dtype="float32")[:, None]
    for batch_size in (2, 100):
        wrong = MisclassifiedImages(x, labels, batch_size=batch_size)
        identity_model().fit(x, labels, epochs=2, callbacks=[wrong], verbose=0)
        assert wrong.count == 3
        np.testing.assert_array_equal(wrong.indices, [1, 3, 6])
        np.testing.assert_array_equal(wrong.predicted, [1, 3, 2])
        np.testing.assert_array_equal(wrong.actual, [2, 1, 3])
        np.testing.assert_array_equal(wrong.images, x[[1, 3, 6]])


@pytest.mark.parametrize("form", ["column", "one-hot"])
def test_misclassified_images_takes_columns_and_one_hot_labels(form: str) -> None:
    labels = np.array([0, 1, 3, 3])
    x: np.ndarray = np.eye(4, dtype="float32")
    y = labels[:, None] if form == "column" else np.eye(4)[labels]
    wrong = MisclassifiedImages(x, y)
    wrong.collect(identity_model())
    assert (wrong.count, wrong.predicted.tolist(), wrong.actual.tolist()) == (1, [2], [3])


def test_misclassified_images_keeps_at_most_limit_images() -> None:
    x = np.tile(np.eye(4, dtype="float32")[0], (1000, 1))
    wrong = MisclassifiedImages(x, np.ones(1000, int), limit=7, batch_size=64)
    wrong.collect(identity_model())
    assert wrong.count == 1000
    assert wrong.images.shape == (7, 4)
    wrong.collect(identity_model())
    assert wrong.count == 1000


def test_misclassified_images_of_a_sigmoid() -> None:
    model = keras.Sequential([keras.Input((1,)), keras.layers.Activation("sigmoid")])
    wrong = MisclassifiedImages(np.array([[-3.0], [3.0], [-3.0]], "float32"), np.array([0, 1, 1]))
    wrong.collect(model)
    assert (wrong.predicted.tolist(), wrong.actual.tolist()) == ([0], [1])


def test_wrong_arguments_and_models_of_misclassified_images_raise() -> None:
    with pytest.raises(ValueError, match=r"x of shape \(3, 2\) and y of shape \(4,\)"):
        MisclassifiedImages(np.zeros((3, 2)), np.zeros(4))
    with pytest.raises(ValueError, match="limit: expected 1 or more, got 0"):
        MisclassifiedImages(np.zeros((3, 2)), np.zeros(3), limit=0)
    images = keras.Sequential([keras.Input((2, 2, 1)), keras.layers.ReLU()])
    with pytest.raises(ValueError, match="expected a model with one output of shape"):
        MisclassifiedImages(np.zeros((3, 2, 2, 1)), np.zeros(3)).collect(images)


@pytest.mark.parametrize("fast", [False, True], ids=["stock", "fast"])
def test_population_statistics_are_the_mean_of_the_batches(fast: bool) -> None:
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(4), keras.layers.BatchNormalization(momentum=0.9)]
    model = keras.Sequential([keras.Input((3,)), *layers, keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.01), "mse")
    if fast:
        speed_up(model, 1)
    statistics = PopulationStatistics(X[:30], batch_size=10)
    model.fit(X, Y, 8, 3, validation_data=(X, Y), callbacks=[statistics], shuffle=False, verbose=0)
    restore(model)
    hidden = (X[:30] @ np.asarray(layers[0].kernel) + np.asarray(layers[0].bias)).reshape(3, 10, 4)
    np.testing.assert_allclose(layers[1].moving_mean, hidden.mean(1).mean(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layers[1].moving_variance, hidden.var(1).mean(0), rtol=1e-4, atol=1e-5)
    assert layers[1].momentum == 0.9


def test_population_statistics_leave_other_models_unchanged() -> None:
    model = linear_model(keras.optimizers.SGD(0.1))
    before = [np.array(weight) for weight in model.weights]
    PopulationStatistics(X).compute(model)
    for old, new in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(old, new)
    with pytest.raises(ValueError, match="expected images, got none"):
        PopulationStatistics(X[:0])
    with pytest.raises(ValueError, match="batch_size: expected 1 or more, got 0"):
        PopulationStatistics(X, batch_size=0)
