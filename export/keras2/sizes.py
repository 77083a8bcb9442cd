"""Dynamic sizes in a Keras 2 model: `tf.shape(x)` of a dynamic dimension, and what the model calculates from it.

While a model is built, the size of a dynamic dimension is a `Size`: which axis of which tensor, or a calculation. A
function of TensorFlow that takes one becomes a `SizedCall`, a layer that has those sizes at
hand when it is called.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

CALCULATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "floordiv": operator.floordiv,
    "mod": operator.mod,
}
_SAME = {
    "__operators__.sub": "subtract",
    "__operators__.mul": "multiply",
    "math.floormod": "mod",
    "compat.v1.floor_div": "floordiv",
}


@dataclass(frozen=True, eq=False)
class Size:
    """A size that is not known before the model is called.

    Attributes:
        operation: 'size' of an axis of a tensor, or the calculation.
        arguments: the tensor and the axis, or what is calculated from.
    """

    operation: str
    arguments: tuple[Any, Any]


def shape_of(x: keras.KerasTensor) -> list[int | Size]:
    """What tf.shape returns."""
    return [Size("size", (x, axis)) if size is None else size for axis, size in enumerate(x.shape)]


def holds_size(value: Any) -> bool:
    """Whether a value is or holds a dynamic size."""
    if isinstance(value, slice):
        value = [value.start, value.stop, value.step]
    if isinstance(value, dict):
        value = list(value.values())
    return any(map(holds_size, value)) if isinstance(value, (list, tuple)) else isinstance(value, Size)


def calculate(function: str, first: Any, arguments: dict[str, Any]) -> Any:
    """A function of TensorFlow on sizes and numbers.

    Raises:
        KeyError: it is not one that sizes are calculated with.
    """
    if function == "__operators__.getitem":
        (item,) = arguments["slice_spec"]
        return first[item]
    if function in ("cast", "identity"):
        if "float" in str(arguments.get("dtype", "")):
            raise KeyError(function)
        return first
    if function in ("unstack", "stack"):
        return list(first)
    if function == "concat":
        return [one for part in first for one in (part if isinstance(part, list) else [part])]
    if function == "math.reduce_prod":
        product = 1
        for one in first:
            product = _calculated("multiply", product, one)
        return product
    name = _SAME.get(function, function.rsplit(".", 1)[-1])
    if name not in CALCULATIONS:
        raise KeyError(function)
    other = arguments["y"]
    if isinstance(first, list) or isinstance(other, list):
        count = len(first) if isinstance(first, list) else len(other)
        pairs = zip(*(one if isinstance(one, list) else [one] * count for one in (first, other)), strict=True)
        return [_calculated(name, one, two) for one, two in pairs]
    return _calculated(name, first, other)


def _calculated(name: str, one: Any, two: Any) -> Any:
    if isinstance(one, Size) or isinstance(two, Size):
        return Size(name, (one, two))
    return CALCULATIONS[name](one, two)
