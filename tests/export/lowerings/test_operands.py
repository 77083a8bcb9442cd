"""The operands of an operation: one layout and one dtype."""

import numpy as np
import onnx_ir as ir
import pytest

from export.builder import Builder, Tensor
from export.lowerings import operands


def make_builder(shape: tuple[int | None, ...], channels_first: bool = False) -> tuple[Builder, Tensor]:
    g = Builder.of_new_graph(17).for_call("layer")
    return g, Tensor(ir.Value(name="x"), shape, channels_first)


def op_types(g: Builder) -> list[str]:
    return [node.op_type for node in g.graph]


def test_rank_of_tensors_and_constants() -> None:
    _, x = make_builder((None, 5, 4))
    assert [operands.rank(one) for one in (x, 3.0, [1.0, 2.0], np.ones((2, 3)))] == [3, 0, 1, 2]


def test_cast_writes_a_node_only_for_another_type_of_the_graph() -> None:
    g, x = make_builder((None, 5))
    assert operands.cast(g, x, "float16") is x.value  # every float is float32 in the graph
    assert op_types(g) == []
    operands.cast(g, x, "int32")
    assert op_types(g) == ["Cast"]


@pytest.mark.parametrize(
    ("axis", "axes"), [(None, [0, 1, 2]), (-1, [2]), ((2, 0), [0, 2]), ([np.int64(1), -3], [0, 1])]
)
def test_normalize_axes(axis: int | list[int] | None, axes: list[int]) -> None:
    assert operands.normalize_axes(axis, 3) == axes


def test_align_keeps_channels_first_layout_and_moves_the_axes_of_constants() -> None:
    g, x = make_builder((None, 5, 6, 4), channels_first=True)
    constant = np.arange(24, dtype=np.float64).reshape(6, 4)
    [value, array], first = operands.align(g, [x, constant], 4, "float32")
    assert (value, first) == (x.value, True)
    assert array.const_value is not None
    np.testing.assert_array_equal(array.const_value.numpy(), constant.T.reshape(1, 4, 1, 6))
    assert array.dtype == ir.DataType.FLOAT
    assert op_types(g) == []


def test_align_with_a_tensor_of_lower_rank_returns_to_the_layout_of_keras() -> None:
    g, x = make_builder((None, 5, 6, 4), channels_first=True)
    vector = Tensor(ir.Value(name="vector"), (4,))
    [_, value], first = operands.align(g, [x, vector], 4, "float32")
    assert (value, first) == (vector.value, False)
    assert op_types(g) == ["Transpose"]


def test_operand_dtype_is_the_dtype_to_which_keras_promotes() -> None:
    _, x = make_builder((None, 5))
    integers = Tensor(x.value, x.shape, dtype="int32")
    assert operands.operand_dtype([x, 3]) == "float32"
    assert operands.operand_dtype([integers, 3]) == "int32"
    assert operands.operand_dtype([integers, 0.5]) == "float32"


def test_as_int64() -> None:
    assert operands.as_int64(1, -1).tolist() == [1, -1]
    assert operands.as_int64().dtype == np.int64
