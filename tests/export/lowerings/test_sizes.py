"""Sizes that are computed in the graph."""

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import pytest

from export.builder import Builder, Tensor
from export.lowerings.sizes import (
    Size,
    add_sizes,
    as_size,
    product,
    reshape_to,
    scalar_of,
    size_of,
    size_vector,
    sizes_of,
    subtract_sizes,
)
from export.runtime import open_session


def computed(make: Callable[[Builder, Tensor], ir.Value], x: np.ndarray, opset: int = 17) -> np.ndarray:
    """What a graph computes of `x`, whose first two dimensions are dynamic."""
    g = Builder.of_new_graph(opset).for_call("test")
    value = ir.Value(
        name="x", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape(["a", "b", *x.shape[2:]])
    )
    g.graph.inputs.append(value)
    result = g.op("Identity", make(g, g.tensor(value, (None, None, *x.shape[2:]))))
    result.type = ir.TensorType(ir.DataType.INT64)
    g.graph.outputs.append(result)
    proto = ir.to_proto(ir.Model(g.graph, ir_version=8))
    (found,) = open_session(proto.SerializeToString()).run(None, {"x": x})
    return found


X = np.zeros((3, 5, 2), np.float32)


def vector(g: Builder, size: Size) -> ir.Value:
    return g.op("Identity", size_vector(g, [size]))


@pytest.mark.parametrize("opset", [13, 17])
def test_size_of_a_dynamic_dimension(opset: int) -> None:
    np.testing.assert_array_equal(computed(lambda g, x: vector(g, size_of(g, x, 1)), X, opset), [5])
    np.testing.assert_array_equal(computed(lambda g, x: vector(g, size_of(g, x, -3)), X, opset), [3])


def test_known_sizes_stay_numbers() -> None:
    g = Builder.of_new_graph(17)
    x = g.tensor(ir.Value(name="x"), (4, None, 2))
    assert size_of(g, x, -1) == 2
    assert [size for size in sizes_of(g, x) if isinstance(size, int)] == [4, 2]
    assert (add_sizes(g, 2, 3), subtract_sizes(g, 2, 3), product(g, 2, 3)) == (5, -1, 6)
    np.testing.assert_array_equal(size_vector(g, [4, 2]), [4, 2])


ARITHMETIC: dict[str, tuple[Callable[[Builder, Size, Size], Size], int]] = {
    "add": (add_sizes, 8),
    "subtract": (subtract_sizes, -2),
    "multiply": (product, 15),
}


@pytest.mark.parametrize("name", ARITHMETIC)
def test_arithmetic(name: str) -> None:
    function, expected = ARITHMETIC[name]
    found = computed(lambda g, x: vector(g, function(g, size_of(g, x, 0), size_of(g, x, 1))), X)
    np.testing.assert_array_equal(found, [expected])
    found = computed(lambda g, x: vector(g, function(g, size_of(g, x, 0), 5)), X)
    np.testing.assert_array_equal(found, [expected])


def test_scalars_and_back() -> None:
    def there_and_back(g: Builder, x: Tensor) -> ir.Value:
        scalar = g.tensor(scalar_of(g, size_of(g, x, 1)), (), dtype="int32")
        return vector(g, as_size(g, scalar))

    np.testing.assert_array_equal(computed(there_and_back, X), [5])
    assert as_size(Builder.of_new_graph(17), 7) == 7


def test_reshape_infers_the_only_unknown_size() -> None:
    def shape_after(g: Builder, x: Tensor) -> ir.Value:
        return g.op("Shape", reshape_to(g, x.value, [size_of(g, x, 1), 6]))

    np.testing.assert_array_equal(computed(shape_after, X), [5, 6])
