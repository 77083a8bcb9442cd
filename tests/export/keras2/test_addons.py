from pathlib import Path

import keras
import numpy as np
import pytest

from export.errors import UserError
from export.keras2 import load_model
from export.keras2.addons import InstanceNormalization, WeightNormalization, replace_stand_ins, unknown_names
from tests.export.keras2.helpers import MODELS, check_outputs


def silent(line: str) -> None:
    pass


def weight_normalization(data_init: bool) -> tuple[keras.Model, WeightNormalization]:
    wrapper = WeightNormalization(keras.layers.Dense(3), data_init=data_init, name="wn")
    return keras.Sequential([keras.Input((4,)), wrapper]), wrapper


def test_weight_normalization_is_folded_into_the_kernel() -> None:
    model, wrapper = weight_normalization(data_init=True)
    rng = np.random.default_rng(0)
    v, g, bias = rng.normal(size=(4, 3)), rng.normal(size=3), rng.normal(size=3)
    wrapper.v.assign(v)
    wrapper.g.assign(g)
    wrapper.layer.bias.assign(bias)
    wrapper.initialized.assign(True)
    (dense,) = replace_stand_ins(model, False, silent).layers
    assert (type(dense), dense.name) == (keras.layers.Dense, "wn")
    np.testing.assert_allclose(dense.kernel, v / np.linalg.norm(v, axis=0) * g, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(dense.bias, bias, rtol=1e-6, atol=1e-6)


def test_weight_normalization_that_was_never_called() -> None:
    model, wrapper = weight_normalization(data_init=False)
    (dense,) = replace_stand_ins(model, False, silent).layers
    np.testing.assert_array_equal(dense.kernel, wrapper.v)
    model, _ = weight_normalization(data_init=True)
    with pytest.raises(
        UserError, match="wn: expected a WeightNormalization that has seen data, got one that"
    ):
        replace_stand_ins(model, False, silent)


def test_instance_normalization_has_a_group_for_each_channel() -> None:
    model = keras.Sequential([keras.Input((5, 6, 4)), InstanceNormalization(groups=-1, epsilon=1e-3)])
    new = replace_stand_ins(model, False, silent)
    assert type(new.layers[0]) is keras.layers.GroupNormalization
    x = np.random.default_rng(0).normal(2, 3, (2, 5, 6, 4)).astype(np.float32)
    mean, variance = x.mean(axis=(1, 2), keepdims=True), x.var(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(new(x), (x - mean) / np.sqrt(variance + 1e-3), rtol=1e-4, atol=1e-5)


def test_stand_in_within_a_layer_is_an_error() -> None:
    inner = keras.layers.TimeDistributed(InstanceNormalization(groups=-1), name="frames")
    model = keras.Sequential([keras.Input((2, 5, 6, 4)), inner])
    with pytest.raises(
        UserError, match=r"frames: expected InstanceNormalization .*, got one within TimeDistributed"
    ):
        replace_stand_ins(model, False, silent)


def test_unknown_names() -> None:
    config = {"layers": ["Addons>GroupNormalization", {"class_name": "Addons>Maxout"}], "act": "Addons>mish"}
    assert sorted(unknown_names(config)) == ["Maxout", "mish"]


@pytest.mark.parametrize("name", ["cnn.h5", "cnn.keras", "cnn-saved"])
def test_spectral_normalization_can_be_trained_further(name: str, tmp_path: Path) -> None:
    model = load_model(MODELS / name, trainable=True, tell=silent)
    check_outputs(MODELS / name, model)
    (layer,) = [one for one in model.layers if isinstance(one, keras.layers.SpectralNormalization)]
    assert layer.power_iterations == 2
    before = np.asarray(layer.vector_u).copy()
    model(np.ones((1, 12, 12, 3), np.float32), training=True)
    assert np.abs(np.asarray(layer.vector_u) - before).max() > 0
    model.save(tmp_path / "new.keras")
    keras.models.load_model(tmp_path / "new.keras")


def test_group_normalization_equals_that_of_tensorflow_addons() -> None:
    """The output and the gradients of Keras 3's layer, in float64."""
    import tensorflow as tf

    with np.load(MODELS / "gradients.npz") as file:
        arrays = {name: file[name] for name in file.files}
    for groups in sorted({name.split("/")[0] for name in arrays}):
        saved = {name.split("/")[1]: value for name, value in arrays.items() if name.startswith(f"{groups}/")}
        layer = keras.layers.GroupNormalization(int(groups), epsilon=1e-5, dtype="float64")
        layer.build(saved["x"].shape)
        layer.gamma.assign(saved["gamma"])
        layer.beta.assign(saved["beta"])
        x = tf.constant(saved["x"])
        with tf.GradientTape() as tape:
            tape.watch(x)
            output = layer(x)
            loss = tf.reduce_sum(output * saved["weight"])
        gradients = tape.gradient(loss, [x, layer.gamma.value, layer.beta.value])
        np.testing.assert_allclose(output, saved["output"], rtol=1e-9, atol=1e-9)
        for gradient, name in zip(gradients, ("dx", "dgamma", "dbeta"), strict=True):
            np.testing.assert_allclose(gradient, saved[name], rtol=1e-8, atol=1e-8)
