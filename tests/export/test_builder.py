"""Builder and Tensor: nodes, constants, names and layouts."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from export.builder import Builder, Shape, Tensor, is_float, onnx_dtype, record_shape
from export.errors import OpsetTooLow, Unsupported
from export.passes.internal import as_affine


def builder(opset: int = 17, **call: Any) -> Builder:
    return Builder.of_new_graph(opset).for_call("block/conv", **call)


def tensor(shape: Shape, channels_first: bool = False, dtype: str = "float32") -> Tensor:
    return Tensor(ir.Value(name="x"), shape, channels_first, dtype)


def op_types(g: Builder) -> list[str]:
    return [node.op_type for node in g.graph]


# Tensor


def test_tensor_does_not_modify_its_value() -> None:
    value = ir.Value(name="x")
    x = Tensor(value, (None, 5, 4), channels_first=True)
    assert (x.rank, x.onnx_shape) == (3, (None, 4, 5))
    assert value.shape is None
    assert value.type is None


def test_record_shape_notes_the_shape_of_the_onnx_value_once() -> None:
    x = tensor((2, 5, 4), channels_first=True)
    assert record_shape(x) is x
    assert x.value.shape == [2, 4, 5]
    record_shape(Tensor(x.value, (7, 7, 7)))
    assert x.value.shape == [2, 4, 5]


# Nodes


def test_op_returns_a_value_or_a_list_of_values() -> None:
    g, x = builder(), ir.Value(name="x")
    one = g.op("Relu", x)
    two = g.op("Split", x, np.array([1, 1]), axis=1, outputs=2)
    assert isinstance(one, ir.Value)
    assert isinstance(two, list)
    assert [type(value) for value in two] == [ir.Value, ir.Value]
    assert op_types(g) == ["Relu", "Split"]


def test_names_of_nodes_and_values() -> None:
    g, x = builder(), ir.Value(name="x")
    values: list[ir.Value] = [g.op("Relu", x), g.op("Relu", x), *g.op("Split", x, outputs=2), g.op("Relu", x)]
    assert [node.name for node in g.graph] == [
        "block/conv/Relu",
        "block/conv/Relu_2",
        "block/conv/Split",
        "block/conv/Relu_3",
    ]
    assert [value.name for value in values] == [
        "block/conv/Relu",
        "block/conv/Relu_2",
        "block/conv/Split_0",
        "block/conv/Split_1",
        "block/conv/Relu_3",
    ]
    assert g.for_call("other").unique_name("Relu") == "other/Relu"
    assert Builder.of_new_graph(17).unique_name("Relu") == "Relu"


def test_builders_of_two_calls_share_the_graph_and_the_names() -> None:
    g = builder()
    again = g.for_call("block/conv")
    assert again.graph is g.graph
    assert (g.unique_name("Relu"), again.unique_name("Relu")) == ("block/conv/Relu", "block/conv/Relu_2")


def test_call_context_is_an_argument() -> None:
    g = builder(output_shapes=[(None, 3)], output_dtypes=["int32"])
    assert (g.output_shapes, g.output_dtypes) == (((None, 3),), ("int32",))
    g.for_call("other", [(None, 7)], ["bool"])
    assert (g.name, g.output_shapes) == ("block/conv", ((None, 3),))
    result = g.result(ir.Value(name="y"))
    assert (result.shape, result.dtype, result.channels_first) == ((None, 3), "int32", False)


def test_op_leaves_out_missing_inputs_and_attributes() -> None:
    g, x = builder(), ir.Value(name="x")
    node = g.op("Resize", x, None, 2.0, mode="nearest", nearest_mode=None).producer()
    assert node is not None
    assert node.inputs[1] is None
    assert set(node.attributes) == {"mode"}
    node = g.op("Conv", x, x, None).producer()
    assert node is not None
    assert list(node.inputs) == [x, x]


@pytest.mark.parametrize(
    ("value", "dtype", "shape"),
    [
        (1.5, ir.DataType.FLOAT, []),
        ([1.0, 2.0], ir.DataType.FLOAT, [2]),
        (np.ones(3), ir.DataType.FLOAT, [3]),
        (3, ir.DataType.INT64, []),
        ([1, 2], ir.DataType.INT64, [2]),
        (np.array([1, 2], np.int32), ir.DataType.INT32, [2]),
        (np.array([True]), ir.DataType.BOOL, [1]),
    ],
)
def test_constant_types(value: Any, dtype: ir.DataType, shape: list[int]) -> None:
    constant = builder().constant(value)
    assert (constant.dtype, constant.shape) == (dtype, shape)
    assert constant.name == "block/conv/constant"


def test_weight_is_float32() -> None:
    assert builder().weight(np.ones(2, np.float16)).dtype == ir.DataType.FLOAT


# Layout


@pytest.mark.parametrize(
    ("channels_first", "axes"), [(False, [0, 1, 2, 3, 3, 1]), (True, [0, 2, 3, 1, 1, 2])]
)
def test_axis(channels_first: bool, axes: list[int]) -> None:
    x = tensor((None, 5, 6, 4), channels_first)
    assert [builder().axis(x, axis) for axis in (0, 1, 2, 3, -1, -3)] == axes


def test_channels_first_and_back_writes_one_transpose() -> None:
    g, x = builder(), tensor((None, 5, 6, 4))
    first = g.channels_first(x)
    assert (first.channels_first, first.shape, first.onnx_shape) == (True, x.shape, (None, 4, 5, 6))
    assert first.value.shape is not None
    assert g.keras_layout(first).value is x.value
    assert g.channels_first(x).value is first.value
    assert g.for_call("other").channels_first(x).value is first.value
    assert op_types(g) == ["Transpose"]


def test_tensors_in_the_wanted_layout_stay() -> None:
    g = builder()
    vector, image, first = tensor((None, 4)), tensor((None, 5, 4)), tensor((None, 5, 4), channels_first=True)
    assert g.channels_first(vector) is vector
    assert g.keras_layout(image) is image
    assert g.channels_first(first) is first
    assert op_types(g) == []


@pytest.mark.parametrize(
    ("shapes", "first", "expected"),
    [
        ([(None, 5, 4), (None, 5, 4)], [True, False], [True, True]),
        ([(None, 5, 4), (None, 5, 4)], [False, False], [False, False]),
        ([(None, 5, 4), (None, 4)], [True, False], [False, False]),
    ],
)
def test_same_layout(shapes: list[Shape], first: list[bool], expected: list[bool]) -> None:
    tensors = [tensor(shape, one) for shape, one in zip(shapes, first, strict=True)]
    assert [x.channels_first for x in builder().same_layout(tensors)] == expected


@pytest.mark.parametrize(
    ("shape", "order", "nodes"),
    [
        ((None, 5, 4), [0, 1, 2], []),
        ((None, 5, 4), [0, 2, 1], ["Transpose"]),
        ((None, 5, 6, 1), [0, 3, 1, 2], ["Reshape"]),  # moves no data
        ((None, 1, 1, 4), [0, 3, 1, 2], ["Reshape"]),
        ((None, None, 6, 1), [0, 3, 1, 2], ["Transpose"]),  # a Reshape can't have two unknown sizes
    ],
)
def test_transpose(shape: Shape, order: Sequence[int], nodes: list[str]) -> None:
    g = builder()
    g.transpose(ir.Value(name="x"), shape, order)
    assert op_types(g) == nodes


@pytest.mark.parametrize(
    ("shape", "sizes"),
    [((None, 3, 4), [-1, 3, 4]), ((None, None, 4), [0, -1, 4]), ((2, None), [2, -1]), ((2, 3), [2, 3])],
)
def test_reshape(shape: Shape, sizes: list[int]) -> None:
    g = builder()
    node = g.reshape(ir.Value(name="x"), shape).producer()
    assert node is not None
    target = node.inputs[1]
    assert target is not None
    assert target.const_value is not None
    assert target.const_value.numpy().tolist() == sizes


def test_reshape_with_several_dynamic_dimensions_is_unsupported() -> None:
    with pytest.raises(
        Unsupported,
        match=r"a reshape to \(None, None, None\), which has more than one dynamic dimension",
    ):
        builder().reshape(ir.Value(name="x"), (None, None, None))


# Building blocks


def test_affine_broadcasts_numbers_along_the_axis_of_the_value() -> None:
    g, x = builder(), tensor((None, 5, 6, 3), channels_first=True)
    y = g.affine(x, 2.0, [1.0, 2.0, 3.0], -1)
    assert (y.shape, y.channels_first) == (x.shape, True)
    node = y.value.producer()
    assert node is not None
    affine = as_affine(node)
    assert affine is not None
    assert (affine.scale.tolist(), affine.shift.tolist()) == ([2.0] * 3, [1.0, 2.0, 3.0])
    assert (affine.axis, affine.layers) == (1, "block/conv")


def test_affine_along_dynamic_dimension_is_unsupported() -> None:
    with pytest.raises(
        Unsupported, match=r"axis 1 of size None \(shape \(None, None, 3\)\); its size has to be known"
    ):
        builder().affine(tensor((None, None, 3)), 1.0, 0.0, 1)


@pytest.mark.parametrize(
    ("op_type", "opset", "inputs"),
    [("ReduceMean", 17, 1), ("ReduceMean", 18, 2), ("ReduceSum", 13, 2), ("ReduceMax", 13, 1)],
)
def test_axes_of_reductions_are_an_input_or_an_attribute(op_type: str, opset: int, inputs: int) -> None:
    node = builder(opset).reduce(op_type, ir.Value(name="x"), [1, 2], keepdims=False).producer()
    assert node is not None
    assert len(node.inputs) == inputs
    assert ("axes" in node.attributes) == (inputs == 1)
    assert node.attributes["keepdims"].as_int() == 0


def test_require() -> None:
    builder(17).require(17, "LayerNormalization")
    with pytest.raises(
        OpsetTooLow,
        match="block/conv: LayerNormalization needs opset 17, got 16; use --opset 17 or higher",
    ):
        builder(16).require(17, "LayerNormalization")


# Dtypes


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("float32", ir.DataType.FLOAT),
        ("float16", ir.DataType.FLOAT),
        ("bfloat16", ir.DataType.FLOAT),
        ("int64", ir.DataType.INT64),
        ("int32", ir.DataType.INT32),
        ("int8", ir.DataType.INT32),
        ("uint8", ir.DataType.UINT8),
        ("bool", ir.DataType.BOOL),
        ("string", ir.DataType.STRING),
    ],
)
def test_onnx_dtype(dtype: str, expected: ir.DataType) -> None:
    assert onnx_dtype(dtype) == expected
    assert is_float(dtype) == (expected == ir.DataType.FLOAT)
