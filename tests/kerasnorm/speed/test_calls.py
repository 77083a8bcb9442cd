"""The layers of a model, and whose call they run."""

import keras

from kerasnorm.speed import speed_up
from kerasnorm.speed.calls import inner_layers, is_fast, is_replaced


def test_inner_layers_are_named_by_their_models_and_come_once() -> None:
    inner_inputs = keras.Input((4,), name="x")
    inner = keras.Model(inner_inputs, keras.layers.Dense(4, name="dense")(inner_inputs), name="inner")
    inputs = keras.Input((4,), name="inputs")
    norm = keras.layers.BatchNormalization(name="norm")
    model = keras.Model(inputs, norm(inner(inner(norm(inputs)))))
    assert [name for name, _ in inner_layers(model)] == ["inputs", "norm", "inner", "inner/x", "inner/dense"]


def test_a_layer_of_a_wrapper_is_not_an_inner_layer() -> None:
    inputs = keras.Input((2, 4), name="inputs")
    wrapper = keras.layers.TimeDistributed(keras.layers.Dense(4), name="wrapper")
    assert [name for name, _ in inner_layers(keras.Model(inputs, wrapper(inputs)))] == ["inputs", "wrapper"]


def test_whose_call_a_layer_runs() -> None:
    layer = keras.layers.BatchNormalization()
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layer(inputs))
    assert not is_fast(layer)
    assert not is_replaced(layer)
    speed_up(model, 2)
    assert is_fast(layer)
    assert is_fast(model)
    assert not is_replaced(layer)
    layer.call = lambda inputs: inputs
    assert not is_fast(layer)
    assert is_replaced(layer)
