"""Inputs for a model of which Keras keeps no graph: a subclass with its own `call`, or a model without an Input.

The model's `call` is recorded on symbolic inputs, so that its layers form a graph like that of a Functional model. If
that is impossible, the graph has one layer: the model itself.
"""

from __future__ import annotations

import contextlib
import inspect
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

from export.errors import Unsupported, UserError, reason_of
from export.keras_graph import functional, graph_of, has_graph, in_inference, trace

_NOT_INPUTS = ("self", "training", "mask")


class Interface(keras.Model):
    """A graph of a model's layers. Called, it calls the model itself, which stays the truth."""

    def __init__(self, source: keras.Model, inputs: Any, outputs: Any, by_keyword: bool) -> None:
        with warnings.catch_warnings():  # the keys of a dict need not be the names of its tensors
            warnings.simplefilter("ignore")
            super().__init__(inputs=inputs, outputs=outputs, name=source.name)
        self.source = source
        self.by_keyword = by_keyword

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """What the model computes of a structure of tensors."""
        return self.source(**inputs) if self.by_keyword else self.source(inputs)


def with_inputs(model: keras.Model, inputs: Any = None) -> keras.Model:
    """A model whose graph Keras keeps: the model itself, or one that stands for it.

    Args:
        model: any Keras model.
        inputs: its inputs, if Keras keeps no graph of it: a `keras.Input`, a `keras.InputSpec` or an array, or a list
            or a dict of them. A dict holds arguments of `call`, or is its first argument. None: those that the model
            was built with.

    Raises:
        UserError: the inputs are not known, or the model can't be called on them.
    """
    if isinstance(model, Interface) or (inputs is None and not _needs_inputs(model)):
        return model
    structure = _map(_built_with(model) if inputs is None else inputs, _symbol)
    if not _needs_inputs(model):
        own, given = (_shapes(tensors) for tensors in (model.inputs, structure))
        if own != given:
            raise UserError(
                f"model {model.name!r}: expected its own inputs of shape {own}, got {given}; leave --input-shape out"
            )
        return model
    by_keyword = isinstance(structure, dict) and set(structure) <= set(_arguments(model))
    if not isinstance(structure, (dict, list)):
        structure, by_keyword = {_arguments(model)[0]: structure}, True
    args, kwargs = ((), structure) if by_keyword else ((structure,), {})
    try:
        called = None if model.built else model(*args, **kwargs)
        with contextlib.suppress(
            Unsupported, ValueError
        ):  # a part that can't be recorded, two layers of one name
            return Interface(model, structure, trace(in_inference(model), args, kwargs), by_keyword)
        return Interface(model, structure, model(*args, **kwargs) if called is None else called, by_keyword)
    except Exception as error:  # a `call` raises anything
        raise UserError(
            f"model {model.name!r} ({type(model).__name__}): it can't be called on inputs of shape "
            f"{_shapes(structure)}: {reason_of(error)}; give the shapes and dtypes of its inputs with --input-shape"
        ) from error


def parse_inputs(texts: Sequence[str]) -> Any:
    """The inputs that a command line names, as `keras.InputSpec`s.

    Args:
        texts: one 'SIZES' or 'SIZES:DTYPE', or several 'NAME=SIZES:DTYPE'. SIZES are numbers without the batch, such as
            '28,28,1', with '?' for a dynamic dimension; none for one number per row.

    Raises:
        UserError: one of them can't be read.
    """
    specs: dict[str, keras.InputSpec] = {}
    for text in texts:
        found = re.fullmatch(r"(?:([^=]+)=)?((?:\d+|\?)(?:,(?:\d+|\?))*)?(?::(\w+))?", text)
        name = (found.group(1) or "") if found else ""
        if found is None or (len(texts) > 1 and not name) or name in specs:
            raise UserError(
                f"--input-shape {text}: expected [NAME=]SIZES[:DTYPE] such as 28,28,1 or tokens=?:int32, with a name "
                "where there are several inputs"
            )
        sizes = [None if size == "?" else int(size) for size in (found.group(2) or "").split(",") if size]
        try:
            dtype = keras.backend.standardize_dtype(found.group(3) or "float32")
        except ValueError as error:
            raise UserError(
                f"--input-shape {text}: expected a dtype of Keras, got {found.group(3)}"
            ) from error
        specs[name] = keras.InputSpec(shape=(None, *sizes), dtype=dtype)
    return specs.get("", specs) if specs else None


def _needs_inputs(model: keras.Model) -> bool:
    """Whether the graph that Keras keeps, if any, is not what the user would export."""
    if isinstance(model, keras.Sequential) and has_graph(model):
        # Without an Input, the batch size is that of the data that the model was first called on.
        is_stateful = any(getattr(layer, "stateful", False) for layer in model.layers)
        return model.inputs[0].shape[0] is not None and not is_stateful
    return not has_graph(model)


def _arguments(model: keras.Model) -> list[str]:
    """The parameters of `call` that take inputs."""
    parameters = inspect.signature(model.call).parameters.values()
    names = [
        x.name
        for x in parameters
        if x.name not in _NOT_INPUTS and x.kind not in (x.VAR_POSITIONAL, x.VAR_KEYWORD)
    ]
    return names or ["inputs"]


def _built_with(model: keras.Model) -> Any:
    """The inputs of a model that has been called or built, or whose file says how it was."""
    if functional(model) is not None:
        return graph_of(model).input
    config = model.get_build_config() or {}
    if not config:
        name = "" if len(_arguments(model)) == 1 else f"{_arguments(model)[0]}="
        raise UserError(
            f"model {model.name!r} ({type(model).__name__}): expected a model with known inputs, got one that was "
            f"never called on data; give their shapes without the batch, as in --input-shape {name}28,28,1"
        )
    if "input_shape" in config:
        return config["input_shape"]
    shapes = config.get("shapes_dict", config)
    return {name.removesuffix("_shape"): shape for name, shape in shapes.items()}


def _map(given: Any, function: Callable[[Any], keras.KerasTensor]) -> Any:
    """A structure of dicts and lists with a symbol for each input, which may be a shape: a list of numbers and None."""
    if isinstance(given, Mapping):
        return {name: _map(one, function) for name, one in given.items()}
    if isinstance(given, (list, tuple)) and not all(size is None or isinstance(size, int) for size in given):
        return [_map(one, function) for one in given]
    return function(given)


def _symbol(given: Any) -> keras.KerasTensor:
    """A symbolic input of any batch size: like another input, an array or a specification, or of a shape."""
    is_shape = isinstance(given, (list, tuple))
    dtype = None if is_shape else given.dtype
    return keras.Input(
        tuple((given if is_shape else given.shape)[1:]),
        dtype=None if dtype is None else keras.backend.standardize_dtype(dtype),
    )


def _shapes(tensors: Any) -> str:
    """The shapes of a structure of tensors without the batch, in words."""
    return ", ".join(str(tuple(x.shape[1:])) for x in keras.tree.flatten(tensors))
