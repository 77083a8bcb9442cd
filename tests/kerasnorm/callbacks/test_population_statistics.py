import inspect

import keras
import numpy as np
import pytest

from kerasnorm import PopulationStatistics, restore, speed_up
from kerasnorm.normalizations import BatchRenormalization
from tests.kerasnorm.callbacks.test_step_decay import X, Y, linear_model


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


def norm_model(seed: int = 0, dropout: float = 0.5, **options: object) -> keras.Model:
    """Dense, BatchNormalization, dropout, Dense."""
    keras.utils.set_random_seed(seed)
    layers = [keras.layers.Dense(4), keras.layers.BatchNormalization(name="norm", **options)]
    model = keras.Sequential(
        [keras.Input((3,)), *layers, keras.layers.Dropout(dropout), keras.layers.Dense(1)]
    )
    model.compile(keras.optimizers.SGD(0.01), "mse")
    return model


def hidden(model: keras.Model) -> np.ndarray:
    kernel, bias = (np.asarray(weight) for weight in model.layers[0].weights)
    return X @ kernel + bias


def assert_population(model: keras.Model, batches: list[slice], atol: float = 1e-5) -> None:
    """The norm has the mean over batches of the means and of the variances, weighted by their size."""
    values, norm = [hidden(model)[batch] for batch in batches], model.get_layer("norm")
    weights = [len(value) for value in values]
    for moment, moving in ((np.mean, norm.moving_mean), (np.var, norm.moving_variance)):
        expected = np.average([moment(value, axis=0) for value in values], axis=0, weights=weights)
        np.testing.assert_allclose(moving, expected, rtol=1e-4, atol=atol)


HALVES = [slice(0, 16), slice(16, 32)]


class Halves(keras.utils.PyDataset):
    """The images in two batches."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return X[HALVES[index]], Y[HALVES[index]]


@pytest.mark.parametrize(
    "kind", ["array", "tensor", "list", "tf.data", "tf.data without labels", "PyDataset"]
)
def test_population_statistics_take_any_data(kind: str) -> None:
    import tensorflow as tf

    pairs = tf.data.Dataset.from_tensor_slices((X, Y))
    x = {
        "array": X.astype("float64"),
        "tensor": tf.constant(X),
        "list": X.tolist(),
        "tf.data": pairs.batch(16),
        "tf.data without labels": pairs.map(lambda x, y: x).batch(16),
        "PyDataset": Halves(),
    }[kind]
    model = norm_model()
    PopulationStatistics(x, batch_size=16).compute(model)
    assert_population(model, HALVES)


def test_batches_of_a_dataset_are_weighted_by_their_size() -> None:
    import tensorflow as tf

    model = norm_model()
    PopulationStatistics(tf.data.Dataset.from_tensor_slices(X).batch(20)).compute(model)
    assert_population(model, [slice(0, 20), slice(20, 32)])
    with pytest.raises(ValueError, match="expected images, got none"):
        PopulationStatistics(tf.data.Dataset.from_tensor_slices(X).take(0)).compute(model)


@pytest.mark.parametrize("as_dict", [False, True])
def test_population_statistics_of_several_inputs(as_dict: bool) -> None:
    inputs = {name: keras.Input((3,), name=name) for name in ("a", "b")}
    norm = keras.layers.BatchNormalization()
    both = keras.layers.Concatenate()(list(inputs.values()))
    model = keras.Model(inputs if as_dict else list(inputs.values()), norm(both))
    x = {"b": 2 * X, "a": X} if as_dict else [X, 2 * X]
    PopulationStatistics(x).compute(model)
    expected = np.concatenate([X, 2 * X], axis=1)
    np.testing.assert_allclose(norm.moving_mean, expected.mean(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(norm.moving_variance, expected.var(0), rtol=1e-4, atol=1e-5)


def test_a_layer_that_is_called_twice_has_the_mean_over_its_calls() -> None:
    x, norm = keras.Input((3,)), keras.layers.BatchNormalization()
    model = keras.Model(x, keras.layers.Add()([norm(x), norm(keras.layers.Rescaling(3.0, 1.0)(x))]))
    PopulationStatistics(X, batch_size=16).compute(model)
    calls = [values for half in HALVES for values in (X[half], 3 * X[half] + 1)]
    np.testing.assert_allclose(norm.moving_mean, np.mean([c.mean(0) for c in calls], 0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        norm.moving_variance, np.mean([c.var(0) for c in calls], 0), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("options", [{"renorm": True}, {"synchronized": True}], ids=str)
def test_population_statistics_of_variants(options: dict[str, bool]) -> None:
    try:
        model = norm_model(**options)
    except (TypeError, ValueError):
        pytest.skip("this Keras has no such layer")
    kept = [np.array(weight) for weight in model.get_layer("norm").weights if "renorm" in weight.name]
    PopulationStatistics(X, batch_size=16).compute(model)
    assert_population(model, HALVES)
    after = [np.array(weight) for weight in model.get_layer("norm").weights if "renorm" in weight.name]
    for old, new in zip(kept, after, strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("variant", ["BatchRenormalization", "renorm"])
def test_renormalization_has_the_statistics_of_batch_normalization(variant: str) -> None:
    """In deeper layers too, whatever the moving averages are; so a second time changes nothing."""
    stock = keras.layers.BatchNormalization
    if variant == "renorm":
        if "renorm" not in inspect.signature(stock).parameters:
            pytest.skip("this Keras has no renorm")
        clipping = {"rmax": 3.0, "rmin": 0.1, "dmax": 5.0}
        layers = [stock(renorm=True, renorm_clipping=clipping) for _ in range(2)]
    else:
        layers = [BatchRenormalization(warmup=0, r_steps=0, d_steps=0) for _ in range(2)]
    model = two_norms(layers)
    model.compile(keras.optimizers.SGD(0.01), "mse")
    model.fit(X, X, 8, 3, verbose=0)  # after which the averages are still close to the initial ones
    expected = [stock(), stock()]
    other = two_norms(expected)
    for theirs, ours in zip(expected, layers, strict=True):
        theirs.gamma.assign(ours.gamma)
        theirs.beta.assign(ours.beta)
    statistics = PopulationStatistics(X, batch_size=16)
    statistics.compute(other)
    settings = [layer.get_config() for layer in layers]
    first: list[np.ndarray] = []
    for _ in range(2):
        statistics.compute(model)
        for theirs, ours in zip(expected, layers, strict=True):
            np.testing.assert_allclose(ours.moving_mean, theirs.moving_mean, rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(ours.moving_variance, theirs.moving_variance, rtol=1e-5, atol=1e-6)
        first = first or model.get_weights()
    for a, b in zip(first, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert [layer.get_config() for layer in layers] == settings


def two_norms(norms: list[keras.layers.BatchNormalization]) -> keras.Model:
    return keras.Sequential([keras.Input((3,)), norms[0], keras.layers.ReLU(), norms[1]])


def test_a_frozen_layer_stays_unchanged() -> None:
    model = norm_model()
    model.get_layer("norm").trainable = False
    before = model.get_weights()
    PopulationStatistics(X).compute(model)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("compiled_before", [False, True])
def test_a_compiled_call_is_refused(compiled_before: bool) -> None:
    import tensorflow as tf

    class Compiled(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.norm = keras.layers.BatchNormalization()

        @tf.function
        def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
            return self.norm(x, training=training)

    model = Compiled()
    model(X)
    if compiled_before:
        model(X, training=True)
    before = model.get_weights()
    with pytest.raises(ValueError, match="whose compiled call hides the statistics of layer"):
        PopulationStatistics(X).compute(model)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert model.norm.momentum == 0.99


@pytest.mark.parametrize("validation", [False, True])
def test_after_training_they_are_those_of_the_final_weights(validation: bool) -> None:
    model = norm_model()
    model.fit(
        X,
        Y,
        8,
        3,
        validation_data=(X, Y) if validation else None,
        callbacks=[PopulationStatistics(X, batch_size=16)],
        verbose=0,
    )
    assert_population(model, HALVES)


@pytest.mark.parametrize("renorm", [False, True])
def test_training_is_the_same_with_and_without(renorm: bool) -> None:
    """Dropout draws the same masks, and renormalization uses the same averages."""
    averages: list[list[np.ndarray]] = [[], []]
    models = []
    for with_statistics in (False, True):
        try:
            model = norm_model(**({"renorm": True} if renorm else {}))
        except (TypeError, ValueError):
            pytest.skip("this Keras has no renorm")
        seen = averages[with_statistics]
        note = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs, model=model, seen=seen: seen.append(
                np.array(model.get_layer("norm").moving_mean)
            )
        )
        callbacks = [note, *([PopulationStatistics(X, batch_size=16)] if with_statistics else [])]
        model.fit(X, Y, 8, 3, validation_data=(X, Y), callbacks=callbacks, shuffle=False, verbose=0)
        models.append(model)
    for a, b in zip(*averages, strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(models[0].trainable_variables, models[1].trainable_variables, strict=True):
        np.testing.assert_array_equal(a, b)
