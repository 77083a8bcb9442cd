"""The functions of TensorFlow that a Keras 2 model calls between its layers, by those of `keras.ops`.

Keras 2 saves `tf.math.add(x, y)` on symbolic tensors as a layer TFOpLambda with the function's public name. The tables
of `tf_math`, `tf_arrays` and `tf_images` have for each name a function with TensorFlow's parameters.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from export.errors import UserError, one_line
from export.keras2.tf_arrays import ARRAYS
from export.keras2.tf_images import IMAGES
from export.keras2.tf_math import MATH

FUNCTIONS = {**MATH, **ARRAYS, **IMAGES}
_OF_LISTS = ("concat", "stack", "zeros", "ones", "fill")  # any other makes one tensor of a first list of them
_FORMER = ("compat.v1.nn.", "compat.v1.math.", "compat.v1.linalg.", "compat.v1.")


def call(function: str, arguments: Sequence[Any], named: dict[str, Any]) -> Any:
    """Call a function of TensorFlow by its public name, with what `keras.ops` has instead.

    Raises:
        UserError: there is no such function in the tables, or not with these arguments.
    """
    known = FUNCTIONS.get(public_name(function))
    if known is None:
        raise UserError(
            f"tf.{function}: expected a function that keras.ops has, too; build the model without it"
        )
    given = {key: value for key, value in named.items() if key != "name"}
    known_names = inspect.signature(known).parameters
    given = {key: value for key, value in given.items() if key in known_names or value is not None}
    try:
        inspect.signature(known).bind(*arguments, **given)
        if public_name(function) not in _OF_LISTS:
            arguments = [_packed(one) if index == 0 else one for index, one in enumerate(arguments)]
        return known(*arguments, **given)
    except (TypeError, ValueError) as error:
        reason = one_line(error, 200)
        raise UserError(
            f"tf.{function}: expected a call that keras.ops can stand for, got one {reason}"
        ) from error


def _packed(value: Any) -> Any:
    is_list = isinstance(value, list) and any(hasattr(one, "dtype") for one in value)
    return FUNCTIONS["stack"](value) if is_list else value


def public_name(function: str) -> str:
    """The name of a function in TensorFlow 2, for one of TensorFlow 1 with the same parameters, too."""
    if function in FUNCTIONS:
        return function
    for prefix in _FORMER:
        if function.startswith(prefix):
            rest = function.removeprefix("compat.v1.")
            return next(
                (name for name in (rest, f"math.{rest}", f"nn.{rest}") if name in FUNCTIONS), function
            )
    return next((name for name in (f"math.{function}", f"linalg.{function}") if name in FUNCTIONS), function)
