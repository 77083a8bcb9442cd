"""Quantized models round as the graph does where either way is right, and nowhere else."""

import keras
import numpy as np
import pytest

from export.convert import Options, convert
from export.parity import check_parity
from export.parity.quantized_rounding import rounding_as, rounds_inputs, with_rounded_values
from tests.export.helpers import functional

L = keras.layers


@pytest.fixture
def layer() -> keras.Model:
    model = functional((3,), L.Dense(2, use_bias=False))
    model.quantize("int8")
    return model


def test_a_number_in_the_middle_is_rounded_as_in_the_graph(layer: keras.Model) -> None:
    x = np.array([[1.0, 10.5 / 127, -0.3]], np.float32)
    kernel, scale = layer.layers[1].kernel.numpy(), layer.layers[1].kernel_scale.numpy()
    for second in (10, 11):
        with rounding_as(layer, [np.array([[127.0, second, -38]], np.float32)]):
            got = layer(x).numpy()
        expected = np.array([[127, second, -38]]) @ kernel / scale / (127 / (1 + 1e-7))
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
    with rounding_as(layer, [np.array([[127.0, 12, -40]], np.float32)]):  # the graph is wrong
        np.testing.assert_array_equal(layer(x).numpy(), layer(x).numpy())


def test_the_model_is_as_before(layer: keras.Model) -> None:
    x = np.array([[1.0, 10.5 / 127, -0.3]], np.float32)
    before, quantizer = layer(x).numpy(), layer.layers[1].inputs_quantizer
    with rounding_as(layer, [np.array([[127.0, 11, -38]], np.float32)]):
        pass
    assert layer.layers[1].inputs_quantizer is quantizer
    np.testing.assert_array_equal(layer(x).numpy(), before)


def test_float8() -> None:
    model = functional((1,), L.Dense(1, use_bias=False))
    model.quantize("float8")
    kernel = float(model.layers[1].kernel.numpy().item())
    x = np.array([[1.0625]], np.float32)  # in the middle between 1 and 1.125
    ratios = []
    for value in (1.0, 1.125, 1.25):
        with rounding_as(model, [np.array([[value]], np.float32)]):
            ratios.append(model(x).numpy().item())
    assert ratios[1] / ratios[0] == pytest.approx(1.125)
    assert ratios[2] == ratios[0]  # the even one, as Keras has it
    assert np.sign(ratios[0]) == np.sign(kernel)


def test_rounded_values_are_outputs_for_a_while(layer: keras.Model) -> None:
    assert rounds_inputs(layer)
    assert not rounds_inputs(functional((3,), L.Dense(2)))
    conversion = convert(layer, Options(route="direct"))
    before = conversion.model.SerializeToString(deterministic=True)
    with with_rounded_values(conversion.model) as count:
        assert (count, len(conversion.model.graph.output)) == (1, 2)
    assert conversion.model.SerializeToString(deterministic=True) == before


@pytest.mark.slow
def test_what_other_runtimes_may_be_off_covers_a_step() -> None:
    model = functional((8,), L.Dense(16, activation="tanh"), L.Dense(4))
    model.quantize("int8")
    parity = check_parity(model, convert(model), batches=(1, 7, 32))
    here = {d.data: d.allowance for d in parity.differences}
    for example in parity.examples:
        (absolute, _) = next(iter(example.allowances.values()))
        assert absolute > 10 * here[example.kind]
