"""Lambda layers that Keras 2 saved: the bytecode of a Python function, or the name of one."""

from __future__ import annotations

import base64
import dis
import marshal
import types
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from export.errors import UserError
from export.keras2.config import plain
from export.terminal import escape

_OTHER_PYTHON = (
    "its Lambda {name!r} is bytecode of another version of Python, which can't be run here; save the model again "
    "with this one, or without the Lambda"
)


def lambda_arguments(config: dict[str, Any], unsafe: bool, find: Callable[[str], Any]) -> dict[str, Any]:
    """The functions of a Lambda layer, as arguments of Keras 3's.

    Args:
        config: the configuration of the layer.
        unsafe: whether code in the file may be run.
        find: a function by its name.

    Raises:
        UserError: the code may not be run, can't be run, or has not been found.
    """
    found: dict[str, Any] = {}
    for argument in ("function", "output_shape", "mask"):
        value = config.get(argument)
        kind = config.get(f"{argument}_type", "raw")
        if _is_code(value, kind):
            found[argument] = _code(value, str(config.get("name")), unsafe)
        elif kind == "function" or (isinstance(value, dict) and value.get("class_name") == "function"):
            name = str(value["config"] if isinstance(value, dict) else value)
            found[argument] = find(name)
            if found[argument] is None:
                raise UserError(
                    f"it needs code that Keras does not have: {name}; name the Python file with --import my_layers.py"
                )
        elif argument == "output_shape" and value is not None:
            found[argument] = tuple(plain(value))
    return found


def _is_code(value: Any, kind: str) -> bool:
    if isinstance(value, dict):
        return value.get("class_name") == "__lambda__"
    return kind == "lambda" or (isinstance(value, list) and len(value) == 3 and isinstance(value[0], str))


def _code(value: Any, name: str, unsafe: bool) -> types.FunctionType:
    if not unsafe:
        raise UserError(
            "it has a Lambda layer, whose code is not run; build the model without it and save it again, or give "
            "--unsafe if the file is your own"
        )
    if isinstance(value, dict):
        inner = value["config"]
        value = [inner["code"], inner["defaults"], inner["closure"]]
    text, defaults, closure = value
    try:
        code = marshal.loads(base64.b64decode(text))
    except (EOFError, ValueError, TypeError):
        raise UserError(_OTHER_PYTHON.format(name=escape(name))) from None
    if not isinstance(code, types.CodeType) or not _is_of_this_python(code):
        raise UserError(_OTHER_PYTHON.format(name=escape(name)))
    cells = tuple(types.CellType(one) for one in closure or ())
    return types.FunctionType(code, _names(), code.co_name, tuple(defaults or ()), cells or None)


def _is_of_this_python(code: types.CodeType) -> bool:
    """Whether all instructions of a function are known here, and it starts as a function of this version does."""
    try:
        names = [instruction.opname for instruction in dis.get_instructions(code)]
    except Exception:  # bytecode of another version raises anything
        return False
    starts = not hasattr(dis, "opmap") or "RESUME" not in dis.opmap or "RESUME" in names[:3]
    return starts and not any(name.startswith("<") for name in names)


def _names() -> dict[str, Any]:
    """The modules that a Lambda finds by the names which Keras 2's own module had for them."""
    names: dict[str, Any] = {
        "keras": keras,
        "K": keras.backend,
        "backend": keras.backend,
        "np": np,
        "ops": keras.ops,
    }
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        names |= {"tf": tf, "K": tf.keras.backend, "backend": tf.keras.backend}
    return names
