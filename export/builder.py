"""Tensor and Builder: the ONNX graph while it is being written, and the layout of its tensors.

ONNX operators on images want the channels first, Keras mostly has them last. So the ONNX value of a tensor of
rank 3 or more may be in channels-first layout, (N, C, ...), although Keras has (N, ..., C). A lowering asks for
the layout that it needs, and a Transpose is written only where two lowerings differ. Axes are Keras axes until
`Builder.axis` maps them to the ONNX value.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, overload

import numpy as np
import onnx_ir as ir

from export.errors import OpsetTooLow, Unsupported
from export.onnx_graph import Attribute, add_constant
from export.passes.internal import affine

MIXED_ROWS = "mixed rows"  # in a graph's `meta`; see `Builder.note_mixed_rows`
Shape = tuple[int | None, ...]
Array = np.ndarray | np.generic | float | Sequence[float]
Operand = ir.Value | Array | None  # an input of a node


@dataclass(frozen=True)
class Tensor:
    """A Keras tensor and the ONNX value that holds it.

    Attributes:
        value: the ONNX value.
        shape: the shape that Keras has; None for a dynamic dimension.
        channels_first: whether the ONNX value is in channels-first layout, (N, C, ...), while Keras has
            (N, ..., C).
        dtype: the dtype that Keras has. In the graph, every float is float32.
        mask: the mask that Keras carries along with the tensor; None if there is none. Lowerings need not care: what
            becomes of it is decided once a layer's outputs are known, in `export/masks.py`.
    """

    value: ir.Value
    shape: Shape
    channels_first: bool = False
    dtype: str = "float32"
    mask: Tensor | None = None

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def onnx_shape(self) -> Shape:
        """The shape of the ONNX value."""
        if not self.channels_first:
            return self.shape
        return (self.shape[0], self.shape[-1], *self.shape[1:-1])


@dataclass(frozen=True)
class Builder:
    """Writes the ONNX nodes of one call of a Keras layer: the context that a lowering receives.

    Attributes:
        graph: the graph, shared by the builders of all calls.
        name: name of the layer, which prefixes the names of its nodes.
        output_shapes: the shapes, as Keras has them, of the call's outputs.
        output_dtypes: the dtypes of the call's outputs.
        lower_function: lowers what a Python function computes; see `lower`.
    """

    graph: ir.Graph
    name: str = ""
    output_shapes: tuple[Shape, ...] = ()
    output_dtypes: tuple[str, ...] = ()
    lower_function: Callable[..., Any] | None = field(default=None, repr=False)
    _name_counts: dict[str, int] = field(default_factory=dict, repr=False)
    _other_layout: dict[tuple[ir.Value, bool], ir.Value] = field(default_factory=dict, repr=False)

    @classmethod
    def of_new_graph(cls, opset: int) -> Builder:
        """A builder of an empty graph."""
        return cls(ir.Graph([], [], nodes=[], opset_imports={"": opset}, name="keras"))

    def for_call(
        self,
        name: str,
        output_shapes: Sequence[Shape] = (),
        output_dtypes: Sequence[str] = (),
        lower_function: Callable[..., Any] | None = None,
    ) -> Builder:
        """A builder of the same graph for another call."""
        return dataclasses.replace(
            self,
            name=name,
            output_shapes=tuple(output_shapes),
            output_dtypes=tuple(output_dtypes),
            lower_function=lower_function or self.lower_function,
        )

    @property
    def opset(self) -> int:
        """Version of the standard operators."""
        return self.graph.opset_imports[""]

    # Nodes and constants

    @overload
    def op(  # type: ignore[overload-overlap]  # 1 is an int, but returns a value
        self,
        op_type: str,
        *inputs: Operand,
        outputs: Literal[1] = 1,
        domain: str = "",
        **attributes: Attribute,
    ) -> ir.Value: ...

    @overload
    def op(
        self, op_type: str, *inputs: Operand, outputs: int, domain: str = "", **attributes: Attribute
    ) -> list[ir.Value]: ...

    def op(
        self, op_type: str, *inputs: Operand, outputs: int = 1, domain: str = "", **attributes: Attribute
    ) -> ir.Value | list[ir.Value]:
        """Append a node and return its output, or a list of them if `outputs` is more than 1.

        Args:
            op_type: name of the ONNX operator.
            *inputs: ONNX values. Arrays and numbers become constants; None leaves out an optional input.
            outputs: number of outputs.
            domain: domain of the operator; empty for ONNX's own.
            **attributes: attributes of the node. One that is None is left out.
        """
        values = [
            value if value is None or isinstance(value, ir.Value) else self.constant(value)
            for value in inputs
        ]
        while values and values[-1] is None:  # onnxruntime 1.20 crashes on a trailing input without a name
            values.pop()
        given = {name: value for name, value in attributes.items() if value is not None}
        node = ir.node(
            op_type, values, given, domain=domain, num_outputs=outputs, name=self.unique_name(op_type)
        )
        for index, value in enumerate(node.outputs):
            value.name = f"{node.name}_{index}" if outputs > 1 else node.name
        self.graph.append(node)
        return node.outputs[0] if outputs == 1 else list(node.outputs)

    def constant(self, value: Array, name: str = "constant") -> ir.Value:
        """Add a constant: float32 for floats, int64 for Python integers, an array's own dtype otherwise."""
        array = np.asarray(value)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        elif array.dtype.kind == "i" and not isinstance(value, (np.ndarray, np.generic)):
            array = array.astype(np.int64)
        return add_constant(self.graph, array, self.unique_name(name))

    def weight(self, variable: Any, name: str = "weight") -> ir.Value:
        """Add a Keras variable, or an array, as a float32 constant."""
        return self.constant(np.asarray(variable, np.float32), name)

    def unique_name(self, kind: str) -> str:
        """A name for a node or a constant of this call: 'LAYER/KIND', numbered from the second one."""
        name = f"{self.name}/{kind}" if self.name else kind
        count = self._name_counts[name] = self._name_counts.get(name, 0) + 1
        return name if count == 1 else f"{name}_{count}"

    # Other layers

    def lower(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Lower what a function computes, such as a layer within this one, or a function of `keras.ops`.

        Args:
            function: a layer, or a Python function that calls layers and operations of `keras.ops`. It receives a
                `KerasTensor` for each Tensor among the arguments.
            *args: arguments of the function; Tensors, structures of them, and anything else.
            **kwargs: likewise.

        Returns:
            A Tensor for each tensor that the function returns, in its structure.

        Raises:
            Unsupported: the function calls something that has no lowering, or needs the value of a tensor.
        """
        if self.lower_function is None:
            raise ValueError(f"{self.name}: expected a builder of a model's conversion, got one without")
        return self.lower_function(self, function, args, kwargs)

    def loop(
        self, times: ir.Value, x: ir.Value, function: Callable[[Builder, ir.Value, ir.Value], ir.Value]
    ) -> ir.Value:
        """Apply a function several times: a Loop.

        Args:
            times: how often, an int64 scalar.
            x: what it is applied to first.
            function: called as `function(body, index, x)` with a builder of the loop's body; returns the next `x`.
        """
        name = self.unique_name("Loop")
        index, goes_on, state = (ir.Value(name=f"{name}/{kind}") for kind in ("index", "goes_on", "state"))
        index.type, index.shape = ir.TensorType(ir.DataType.INT64), ir.Shape([])
        goes_on.type, goes_on.shape = ir.TensorType(ir.DataType.BOOL), ir.Shape([])
        graph = ir.Graph(
            [index, goes_on, state], [], nodes=[], opset_imports=self.graph.opset_imports, name=name
        )
        body = dataclasses.replace(self, graph=graph)
        graph.outputs.extend([body.op("Identity", goes_on), function(body, index, state)])
        node = ir.node("Loop", [times, None, x], {"body": graph}, num_outputs=1, name=name)
        node.outputs[0].name = name
        self.graph.append(node)
        return node.outputs[0]

    def branch(self, x: ir.Value, dtype: ir.DataType) -> ir.Graph:
        """A graph without inputs that returns a value from around it: a branch of an If."""
        graph = ir.Graph(
            [], [], nodes=[], opset_imports=self.graph.opset_imports, name=self.unique_name("branch")
        )
        # Not an Identity, which the passes would remove: the value isn't one of the branch then.
        value = dataclasses.replace(self, graph=graph).op("Cast", x, to=int(dtype))
        value.type = ir.TensorType(dtype)
        graph.outputs.append(value)
        return graph

    # Tensors

    def tensor(
        self, value: ir.Value, shape: Shape, channels_first: bool = False, dtype: str | None = None
    ) -> Tensor:
        """A Tensor of a value, whose ONNX shape is recorded for the passes.

        Args:
            value: the ONNX value.
            shape: the shape that Keras has.
            channels_first: whether the value is in channels-first layout.
            dtype: the dtype that Keras has; None for that of the call's first output.
        """
        if dtype is None:
            dtype = self.output_dtypes[0] if self.output_dtypes else "float32"
        return record_shape(Tensor(value, shape, channels_first, dtype))

    def like(
        self, x: Tensor, value: ir.Value, shape: Shape | None = None, dtype: str | None = None
    ) -> Tensor:
        """A Tensor of `value` in the layout of `x`, with its shape and dtype unless others are given."""
        return self.tensor(value, x.shape if shape is None else shape, x.channels_first, dtype or x.dtype)

    def result(self, value: ir.Value, x: Tensor | None = None) -> Tensor:
        """A Tensor of `value` as the call's output, in the layout of `x` (default: Keras' own layout)."""
        return self.tensor(value, self.output_shapes[0], x is not None and x.channels_first)

    def note_mixed_rows(self) -> None:
        """Note that the rows of a tensor are not those of a batch: the nodes of a graph, which its edges mix."""
        self.graph.meta[MIXED_ROWS] = True

    # Layout

    def axis(self, x: Tensor, axis: int) -> int:
        """The axis of the ONNX value that is Keras' `axis` of `x`."""
        axis = axis % x.rank
        if not x.channels_first or axis == 0:
            return axis
        return 1 if axis == x.rank - 1 else axis + 1

    def channels_first(self, x: Tensor) -> Tensor:
        """`x`, which has its channels last in Keras, in channels-first layout."""
        if x.channels_first or x.rank < 3:
            return x
        return self._in_other_layout(x, (0, x.rank - 1, *range(1, x.rank - 1)))

    def keras_layout(self, x: Tensor) -> Tensor:
        """`x` in the layout that Keras has."""
        if not x.channels_first:
            return x
        return self._in_other_layout(x, (0, *range(2, x.rank), 1))

    def _in_other_layout(self, x: Tensor, order: Sequence[int]) -> Tensor:
        key, first = (x.value, x.channels_first), not x.channels_first
        if key not in self._other_layout:
            value = self._other_layout[key] = self.transpose(x.value, x.onnx_shape, order)
            self._other_layout[value, first] = x.value
        return self.tensor(self._other_layout[key], x.shape, first, x.dtype)

    def same_layout(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The tensors in one layout: channels first if one is and all have the same rank."""
        if any(x.channels_first for x in tensors) and len({x.rank for x in tensors}) == 1:
            return [self.channels_first(x) for x in tensors]
        return [self.keras_layout(x) for x in tensors]

    # Building blocks

    def transpose(self, value: ir.Value, shape: Shape, order: Sequence[int]) -> ir.Value:
        """Transpose a value of `shape`. A Reshape, which moves no data, is written if only axes of size 1 move."""
        if list(order) == list(range(len(order))):
            return value
        moved = [shape[axis] for axis in order]
        long = [axis for axis in order if shape[axis] != 1]
        if long == sorted(long) and moved.count(None) <= 1:
            return self.op("Reshape", value, [-1 if size is None else size for size in moved])
        return self.op("Transpose", value, perm=list(order))

    def reshape(self, value: ir.Value, shape: Shape) -> ir.Value:
        """Reshape to a shape with at most one dynamic dimension; a dynamic batch dimension is copied."""
        sizes = list(shape)
        if sizes and sizes[0] is None and None in sizes[1:]:
            sizes[0] = 0
        if sizes.count(None) > 1:
            raise Unsupported(f"a reshape to {tuple(shape)}, which has more than one dynamic dimension")
        return self.op("Reshape", value, np.array([-1 if size is None else size for size in sizes], np.int64))

    def affine(self, x: Tensor, scale: Array, shift: Array, axis: int, dtype: str | None = None) -> Tensor:
        """The map x * scale + shift with constants along one Keras axis, which `fold_affine` tries to fold."""
        size = x.shape[axis]
        if size is None:
            raise Unsupported(f"axis {axis} of size None (shape {x.shape}); its size has to be known")
        scales, shifts = (np.broadcast_to(np.asarray(v, np.float64), (size,)) for v in (scale, shift))
        name = self.unique_name("Affine")
        value = affine(self.graph, x.value, scales, shifts, self.axis(x, axis), name=name)
        return self.like(x, value, dtype=dtype)

    def reduce(self, op_type: str, value: ir.Value, axes: Sequence[int], keepdims: bool = True) -> ir.Value:
        """A Reduce operator; over no axes, the value. The axes became an input with opset 18 (ReduceSum: 13)."""
        if not axes:  # ONNX would reduce all of them
            return value
        if self.opset >= 18 or op_type == "ReduceSum":
            return self.op(op_type, value, np.array(axes, np.int64), keepdims=int(keepdims))
        return self.op(op_type, value, axes=list(axes), keepdims=int(keepdims))

    def require(self, opset: int, op_type: str) -> None:
        """Check that the graph's opset has an operator.

        Raises:
            OpsetTooLow: the opset is lower than `opset`.
        """
        if self.opset < opset:
            raise OpsetTooLow(f"{self.name}: {op_type}", opset, self.opset)


def record_shape(x: Tensor) -> Tensor:
    """Note a tensor's shape on its ONNX value, if it has none, for the passes; return the tensor."""
    if x.value.shape is None:
        x.value.shape = ir.Shape(list(x.onnx_shape))
    return x


def onnx_dtype(dtype: str) -> ir.DataType:
    """The graph's type for a Keras dtype: float32 for floats, int32 or int64 for integers, uint8, bool and string."""
    if dtype in ("bool", "uint8", "string"):
        return ir.DataType[dtype.upper()]
    if dtype in ("int64", "uint32", "uint64"):
        return ir.DataType.INT64
    return ir.DataType.INT32 if "int" in dtype else ir.DataType.FLOAT


def is_float(dtype: str) -> bool:
    """Whether a Keras dtype is a floating-point type."""
    return dtype.startswith(("float", "bfloat"))
