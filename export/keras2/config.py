"""A model's configuration as Keras 2 wrote it, in the form that Keras 3 reads.

Keras 3 expects the module of each object, plain lists in place of tagged tuples, the name of a dtype policy in
place of its configuration, and no arguments that it has dropped.
"""

from __future__ import annotations

import inspect
from typing import Any

import keras

from export.model_file import ADDONS

_MODELS = ("Functional", "Model", "Sequential")
_MODULES = {  # by the ending of the argument that an object is the value of
    "_initializer": "keras.initializers",
    "_regularizer": "keras.regularizers",
    "_constraint": "keras.constraints",
}
_LAYER_ARGUMENTS = {"name", "trainable", "dtype", "activity_regularizer"}  # what every layer takes


def to_keras_3(config: Any, argument: str = "") -> Any:
    """Bring a configuration of Keras 2 to Keras 3's form.

    Args:
        config: the configuration of a model, or any part of one.
        argument: the argument that `config` is the value of.

    Raises:
        ValueError: Keras 3 can't express the configuration.
    """
    if isinstance(config, list):
        return [to_keras_3(item) for item in config]
    if not isinstance(config, dict):
        return config
    if config.get("class_name") == "__tuple__":
        return [to_keras_3(item) for item in config["items"]]
    if config.get("class_name") == "Policy":
        return config["config"]["name"]
    if "class_name" not in config or not isinstance(config.get("config"), dict):
        return {name: to_keras_3(value, name) for name, value in config.items()}
    return _object_to_keras_3(config, argument)


def _object_to_keras_3(config: dict[str, Any], argument: str) -> dict[str, Any]:
    """A layer, a model, or an object such as an initializer."""
    name = str(config.get("registered_name") or config["class_name"])
    arguments = {key: to_keras_3(value, key) for key, value in config["config"].items()}
    shape = arguments.pop("batch_input_shape", None)
    if name == "InputLayer" and shape is not None:
        arguments["batch_shape"] = shape
    module = _module(name, argument)
    if name in _MODELS:
        arguments = _count_calls_from_0(arguments)
        for ends in ("input_layers", "output_layers"):
            # Keras 2 writes a list of one for a single tensor. Keras 3 would then call the model with a list.
            if isinstance(arguments.get(ends), list) and len(arguments[ends]) == 1:
                arguments[ends] = arguments[ends][0]
    elif module == "keras.layers":
        arguments = _layer_arguments(name, arguments)
    rest = {key: value for key, value in config.items() if key not in ("module", "config", "build_config")}
    return {
        **rest,
        "module": module,
        "class_name": "Model" if name == "Functional" else name.removeprefix(ADDONS),
        "registered_name": name if module is None else None,
        "config": arguments,
    }


def _module(name: str, argument: str) -> str | None:
    """The public module of an object; None for a layer of tensorflow-addons."""
    if name.startswith(ADDONS):
        return None
    if name in _MODELS:
        return "keras"
    kinds = (module for ending, module in _MODULES.items() if argument.endswith(ending))
    return next(kinds, "keras.layers")


def _layer_arguments(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a stock layer, without those that Keras 3 has dropped."""
    if arguments.get("time_major"):
        raise ValueError(f"{arguments.get('name')}: {name} with time_major=True, which Keras 3 does not have")
    axis = arguments.get("axis")
    if name == "BatchNormalization" and isinstance(axis, list) and len(axis) == 1:
        arguments["axis"] = axis[0]
    kind = getattr(keras.layers, name, None)
    if kind is None:
        return arguments  # Keras names the unknown layer in its error
    known = {*inspect.signature(kind.__init__).parameters, *_LAYER_ARGUMENTS}
    return {key: value for key, value in arguments.items() if key in known}


def _count_calls_from_0(model: dict[str, Any]) -> dict[str, Any]:
    """Renumber the calls of Sequential models within a model.

    Keras 2 counts the calls of a Sequential model from 1, or from 0 if it was not built before its first call. Keras 3
    counts from 0.
    """
    layers = model["layers"]
    sequential = {layer.get("name") for layer in layers if layer.get("class_name") == "Sequential"}
    calls: dict[str, set[int]] = {}  # of each Sequential model, the numbers of its calls

    def is_call(value: list[Any]) -> bool:
        # The lists around calls are seen, too: they start with another list.
        is_node = len(value) >= 3 and isinstance(value[0], str) and isinstance(value[1], int)
        return is_node and value[0] in sequential

    def collect(value: Any) -> None:
        if isinstance(value, list) and is_call(value):
            calls.setdefault(value[0], set()).add(value[1])
        if isinstance(value, (list, dict)):
            for item in value.values() if isinstance(value, dict) else value:
                collect(item)

    def renumber(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: renumber(item) for key, item in value.items()}
        if not isinstance(value, list):
            return value
        if is_call(value):
            shift = 1 if min(calls[value[0]]) else 0
            return [value[0], value[1] - shift, *(renumber(item) for item in value[2:])]
        return [renumber(item) for item in value]

    parts = {key: model[key] for key in ("input_layers", "output_layers") if key in model}
    nodes = [layer["inbound_nodes"] for layer in layers if "inbound_nodes" in layer]
    collect([list(parts.values()), nodes])
    renumbered = [
        {**layer, "inbound_nodes": renumber(layer["inbound_nodes"])} if "inbound_nodes" in layer else layer
        for layer in layers
    ]
    return {**model, **renumber(parts), "layers": renumbered}
