"""The sums of an ONNX graph in float64, for a look at what a runtime's float32 sums lose.

onnxruntime adds up the numbers of a mean one after another. Over n numbers, as in a group normalization or a global
pooling of large images, that loses about n / 1000 units in the last place. TensorFlow adds them up pairwise and loses
hardly any.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from export.parity.replaced_nodes import with_nodes

_REDUCTIONS = ("ReduceMean", "ReduceSum", "ReduceSumSquare", "ReduceL2", "ReduceLogSumExp")
_AXES_ARE_INPUTS = 18  # the opset from which on the axes of a ReduceMean are an input
# Sums of fewer numbers lose no more than the rest of a graph does.
MANY = 1000


@contextlib.contextmanager
def with_float64_sums(model: onnx.ModelProto) -> Iterator[bool]:
    """Have a graph calculate sums of many float32 numbers in float64, until the context ends.

    These are reductions, global poolings and normalizations. Each result is rounded to float32. The model is not
    copied.

    Yields:
        Whether there are any.
    """
    nodes, values = list(model.graph.node), len(model.graph.initializer)
    shapes = _shapes(model)
    replaced: list[onnx.NodeProto] = []
    for node in nodes:
        shape = shapes.get(node.input[0]) if node.input else None
        replaced += [node] if shape is None else _Writer(model, node, shape).nodes()
    if len(replaced) == len(nodes):
        yield False
        return
    try:
        with with_nodes(model, replaced):
            yield True
    finally:
        del model.graph.initializer[values:]


def _shapes(model: onnx.ModelProto) -> dict[str, list[float]]:
    """The shape of each float32 value; dimensions that are dynamic are infinite."""
    inferred = onnx.shape_inference.infer_shapes(model).graph
    values = [*inferred.input, *inferred.value_info, *inferred.output]
    tensors = {value.name: value.type.tensor_type for value in values}
    return {
        name: [dim.dim_value if dim.HasField("dim_value") else math.inf for dim in tensor.shape.dim]
        for name, tensor in tensors.items()
        if tensor.elem_type == TensorProto.FLOAT and tensor.HasField("shape")
    }


@dataclass
class _Writer:
    """Writes the nodes that take the place of one."""

    model: onnx.ModelProto
    node: onnx.NodeProto
    shape: list[float]

    def nodes(self) -> list[onnx.NodeProto]:
        """The nodes; the node itself if it adds up fewer numbers."""
        self.written: list[onnx.NodeProto] = []
        rank = len(self.shape)
        options = {a.name: helper.get_attribute_value(a) for a in self.node.attribute}
        inputs = list(self.node.input)
        kind = self.node.op_type if not self.node.domain else ""
        axes = self._axes(kind, options)
        if math.prod(self.shape[axis] for axis in axes) <= MANY:
            return [self.node]
        if kind in _REDUCTIONS:
            y = self.op(kind, [self.wide(inputs[0]), *inputs[1:]], **options)
        elif kind == "GlobalAveragePool":
            y = self.mean(self.wide(inputs[0]), axes)
        elif kind == "InstanceNormalization":
            shape = self.constant(np.array([-1] + [1] * (rank - 2)))
            parameters = [self.op("Reshape", [self.wide(name), shape]) for name in inputs[1:]]
            y = self.normalize(inputs[0], axes, options.get("epsilon", 1e-5), *parameters)
        else:  # LayerNormalization
            parameters = [self.wide(name) for name in inputs[1:] if name]
            y = self.normalize(inputs[0], axes, options.get("epsilon", 1e-5), *parameters)
        self.written.append(helper.make_node("Cast", [y], [self.node.output[0]], to=TensorProto.FLOAT))
        return self.written

    def _axes(self, kind: str, options: dict[str, Any]) -> list[int]:
        """The axes over which the node adds up; none if it doesn't."""
        rank = len(self.shape)
        if kind in ("GlobalAveragePool", "InstanceNormalization"):
            return list(range(2, rank))
        if kind == "LayerNormalization" and not any(self.node.output[1:]):
            return list(range(options.get("axis", -1) % rank, rank))
        if kind not in _REDUCTIONS:
            return []
        axes = options.get("axes")
        if axes is None and len(self.node.input) > 1:
            found = (one for one in self.model.graph.initializer if one.name == self.node.input[1])
            axes = next(map(numpy_helper.to_array, found), None)
        return list(range(rank)) if axes is None else [int(axis) % rank for axis in axes]

    def normalize(self, x: str, axes: Sequence[int], epsilon: float, scale: str, bias: str = "") -> str:
        """(x - mean) / sqrt(variance + epsilon) * scale + bias."""
        x = self.wide(x)
        centred = self.op("Sub", [x, self.mean(x, axes)])
        variance = self.mean(self.op("Mul", [centred, centred]), axes)
        deviation = self.op("Sqrt", [self.op("Add", [variance, self.constant(np.float64(epsilon))])])
        y = self.op("Mul", [self.op("Div", [centred, deviation]), scale])
        return self.op("Add", [y, bias]) if bias else y

    def mean(self, x: str, axes: Sequence[int]) -> str:
        """The mean over some axes, which stay as axes of size 1."""
        opset = next(one.version for one in self.model.opset_import if one.domain in ("", "ai.onnx"))
        if opset < _AXES_ARE_INPUTS:
            return self.op("ReduceMean", [x], axes=list(axes))
        return self.op("ReduceMean", [x, self.constant(np.array(axes, np.int64))])

    def wide(self, name: str) -> str:
        """A float32 value in float64."""
        return self.op("Cast", [name], to=TensorProto.DOUBLE)

    def op(self, kind: str, inputs: Sequence[str], **options: Any) -> str:
        """The output of a further node."""
        output = self._name(len(self.written))
        self.written.append(helper.make_node(kind, list(inputs), [output], **options))
        return output

    def constant(self, value: np.ndarray | np.float64) -> str:
        """A further initializer."""
        name = self._name(f"constant{len(self.model.graph.initializer)}")
        self.model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def _name(self, what: object) -> str:
        return f"{self.node.output[0]}/float64/{what}"
