"""The layers of a model, and the objects among their arguments, from what Keras 2 wrote of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras

from export.errors import UserError
from export.keras2.addons import KNOWN_LAYERS
from export.keras2.config import MODELS, TF_CALLS, Config, class_name, layer_name, plain, registered_name
from export.keras2.hard_sigmoid import hard_sigmoid_of_keras_2
from export.keras2.lambdas import lambda_arguments
from export.keras2.packages import PACKAGES
from export.keras2.renames import ARGUMENTS, BEFORE, LAYERS, NEUTRAL, WITHOUT_EFFECT
from export.model_file import ADDONS

_OF_EVERY_LAYER = {"name", "trainable", "dtype", "activity_regularizer"}
_OF_LAMBDAS = ("function", "output_shape", "mask", "arguments")
_INNER_LAYERS = ("layer", "forward_layer", "backward_layer", "cell", "cells")
_ACTIVATIONS = {"hard_sigmoid": hard_sigmoid_of_keras_2}
# What an argument holds that ends in this, and whether a model computes the same without it.
_TRAINING_ONLY = {
    "_initializer": keras.initializers,
    "_regularizer": keras.regularizers,
    "_constraint": keras.constraints,
}


class Objects:
    """Makes the layers of one model.

    Args:
        custom_objects: the custom classes and functions by name.
        unsafe: whether the code of Lambda layers may be run.
        build_model: makes the model of a configuration that is within a layer.
    """

    def __init__(
        self, custom_objects: Mapping[str, Any], unsafe: bool, build_model: Callable[[Config], keras.Model]
    ) -> None:
        self._custom_objects = custom_objects
        self._unsafe = unsafe
        self._build_model = build_model

    def layer(self, config: Config) -> keras.layers.Layer:
        """Make a layer, or a model, from its configuration.

        Raises:
            UserError: Keras 3 has no such layer, or not with these arguments.
        """
        if class_name(config) in MODELS:
            return self._build_model(config)
        name = registered_name(config)
        kind = self._layer_class(name)
        arguments = {key: self._value(key, value) for key, value in config["config"].items()}
        arguments["name"] = layer_name(arguments.get("name"))
        arguments = {
            key: value
            for key, value in arguments.items()
            if value is not None or not key.endswith("_initializer")
        }
        if kind is keras.layers.Lambda:
            arguments |= lambda_arguments(config["config"], self._unsafe, self.find)
            arguments["arguments"] = plain(config["config"].get("arguments"))
            known = (*_OF_EVERY_LAYER, *_OF_LAMBDAS)
            return kind(**{key: value for key, value in arguments.items() if key in known})
        if kind.__module__.startswith("keras."):
            return kind(**_known_arguments(kind, name, arguments))
        arguments.pop("batch_input_shape", None)
        return kind(**arguments) if issubclass(kind, keras.layers.Wrapper) else kind.from_config(arguments)

    def _layer_class(self, name: str) -> type[keras.layers.Layer]:
        found = self.find(name)
        if not (inspect.isclass(found) and issubclass(found, keras.layers.Layer)):
            raise UserError(f"expected the class of a layer of the name {name}, got {found!r}")
        return found

    def find(self, name: str) -> Any:
        """A class or function by the name in the file: a custom one first; None if there is none."""
        custom = self._custom(name)
        if custom is not None:
            return custom
        if name.startswith(ADDONS):
            return KNOWN_LAYERS.get(name.removeprefix(ADDONS))
        return PACKAGES.get(name) or getattr(keras.layers, LAYERS.get(name, name), None)

    def _custom(self, name: str) -> Any:
        """A class or function that the user gave or registered with Keras."""
        for known in (name, name.rsplit(">", 1)[-1]):
            if known in self._custom_objects:
                return self._custom_objects[known]
        return keras.saving.get_registered_object(name)

    def _value(self, argument: str, value: Any) -> Any:
        """The value of an argument of a layer."""
        if argument in _INNER_LAYERS and isinstance(value, dict):
            return self.layer(value)
        if argument in _INNER_LAYERS and isinstance(value, list):
            return [self.layer(one) for one in value]
        if argument.endswith("activation") and value is not None:
            return self._activation(value)
        for ending, module in _TRAINING_ONLY.items():
            if argument.endswith(ending):
                return self._training_object(module, value)
        return plain(value)

    def _activation(self, value: Any) -> Any:
        if isinstance(value, dict) and isinstance(value.get("config"), dict):
            return self.layer(value)  # a layer
        name = str(value["config"] if isinstance(value, dict) else value)
        found = self.find_function(name)
        if found is None:
            raise UserError(f"expected an activation of the name {name}")
        return found

    def find_function(self, name: str) -> Any:
        """A function by the name in the file; None if there is none."""
        try:
            return self._custom(name) or _ACTIVATIONS.get(name) or keras.activations.get(name)
        except ValueError:
            return None

    def _training_object(self, module: Any, value: Any) -> Any:
        """An initializer, a regularizer or a constraint; None for one that Keras 3 does not have.

        The weights are read from the file, so that none of them changes what the model computes.
        """
        if not isinstance(value, (dict, str)):
            return None
        name = value if isinstance(value, str) else registered_name(value)
        kind = self._custom(name) or getattr(module, name, None)
        try:
            if isinstance(value, str):
                return module.get(name if kind is None else kind)
            if kind is None:
                return None
            known = inspect.signature(kind).parameters
            return kind(**{key: plain(one) for key, one in value["config"].items() if key in known})
        except (ValueError, TypeError):
            return None


def _known_arguments(kind: type[keras.layers.Layer], name: str, arguments: Config) -> Config:
    """The arguments of a stock layer under their names in Keras 3.

    Raises:
        UserError: Keras 3 does not have an argument, at a value that changes what the layer computes.
    """
    renamed = {ARGUMENTS.get(name, {}).get(key, key): value for key, value in arguments.items()}
    renamed = {**BEFORE.get(name, {}), **renamed}
    axis = renamed.get("axis")
    if kind is keras.layers.BatchNormalization and isinstance(axis, list) and len(axis) == 1:
        renamed["axis"] = axis[0]
    known = {*inspect.signature(kind.__init__).parameters, *_OF_EVERY_LAYER}
    for key, value in renamed.items():
        if key in known or key in WITHOUT_EFFECT or value is None or value in NEUTRAL.get(key, ()):
            continue
        raise UserError(
            f"{renamed.get('name')}: expected arguments of {kind.__name__} that Keras 3 has, got {key}={value!r}; "
            "build the model without it and save it again"
        )
    return {key: value for key, value in renamed.items() if key in known}


def missing_names(config: Any, objects: Objects) -> Iterator[str]:
    """The custom classes and functions that a configuration names and nobody has, in order."""
    if isinstance(config, list):
        for value in config:
            yield from missing_names(value, objects)
    if not isinstance(config, dict):
        return
    inner = config.get("config")
    if "class_name" in config and isinstance(inner, dict):
        name = registered_name(config)
        if (
            not _is_training_object(config)
            and class_name(config)
            not in (*MODELS, *TF_CALLS, "InputLayer", "Policy", "DTypePolicy", "__lambda__")
            and objects.find(name) is None
        ):
            yield name
    for key, value in config.items():
        if key.endswith("activation") and value is not None and not isinstance(value, dict):
            if objects.find_function(str(value)) is None:
                yield str(value)
        elif key.endswith("activation") and isinstance(value, dict) and isinstance(value.get("config"), str):
            if objects.find_function(value["config"]) is None:
                yield value["config"]
        elif not key.endswith(tuple(_TRAINING_ONLY)) and key not in ("build_config", "compile_config"):
            yield from missing_names(value, objects)


def _is_training_object(config: Config) -> bool:
    modules = (keras.initializers, keras.regularizers, keras.constraints)
    return any(hasattr(module, str(config["class_name"])) for module in modules)
