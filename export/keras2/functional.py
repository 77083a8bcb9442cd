"""A Functional or Sequential model, call by call, from the configuration that Keras 2 wrote of it.

A layer has a list of its calls, its inbound nodes. A tensor is `[layer, call, output]`. The tensors of the first
argument have the keyword arguments of the call besides:

    {"class_name": "Conv2D", "name": "conv", "config": {...}, "inbound_nodes": [[["image", 0, 0, {}]]]}
"""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

import keras

from export.errors import UserError
from export.keras2.config import MODELS, TF_CALLS, Config, class_name, layer_name, plain
from export.keras2.objects import Objects, missing_names
from export.keras2.sizes import holds_size
from export.keras2.tf_calls import call_symbolically
from export.keras2.tf_nodes import node_call

CONSTANT = "_CONSTANT_VALUE"


def build_model(
    config: Config, custom_objects: Mapping[str, Any] | None = None, unsafe: bool = False
) -> keras.Model:
    """Build a model, with new weights.

    Args:
        config: the configuration of a Functional or Sequential model.
        custom_objects: the custom classes and functions by name.
        unsafe: run the code of Lambda layers.

    Raises:
        UserError: Keras 3 can't express the model, or it needs code that Keras does not have.
    """

    def build(one: Config) -> keras.Model:
        kind = class_name(one)
        inner = one["config"]
        if kind == "Sequential":
            return _sequential(inner if isinstance(inner, dict) else {"layers": inner}, objects)
        if kind in MODELS and "layers" in inner:
            return _Graph(inner, objects).build()
        raise UserError(
            f"expected a Functional or Sequential model, got {kind}, of which Keras 2 saved no graph; build it by the "
            "functional API and save it again"
        )

    objects = Objects(custom_objects or {}, unsafe, build)
    missing = list(dict.fromkeys(missing_names(config, objects)))
    if missing and class_name(config) in MODELS:
        raise UserError(
            f"it needs code that Keras does not have: {', '.join(missing)}; name the Python file with --import "
            "my_layers.py"
        )
    return build(config)


def _sequential(config: Config, objects: Objects) -> keras.Sequential:
    layers = config["layers"]
    shape = plain(config.get("build_input_shape"))
    found: list[Any] = []
    for index, one in enumerate(layers):
        inner = one["config"] if isinstance(one["config"], dict) else {}
        if class_name(one) == "InputLayer":
            found.append(_input(inner))
            continue
        if index == 0 and (inner.get("batch_input_shape") or shape):
            is_lookup = class_name(one) == "Embedding"
            dtype = "int32" if is_lookup else plain(inner.get("dtype"))
            found.append(keras.Input(batch_shape=plain(inner.get("batch_input_shape") or shape), dtype=dtype))
        found.append(objects.layer(one))
    return keras.Sequential(found, name=layer_name(config.get("name")))


def _input(config: Config) -> keras.KerasTensor:
    if config.get("ragged") or config.get("sparse"):
        kind = "ragged" if config.get("ragged") else "sparse"
        raise UserError(
            f"{config.get('name')}: expected a dense input, got a {kind} one; build the model without it"
        )
    shape = plain(config.get("batch_input_shape", config.get("batch_shape")))
    return keras.Input(
        batch_shape=shape, dtype=plain(config.get("dtype")), name=layer_name(config.get("name"))
    )


class _Graph:
    """The calls of a Functional model while they are repeated."""

    def __init__(self, config: Config, objects: Objects) -> None:
        self._config = config
        self._objects = objects
        self._configs: dict[str, Config] = {one["name"]: one for one in config["layers"]}
        self._layers: dict[str, keras.layers.Layer] = {}
        self._outputs: dict[tuple[str, int], list[Any]] = {}  # of each call

    def build(self) -> keras.Model:
        """Repeat all calls, each when its inputs are there."""
        first = self._first_calls()
        waiting = deque(
            (name, first.get(name, 0) + number, node)
            for name, one in self._configs.items()
            for number, node in enumerate(one.get("inbound_nodes", []))
        )
        for name, one in self._configs.items():
            if class_name(one) == "InputLayer":
                self._outputs[name, 0] = [_input({"name": name, **one["config"]})]
        postponed = 0
        while waiting:
            name, number, node = waiting.popleft()
            if all((one[0], one[1]) in self._outputs for one in self._tensors_in(node)):
                self._outputs[name, number] = self._call(name, node)
                postponed = 0
                continue
            waiting.append((name, number, node))
            postponed += 1
            if postponed > len(waiting):
                raise UserError(
                    f"{name}: expected inputs that the model computes, got others: the file is damaged"
                )
        ends = [self._ends(self._config[key]) for key in ("input_layers", "output_layers")]
        return keras.Model(*ends, name=layer_name(self._config.get("name")))

    def _first_calls(self) -> dict[str, int]:
        """The number of the first call of each model: 1, or 0 if it was not built before that call."""
        lowest: dict[str, int] = {}
        parts = [one.get("inbound_nodes", []) for one in self._configs.values()]
        for name, number, *_ in self._tensors_in([parts, self._config["output_layers"]]):
            if class_name(self._configs[name]) in MODELS:
                lowest[name] = min(number, lowest.get(name, number))
        return lowest

    def _is_tensor(self, value: Any) -> bool:
        if not isinstance(value, list) or len(value) not in (3, 4) or not isinstance(value[0], str):
            return False
        return value[0] in self._configs and isinstance(value[1], int) and isinstance(value[2], int)

    def _tensors_in(self, value: Any) -> Iterator[list[Any]]:
        """The references to tensors in a structure, and in the keyword arguments within."""
        if self._is_tensor(value):
            yield value
            value = value[3:]
        if isinstance(value, (list, dict)):
            for one in value.values() if isinstance(value, dict) else value:
                yield from self._tensors_in(one)

    def _fill(self, value: Any) -> Any:
        """A structure with tensors, or sizes, in the place of references."""
        if self._is_tensor(value):
            return self._outputs[value[0], value[1]][value[2]]
        if isinstance(value, list) and len(value) in (3, 4) and value[0] == CONSTANT:
            return plain(value[2])
        if isinstance(value, list):
            return [self._fill(one) for one in value]
        if not isinstance(value, dict):
            return value
        if set(value) == {"start", "stop", "step"}:
            return slice(*(self._fill(value[key]) for key in ("start", "stop", "step")))
        if "class_name" in value:
            filled = plain(value)
            return filled if filled == value or filled is Ellipsis else self._fill(filled)
        return {key: self._fill(one) for key, one in value.items()}

    def _ends(self, value: Any) -> Any:
        """The inputs or the outputs of the model; a single one is not in a list."""
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        return self._fill(value)

    def _call(self, name: str, node: Any) -> list[Any]:
        """Repeat a call, and return its outputs."""
        config = self._configs[name]
        first, named = self._fill(_without_arguments(node)), self._fill(_arguments(node))
        if class_name(config) in TF_CALLS:
            return self._call_of_tensorflow(config, first, named)
        if name not in self._layers:
            self._layers[name] = self._objects.layer(config)
        layer = self._layers[name]
        if isinstance(first, list) and len(first) == 1:
            first = first[0]
        if holds_size(first) or not any(isinstance(x, keras.KerasTensor) for x in keras.tree.flatten(first)):
            raise UserError(f"{name}: expected tensors, got sizes or constants; build the model without them")
        if isinstance(first, list) and isinstance(layer, (keras.layers.RNN, keras.layers.Bidirectional)):
            first, named = first[0], {**named, "initial_state": first[1:]}
        return list(keras.tree.flatten(layer(first, **_call_arguments(layer, named))))

    def _call_of_tensorflow(self, config: Config, first: Any, named: Config) -> list[Any]:
        name = str(layer_name(config["name"]))
        if class_name(config) == "TensorFlowOpLayer":
            result = node_call(name, config["config"], first if isinstance(first, list) else [first])
        else:
            if "slice_spec" in named:
                spec = named["slice_spec"]
                named["slice_spec"] = tuple(spec) if isinstance(spec, list) else (spec,)
            result = call_symbolically(str(config["config"]["function"]), first, named, name)
        # A list of tensors is several outputs, one of sizes is what tf.shape returns.
        several = isinstance(result, list) and all(isinstance(one, keras.KerasTensor) for one in result)
        return result if several or config["config"].get("function") == "unstack" else [result]


def _call_arguments(layer: keras.layers.Layer, named: Config) -> Config:
    """The keyword arguments of a call that Keras 3 has, too.

    Raises:
        UserError: it does not have one of them.
    """
    parameters = inspect.signature(layer.call).parameters
    takes_any = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values())
    found = {}
    for key, value in named.items():
        if value is None:
            continue
        if key in parameters or takes_any:
            found[key] = value
        elif key not in ("training", "name"):
            raise UserError(
                f"{layer.name}: expected arguments that {type(layer).__name__} of Keras 3 takes in a call, got {key}"
            )
    return found


def _is_leaf(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) in (3, 4)
        and isinstance(value[0], str)
        and isinstance(value[1], int)
    )


def _without_arguments(node: Any) -> Any:
    """The first argument of a call, as a structure of references alone."""
    if _is_leaf(node):
        return node[:3]
    if isinstance(node, dict):
        return {key: _without_arguments(one) for key, one in node.items()}
    return [_without_arguments(one) for one in node]


def _arguments(node: Any) -> Config:
    """The keyword arguments of a call, which stand with each tensor of its first argument."""
    while isinstance(node, (list, dict)) and not _is_leaf(node):
        if not node:
            return {}
        node = next(iter(node.values())) if isinstance(node, dict) else node[0]
    found = node[3] if len(node) > 3 else {}
    return found if isinstance(found, dict) else {}
