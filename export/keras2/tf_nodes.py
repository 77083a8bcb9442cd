"""TensorFlowOpLayer: a single operation, by its node in TensorFlow's graph, as TensorFlow 2.0 to 2.3 saved it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from export.errors import UserError
from export.keras2.tf_calls import call_symbolically

# The operation of a node: the function of TensorFlow, with the names of the arguments after the first.
_FUNCTIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    **{
        node: (f"math.{function}", ("y",))
        for node, function in {
            "Add": "add", "AddV2": "add", "Sub": "subtract", "Mul": "multiply", "RealDiv": "truediv", "Pow": "pow",
            "FloorDiv": "floordiv", "FloorMod": "floormod", "Maximum": "maximum", "Minimum": "minimum",
            "SquaredDifference": "squared_difference", "Equal": "equal", "NotEqual": "not_equal", "Less": "less",
            "LessEqual": "less_equal", "Greater": "greater", "GreaterEqual": "greater_equal",
            "LogicalAnd": "logical_and", "LogicalOr": "logical_or",
        }.items()
    },
    **{
        node: (f"math.{node.lower()}", ())
        for node in ("Abs", "Sign", "Square", "Sqrt", "Rsqrt", "Exp", "Log", "Log1p", "Sin", "Cos", "Tanh", "Erf",
                     "Floor", "Ceil", "Round", "Reciprocal", "Sigmoid", "Softplus")
    },
    **{
        node: (f"math.reduce_{function}", ("axis",))
        for node, function in {"Mean": "mean", "Sum": "sum", "Max": "max", "Min": "min", "Prod": "prod"}.items()
    },
    "Neg": ("math.negative", ()),
    "Relu": ("nn.relu", ()),
    "Relu6": ("nn.relu6", ()),
    "Elu": ("nn.elu", ()),
    "Selu": ("nn.selu", ()),
    "Softsign": ("nn.softsign", ()),
    "Softmax": ("nn.softmax", ()),
    "BiasAdd": ("nn.bias_add", ("bias",)),
    "Identity": ("identity", ()),
    "StopGradient": ("stop_gradient", ()),
    "Shape": ("shape", ()),
    "Reshape": ("reshape", ("shape",)),
    "ExpandDims": ("expand_dims", ("axis",)),
    "Transpose": ("transpose", ("perm",)),
    "Tile": ("tile", ("multiples",)),
    "GatherV2": ("gather", ("indices", "axis")),
    "Select": ("where", ("x", "y")),
    "SelectV2": ("where", ("x", "y")),
    "ArgMax": ("math.argmax", ("axis",)),
}  # fmt: skip


def node_call(name: str, config: dict[str, Any], tensors: Sequence[Any]) -> Any:
    """Repeat the operation of a node on symbolic tensors.

    Args:
        name: the name of the layer.
        config: its configuration: the node, and the inputs that are constants by their positions.
        tensors: the other inputs, in order.

    Raises:
        UserError: `keras.ops` has no such operation.
    """
    node = config["node_def"]
    operation = str(node["op"] if isinstance(node, dict) else "")
    attributes = node.get("attr", {}) if isinstance(node, dict) else {}
    constants = {int(position): value for position, value in config.get("constants", {}).items()}
    rest = iter(tensors)
    inputs = [
        constants[position] if position in constants else next(rest)
        for position in range(len(constants) + len(tensors))
    ]
    make = _SPECIAL.get(operation)
    if make is not None:
        function, first, named = make(inputs, attributes)
    elif operation in _FUNCTIONS:
        function, names = _FUNCTIONS[operation]
        first, named = inputs[0], dict(zip(names, inputs[1:], strict=True))
        if _flag(attributes, "keep_dims"):
            named["keepdims"] = True
    else:
        raise UserError(
            f"{name}: expected an operation that keras.ops has, too, got TensorFlow's {operation or node!r}; build the "
            "model without it"
        )
    return call_symbolically(function, first, named, name)


def _flag(attributes: dict[str, Any], name: str) -> bool:
    return bool(attributes.get(name, {}).get("b", False))


def _concat(inputs: list[Any], attributes: dict[str, Any]) -> tuple[str, Any, dict[str, Any]]:
    return "concat", inputs[:-1], {"axis": inputs[-1]}


def _stack(inputs: list[Any], attributes: dict[str, Any]) -> tuple[str, Any, dict[str, Any]]:
    return "stack", inputs, {"axis": int(attributes.get("axis", {}).get("i", 0))}


def _squeeze(inputs: list[Any], attributes: dict[str, Any]) -> tuple[str, Any, dict[str, Any]]:
    axes = attributes.get("squeeze_dims", {}).get("list", {}).get("i", [])
    return "squeeze", inputs[0], {"axis": [int(axis) for axis in axes] or None}


def _pad(inputs: list[Any], attributes: dict[str, Any]) -> tuple[str, Any, dict[str, Any]]:
    return "pad", inputs[0], dict(zip(("paddings", "constant_values"), inputs[1:], strict=False))


def _matmul(inputs: list[Any], attributes: dict[str, Any]) -> tuple[str, Any, dict[str, Any]]:
    flags = {
        f"transpose_{side}": _flag(attributes, f"transpose_{side}") or _flag(attributes, f"adj_{other}")
        for side, other in (("a", "x"), ("b", "y"))
    }
    return "linalg.matmul", inputs[0], {"b": inputs[1], **flags}


def _resize(inputs: list[Any], attributes: dict[str, Any]) -> tuple[str, Any, dict[str, Any]]:
    named = {"size": inputs[1], "half_pixel_centers": _flag(attributes, "half_pixel_centers")}
    return "compat.v1.image.resize", inputs[0], named


def _slice(inputs: list[Any], attributes: dict[str, Any]) -> tuple[str, Any, dict[str, Any]]:
    """StridedSlice: bit i of a mask says that its item i is a whole axis, a new axis, or a single index."""
    begin, end, strides = inputs[1:4]
    masks = {
        name: int(attributes.get(f"{name}_mask", {}).get("i", 0))
        for name in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")
    }
    items: list[Any] = []
    for index, (start, stop, step) in enumerate(zip(begin, end, strides, strict=True)):
        has = {name: bool(mask >> index & 1) for name, mask in masks.items()}
        if has["ellipsis"]:
            items.append(Ellipsis)
        elif has["new_axis"]:
            items.append(None)
        elif has["shrink_axis"]:
            items.append(start)
        else:
            items.append(slice(None if has["begin"] else start, None if has["end"] else stop, step))
    return "__operators__.getitem", inputs[0], {"slice_spec": tuple(items)}


_SPECIAL: dict[str, Callable[[list[Any], dict[str, Any]], tuple[str, Any, dict[str, Any]]]] = {
    "ConcatV2": _concat,
    "Pack": _stack,
    "Squeeze": _squeeze,
    "Pad": _pad,
    "PadV2": _pad,
    "MatMul": _matmul,
    "BatchMatMulV2": _matmul,
    "ResizeBilinear": _resize,
    "StridedSlice": _slice,
}
