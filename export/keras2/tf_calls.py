"""Calls of TensorFlow's functions while a model is built, on symbolic tensors and dynamic sizes."""

from __future__ import annotations

from typing import Any

import keras

from export.keras2.sized_call import call_with_sizes
from export.keras2.sizes import calculate, holds_size, shape_of
from export.keras2.tf_functions import call, public_name
from export.keras2.tf_images import OF_SIZES

_SHAPES = ("shape", "compat.v1.shape")


def call_symbolically(function: str, first: Any, named: dict[str, Any], name: str) -> Any:
    """Call a function of TensorFlow while a model is built, where sizes can take the place of tensors.

    Args:
        function: its public name, without `tf.`.
        first: its first argument.
        named: the others.
        name: the name of the layer that stood for the call.
    """
    if function in _SHAPES:
        return shape_of(first)
    arguments = [first, named]
    tensors = [x for x in keras.tree.flatten(arguments) if isinstance(x, keras.KerasTensor)]
    if not tensors:
        try:
            return calculate(function, first, named)
        except KeyError:
            if not holds_size(arguments):
                return call(function, [first], named)
    dynamic = public_name(function) in OF_SIZES and None in first.shape[1:]
    if dynamic or holds_size(arguments):
        return call_with_sizes(function, [first], named, name)
    result = call(function, [first], named)
    _name_operations(result, tensors, name)
    return result


def _name_operations(result: Any, inputs: list[keras.KerasTensor], name: str) -> None:
    """Name the operations from the inputs to a result after the layer that stood for them.

    Keras names them by their functions, so that one named `multiply` would collide with a layer of that name.
    """
    known = {id(tensor) for tensor in inputs}
    waiting = [x for x in keras.tree.flatten(result) if isinstance(x, keras.KerasTensor)]
    count = 0
    while waiting:
        tensor = waiting.pop(0)
        if id(tensor) in known:
            continue
        known.add(id(tensor))
        operation, index, _ = tensor._keras_history
        operation.name = f"{name}.{count}" if count else name
        count += 1
        waiting += operation._inbound_nodes[index].input_tensors
