"""Operations that are lowered as what other operations of keras.ops compute."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras
from keras import ops

from export.builder import Builder
from export.lowerings.operands import cast
from export.lowerings.registry import LoweringFunction

Symbol = Any  # a `KerasTensor`, or a constant


def as_float(x: Symbol) -> Symbol:
    """`x`, which may be a number, in the floating-point dtype that Keras computes with."""
    return ops.cast(x, keras.backend.result_type(getattr(x, "dtype", type(x)), float))


def composed(function: Callable[..., Any]) -> LoweringFunction:
    """A lowering from a function of `keras.ops`, which is called with the operation and the inputs of the call.

    Example:
        >>> register_operation("swish2")(composed(lambda operation, x: x * ops.sigmoid(operation.beta * x)))
    """

    def lower(g: Builder, operation: keras.Operation, *args: Any, **kwargs: Any) -> Any:
        outputs = keras.tree.flatten(g.lower(functools.partial(function, operation), *args, **kwargs))
        return [
            replace(x, value=cast(g, x, dtype), dtype=dtype)
            for x, dtype in zip(outputs, g.output_dtypes, strict=True)
        ]

    return lower
