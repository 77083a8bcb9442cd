"""SizedCall: a layer that calls a function of TensorFlow with dynamic sizes among its arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from export.errors import UserError
from export.keras2.sizes import CALCULATIONS, Size
from export.keras2.tf_functions import call


def call_with_sizes(function: str, arguments: Sequence[Any], named: dict[str, Any], name: str) -> Any:
    """Call a function of TensorFlow, with sizes among its arguments, on symbolic tensors."""
    tensors: list[keras.KerasTensor] = []
    encoded = [_encode(list(arguments), tensors), _encode(named, tensors)]
    if not tensors:
        raise UserError(f"{name}: expected a tensor among the arguments of tf.{function}, got none")
    return SizedCall(function, encoded[0], encoded[1], name=name)(tensors)


def _encode(value: Any, tensors: list[keras.KerasTensor]) -> Any:
    """A structure of arguments as JSON, with the tensors in it numbered."""
    if isinstance(value, keras.KerasTensor):
        return {"tensor": _number(value, tensors)}
    if isinstance(value, Size):
        one, two = value.arguments
        if value.operation == "size":
            return {"size_of": _number(one, tensors), "axis": two}
        return {"calculate": value.operation, "of": [_encode(one, tensors), _encode(two, tensors)]}
    if isinstance(value, slice):
        return {"slice": [_encode(one, tensors) for one in (value.start, value.stop, value.step)]}
    if value is Ellipsis:
        return {"ellipsis": True}
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return {"named": {key: _encode(one, tensors) for key, one in value.items()}}
    return [_encode(one, tensors) for one in value] if isinstance(value, (list, tuple)) else value


def _number(tensor: keras.KerasTensor, tensors: list[keras.KerasTensor]) -> int:
    for index, one in enumerate(tensors):
        if one is tensor:
            return index
    tensors.append(tensor)
    return len(tensors) - 1


def _decode(value: Any, tensors: Sequence[Any]) -> Any:
    if isinstance(value, list):
        return [_decode(one, tensors) for one in value]
    if not isinstance(value, dict):
        return value
    if "tensor" in value:
        return tensors[value["tensor"]]
    if "size_of" in value:
        return keras.ops.shape(tensors[value["size_of"]])[value["axis"]]
    if "calculate" in value:
        one, two = _decode(value["of"], tensors)
        return CALCULATIONS[value["calculate"]](one, two)
    if "slice" in value:
        return slice(*_decode(value["slice"], tensors))
    if "ellipsis" in value:
        return Ellipsis
    return {key: _decode(one, tensors) for key, one in value["named"].items()}


@keras.saving.register_keras_serializable("kerasnorm")
class SizedCall(keras.layers.Layer):
    """A call of a function of TensorFlow with dynamic sizes among its arguments.

    Args:
        function: the public name of the function, without `tf.`.
        arguments: its positional arguments, with tensors and sizes as `call_with_sizes` encodes them.
        named: its keyword arguments, likewise.
    """

    def __init__(self, function: str, arguments: list[Any], named: dict[str, Any], **options: Any) -> None:
        super().__init__(**{"autocast": False, **options})
        self.function = function
        self.arguments = arguments
        self.named = named

    def build(self, input_shape: Any) -> None:
        """Nothing to create."""
        self.built = True

    def call(self, tensors: list[Any]) -> Any:
        """Call the function."""
        return call(self.function, _decode(self.arguments, tensors), _decode(self.named, tensors))

    def get_config(self) -> dict[str, Any]:
        """The arguments that `from_config` takes."""
        return {
            **super().get_config(),
            "function": self.function,
            "arguments": self.arguments,
            "named": self.named,
        }
