"""Inputs that quantized layers round, and products of integers."""

import keras
import numpy as np
import onnx_ir as ir
import pytest

from export.builder import Builder, Tensor
from export.errors import OpsetTooLow, Unsupported
from export.lowerings.quantized_inputs import multiply_integers, quantize_inputs, through_float8
from export.runtime import open_session
from tests.export.helpers import random_array


def graph_of(shape: tuple[int, ...], opset: int = 19) -> tuple[Builder, Tensor]:
    """A graph with one input."""
    g = Builder.of_new_graph(opset)
    value = ir.Value(name="x", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape(shape))
    g.graph.inputs.append(value)
    return g, g.tensor(value, shape)


def outputs(g: Builder, x: np.ndarray, *values: ir.Value) -> list[np.ndarray]:
    """What a graph computes of its input."""
    for value in values:
        value.type, value.shape = ir.TensorType(ir.DataType.FLOAT), None
        g.graph.outputs.append(value)
    model = ir.to_proto(ir.Model(g.graph, ir_version=9))
    return list(open_session(model.SerializeToString()).run(None, {"x": x}))


@pytest.mark.parametrize("axes", [(1,), (0, 2)])
def test_integers_are_those_of_keras(axes: tuple[int, ...]) -> None:
    x = random_array(4, 6, 5)
    x[0] = 0  # a scale of 127 / epsilon
    x[1, :, 1] = np.float32(0.5) / 127 * np.arange(6)  # in the middle between two integers, or near it
    quantizer = keras.quantizers.AbsMaxQuantizer(axis=axes)
    g, tensor = graph_of(x.shape)
    got = outputs(g, x, *quantize_inputs(g, quantizer, tensor, axes))
    for ours, theirs in zip(got, quantizer(x), strict=True):
        np.testing.assert_array_equal(ours, keras.ops.convert_to_numpy(theirs).astype(np.float32))


def test_products_neither_saturate_nor_round() -> None:
    rng = np.random.default_rng(0)
    x, matrix = (rng.choice([-127, 127], shape) for shape in ((3, 3000), (3000, 5)))
    x[0], matrix[:, 0] = 127, 127
    g, tensor = graph_of(x.shape)
    weights = g.constant((matrix + 128).astype(np.uint8))
    (got,) = outputs(g, x.astype(np.float32), multiply_integers(g, tensor.value, weights, 128))
    np.testing.assert_array_equal(got, (x @ matrix).astype(np.float32))


def test_float8_is_that_of_keras() -> None:
    x = np.concatenate([50 * random_array(500), np.linspace(-1000, 1000, 101, dtype=np.float32)])
    g, tensor = graph_of(x.shape)
    (got,) = outputs(g, x, through_float8(g, tensor, 1.7).value)
    expected = keras.quantizers.quantize_and_dequantize(x, 1.7, "float8_e4m3fn", "float32")
    np.testing.assert_array_equal(got, expected)


def test_float8_needs_opset_19() -> None:
    g, tensor = graph_of((3,), opset=17)
    with pytest.raises(OpsetTooLow, match="float8 needs opset 19, got 17"):
        through_float8(g, tensor, 1.0)


def test_another_quantizer_is_unsupported() -> None:
    g, tensor = graph_of((3,))
    with pytest.raises(Unsupported, match="its inputs are quantized by Quantizer, not by AbsMaxQuantizer"):
        quantize_inputs(g, keras.quantizers.Quantizer(), tensor, (0,))
