"""Tensor and Builder: the ONNX graph while it is being written, and the layout of its tensors.

ONNX convolves channels first, Keras mostly channels last. A tensor of rank 3 or more may therefore be *held*
channels first, as (N, C, ...), although Keras has it as (N, ..., C). Lowerings ask for the layout they need;
a transpose appears only where two of them differ. Axes are Keras axes until `Builder.axis` maps them.

Two operators of a domain of our own live until `export.passes.fold_affine` and `export.passes.legalize` have done their work; no
file ever holds them:

    Affine(x, scale, shift; axis)           x * scale + shift, scale and shift per place along the axis
    GroupNorm(x; groups, epsilon)           (x - mean) / sqrt(variance + epsilon) over each group of channels
                                            of an image; channels along axis 1; no gamma, no beta
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx_ir as ir

from export.errors import Unsupported, UserError

INTERNAL = "kerasnorm.internal"

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class Tensor:
    """A Keras tensor within the ONNX graph.

    Attributes:
        value: the ONNX value.
        shape: the shape as Keras has it; None where it is open.
        channels_first: the value is held as (N, C, ...), although Keras has (N, ..., C).
        dtype: Keras' dtype; all floats are float32 in the graph.
    """

    value: ir.Value
    shape: Shape
    channels_first: bool = False
    dtype: str = "float32"

    def __post_init__(self) -> None:
        """Note the shape on the ONNX value, for the folds that need it."""
        if self.value.shape is None:
            self.value.shape = ir.Shape(list(self.held_shape))

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def held_shape(self) -> Shape:
        """The shape of the ONNX value."""
        if not self.channels_first:
            return self.shape
        return (self.shape[0], self.shape[-1], *self.shape[1:-1])


def new_constant(graph: ir.Graph, array: np.ndarray, name: str) -> ir.Value:
    """Add an initializer to a graph."""
    tensor = ir.tensor(np.ascontiguousarray(array).reshape(array.shape), name=name)
    value = ir.Value(
        name=name, type=ir.TensorType(tensor.dtype), shape=ir.Shape(array.shape), const_value=tensor
    )
    graph.register_initializer(value)
    return value


class Builder:
    """Writes nodes into an ONNX graph; what a lowering is given.

    Attributes:
        graph: the graph.
        opset: version of the standard operators.
        scope: name of the Keras layer that is being lowered; its nodes are named after it.
        output_shapes: the shapes, as Keras has them, of that layer's outputs.
        output_dtypes: their dtypes.
    """

    def __init__(self, opset: int) -> None:
        self.graph = ir.Graph([], [], nodes=[], opset_imports={"": opset}, name="keras")
        self.opset = opset
        self.scope = ""
        self.output_shapes: list[Shape] = []
        self.output_dtypes: list[str] = []
        self._names: dict[str, int] = {}
        self._layouts: dict[tuple[ir.Value, bool], ir.Value] = {}

    def op(self, op_type: str, *inputs: Any, outputs: int = 1, domain: str = "", **attributes: Any) -> Any:
        """Append a node; give back its output, or a list of them if `outputs` is more than 1.

        Args:
            op_type: name of the ONNX operator.
            *inputs: ONNX values; arrays and numbers become constants, None leaves an optional input out.
            outputs: number of outputs.
            domain: domain of the operator; the standard's if empty.
            **attributes: the node's attributes; those that are None are left out.
        """
        values = [
            value if value is None or isinstance(value, ir.Value) else self.constant(value)
            for value in inputs
        ]
        node = ir.node(
            op_type,
            values,
            {name: value for name, value in attributes.items() if value is not None},
            domain=domain,
            num_outputs=outputs,
            name=self._name(op_type),
        )
        for index, value in enumerate(node.outputs):
            value.name = f"{node.name}_{index}" if outputs > 1 else node.name
        self.graph.append(node)
        return node.outputs[0] if outputs == 1 else list(node.outputs)

    def constant(self, value: Any, name: str = "constant") -> ir.Value:
        """An initializer; floats become float32 unless they are float64 arrays on the way to a fold."""
        array = np.asarray(value)
        if array.dtype.kind == "f" and not isinstance(value, np.ndarray):
            array = array.astype(np.float32)
        elif array.dtype.kind == "i" and not isinstance(value, np.ndarray):
            array = array.astype(np.int64)
        return new_constant(self.graph, array, self._name(name))

    def weight(self, variable: Any, name: str = "weight") -> ir.Value:
        """A Keras variable, or an array, as a float32 initializer."""
        return self.constant(np.asarray(variable, np.float32), name)

    def _name(self, kind: str) -> str:
        name = f"{self.scope}/{kind}" if self.scope else kind
        count = self._names[name] = self._names.get(name, 0) + 1
        return name if count == 1 else f"{name}_{count}"

    # Layout

    def axis(self, x: Tensor, axis: int) -> int:
        """The axis of the held value that is Keras' `axis` of `x`."""
        axis = axis % x.rank
        if not x.channels_first or axis == 0:
            return axis
        return 1 if axis == x.rank - 1 else axis + 1

    def channels_first(self, x: Tensor) -> Tensor:
        """`x`, which Keras has channels last, held as (N, C, ...)."""
        if x.channels_first or x.rank < 3:
            return x
        value = self._relaid(x, (0, x.rank - 1, *range(1, x.rank - 1)))
        return replace(x, value=value, channels_first=True)

    def keras_layout(self, x: Tensor) -> Tensor:
        """`x` held as Keras has it."""
        if not x.channels_first:
            return x
        return replace(x, value=self._relaid(x, (0, *range(2, x.rank), 1)), channels_first=False)

    def _relaid(self, x: Tensor, order: Sequence[int]) -> ir.Value:
        key = (x.value, x.channels_first)
        if key not in self._layouts:
            self._layouts[key] = self.transpose(x.value, x.held_shape, order)
            self._layouts[self._layouts[key], not x.channels_first] = x.value
        return self._layouts[key]

    def transpose(self, value: ir.Value, shape: Shape, order: Sequence[int]) -> ir.Value:
        """Transpose a value of `shape`; by a Reshape, which moves nothing, where only axes of 1 move."""
        if list(order) == list(range(len(order))):
            return value
        moved = [shape[axis] for axis in order]
        long = [axis for axis in order if shape[axis] != 1]
        if long == sorted(long) and moved.count(None) <= 1:
            return self.op("Reshape", value, [-1 if size is None else size for size in moved])
        return self.op("Transpose", value, perm=list(order))

    def same_layout(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The tensors in one layout: channels first if any is held so and all have that rank."""
        if any(x.channels_first for x in tensors) and len({x.rank for x in tensors}) == 1:
            return [self.channels_first(x) for x in tensors]
        return [self.keras_layout(x) for x in tensors]

    # Building blocks

    def like(self, x: Tensor, value: ir.Value, shape: Shape | None = None) -> Tensor:
        """`value` as a Tensor in the layout of `x`, of its shape unless one is given."""
        return Tensor(value, x.shape if shape is None else shape, x.channels_first)

    def result(self, x: Tensor, value: ir.Value) -> Tensor:
        """`value` as the layer's output, of the shape that Keras gives it, in the layout of `x`."""
        return Tensor(value, self.output_shapes[0], x.channels_first)

    def affine(self, x: Tensor, scale: Any, shift: Any, axis: int) -> Tensor:
        """X * scale + shift along one Keras axis; `export.passes.fold_affine` looks for a neighbour to take it over."""
        size = x.shape[axis]
        if size is None:
            raise Unsupported(f"its axis {axis} is open (shape {x.shape})")
        scale, shift = (np.broadcast_to(np.asarray(v, np.float64), (size,)) for v in (scale, shift))
        value = self.op("Affine", x.value, scale, shift, axis=self.axis(x, axis), domain=INTERNAL)
        return self.like(x, value)

    def reshape(self, value: ir.Value, shape: Shape) -> ir.Value:
        """Reshape to a shape of which one axis may be open; the batch axis, if open, is copied."""
        sizes = list(shape)
        if sizes and sizes[0] is None and None in sizes[1:]:
            sizes[0] = 0
        if sizes.count(None) > 1:
            raise Unsupported(f"it reshapes to {tuple(shape)}, which has more than one open axis")
        return self.op("Reshape", value, np.array([-1 if size is None else size for size in sizes], np.int64))

    def reduce(self, op_type: str, value: ir.Value, axes: Sequence[int], keepdims: bool = True) -> ir.Value:
        """A Reduce operator; its axes became an input with opset 18 (ReduceSum: 13)."""
        if self.opset >= 18 or op_type == "ReduceSum":
            return self.op(op_type, value, np.array(axes, np.int64), keepdims=int(keepdims))
        return self.op(op_type, value, axes=list(axes), keepdims=int(keepdims))

    def require(self, opset: int, what: str) -> None:
        """Refuse unless the graph's opset is at least `opset`."""
        if self.opset < opset:
            raise UserError(
                f"{self.scope}: {what} needs opset {opset}, got {self.opset}; give --opset {opset} or more"
            )


def onnx_dtype(dtype: str) -> ir.DataType:
    """ONNX's type for a dtype of Keras; every float is float32, every int but int64 and uint8 int32."""
    kinds = {"int64": ir.DataType.INT64, "int": ir.DataType.INT32, "uint8": ir.DataType.UINT8}
    kinds["bool"] = ir.DataType.BOOL
    return next((kind for name, kind in kinds.items() if dtype.startswith(name)), ir.DataType.FLOAT)


def static_size(shape: Shape) -> int | None:
    """Number of elements, or None if an axis is open."""
    return None if None in shape else math.prod(size for size in shape if size is not None)
