"""Small onnx_ir models written by hand, and the comparison of a model before and after a rewrite."""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import onnx_ir as ir

from export.onnx_graph import add_constant, insert_node
from export.passes import internal
from export.passes.internal import Affine, as_affine
from export.passes.legalize import LegalizePass
from export.runtime import open_session
from tests.export.helpers import random_array

T = TypeVar("T")
Size = int | str | None
FLOAT = ir.TensorType(ir.DataType.FLOAT)


class Graph:
    """An onnx_ir graph under construction, with the input `x` and a dynamic batch dimension.

    Args:
        *shape: the shape of the input without the batch dimension.
        opset: version of the standard operators.
    """

    def __init__(self, *shape: Size, opset: int = 17) -> None:
        self.x = ir.Value(name="x", type=FLOAT, shape=ir.Shape(["batch", *shape]))
        self.graph = ir.Graph([self.x], [], nodes=[], opset_imports={"": opset}, name="test")

    def op(
        self,
        layer: str,
        op_type: str,
        *inputs: ir.Value | np.ndarray | None,
        shape: tuple[Size, ...] | None = None,
        **attributes: Any,
    ) -> ir.Value:
        """Append the node 'LAYER/OP_TYPE'.

        Args:
            layer: the Keras layer that the node is written for.
            op_type: the operator.
            *inputs: values; an array becomes a constant.
            shape: the shape of the output without the batch dimension; None for that of the first input.
            **attributes: the attributes.
        """
        values = [
            add_constant(self.graph, x, f"{layer}/constant") if isinstance(x, np.ndarray) else x
            for x in inputs
        ]
        output = insert_node(self.graph, op_type, values, attributes, name=f"{layer}/{op_type}")
        first = values[0]
        output.type = FLOAT
        if shape is not None:
            output.shape = ir.Shape(["batch", *shape])
        elif first is not None:
            output.shape = first.shape
        return output

    def affine(self, x: ir.Value, scale: Any, shift: Any, axis: int = 1, layer: str = "bn") -> ir.Value:
        """Append an Affine node."""
        scales, shifts = np.array(scale, np.float64), np.array(shift, np.float64)
        output = internal.affine(self.graph, x, scales, shifts, axis, name=f"{layer}/Affine")
        output.type, output.shape = FLOAT, x.shape
        return output

    def group_norm(self, x: ir.Value, groups: int, epsilon: float = 0.01, layer: str = "gn") -> ir.Value:
        """Append a GroupNorm node."""
        output = internal.group_norm(self.graph, x, groups, epsilon, name=f"{layer}/GroupNorm")
        output.type, output.shape = FLOAT, x.shape
        return output

    def model(self, *outputs: ir.Value) -> ir.Model:
        """The model with these outputs."""
        self.graph.outputs.extend(outputs)
        return ir.Model(self.graph, ir_version=8)


def op_types(model: ir.Model) -> list[str]:
    """The operators of a graph, in order."""
    return [node.op_type for node in model.graph]


def the_affine(model: ir.Model) -> Affine:
    """The only Affine of a graph."""
    [found] = [affine for affine in map(as_affine, model.graph) if affine is not None]
    return found


def compute(model: ir.Model, x: np.ndarray | None = None) -> list[np.ndarray]:
    """The outputs for an input (default: random numbers), by onnxruntime without its own optimizations.

    The internal operators that the model still has are legalized, which changes the model.
    """
    if x is None:
        sizes = [size if isinstance(size, int) else 3 for size in model.graph.inputs[0].shape or ()]
        x = random_array(*sizes, seed=7)
    LegalizePass()(model)
    for node in model.graph:
        for value in node.outputs:
            value.shape = None
            if value.is_graph_output():
                value.type = FLOAT
    session = open_session(ir.to_proto(model).SerializeToString(), optimize=False)
    return list(session.run(None, {"x": x}))


def rewritten(build: Callable[[], ir.Model], rewrite: Callable[[ir.Model], T]) -> tuple[list[str], T]:
    """Apply a rewrite to a model, and check that the model computes the same numbers as before.

    Args:
        build: builds the model.
        rewrite: a pass, or another function that changes the model in place.

    Returns:
        The operators of the rewritten graph, and what `rewrite` returned.
    """
    expected = compute(build())
    model = build()
    result = rewrite(model)
    names = op_types(model)
    for got, want in zip(compute(model), expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
    return names, result


def check_pass(
    build: Callable[[], ir.Model],
    apply: Callable[[ir.Model], ir.passes.PassResult],
    *,
    modified: bool,
    nodes: list[str],
) -> None:
    """Apply a pass alone: whether it modified the model, which nodes are left, the same numbers as before.

    Applied a second time, it changes nothing.
    """

    def apply_twice(model: ir.Model) -> ir.passes.PassResult:
        result = apply(model)
        assert not apply(model).modified
        return result

    names, result = rewritten(build, apply_twice)
    assert result.modified is modified
    assert names == nodes
