"""The signature of the exported graph: names, shapes and ranges of its inputs and outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras

from export.conversion import Options
from export.keras_graph import graph_of


def input_names(model: keras.Model) -> list[str]:
    """The keys of a dict of inputs; otherwise the names that Keras has for the inputs."""
    return _names(graph_of(model).input, lambda tensor: str(tensor.name), taken=())


def output_names(model: keras.Model) -> list[str]:
    """The keys of a dict of outputs; otherwise the names of the layers that compute them.

    A single softmax is named 'probabilities'.
    """
    is_single = len(keras.tree.flatten(model.outputs)) == 1

    def of_layer(tensor: keras.KerasTensor) -> str:
        layer = tensor._keras_history.operation
        activation = getattr(layer, "activation", None)
        is_softmax = isinstance(layer, keras.layers.Softmax) or activation is keras.activations.softmax
        return "probabilities" if is_softmax and is_single else str(layer.name)

    return _names(graph_of(model).output, of_layer, taken=input_names(model))


def _names(structure: Any, otherwise: Callable[[Any], str], taken: Sequence[str]) -> list[str]:
    """A name for each tensor of a structure, in the order of `keras.tree.flatten`, and none twice."""
    names: list[str] = []
    for path, tensor in keras.tree.flatten_with_path(structure):
        has_key = any(isinstance(key, str) for key in path)
        name = "_".join(map(str, path)) if has_key else otherwise(tensor)
        while name in taken or name in names:
            name += "_1"
        names.append(name)
    return names


def input_range(model: keras.Model, options: Options) -> tuple[float, float]:
    """The lowest and the highest value of an input: as given, or 0..255 for raw pixels, or 0..1."""
    if options.input_range is not None:
        return options.input_range
    return (0.0, 255.0) if options.raw_pixels or rescales_its_input(model) else (0.0, 1.0)


def rescales_its_input(model: keras.Model) -> bool:
    """Whether the first layer after an input rescales or normalizes it."""
    for layer in getattr(model, "layers", []):
        if isinstance(layer, (keras.layers.Rescaling, keras.layers.Normalization)):
            return True
        if isinstance(layer, keras.Model):
            return rescales_its_input(layer)
        if not isinstance(layer, (keras.layers.InputLayer, keras.layers.ZeroPadding2D)):
            return False
    return False


def takes_uint8(dtype: str, options: Options) -> bool:
    """Whether an input of a Keras dtype is uint8 in the graph because of `raw_pixels`."""
    return options.raw_pixels and "float" in dtype


def is_nchw(shape: Sequence[int | None], options: Options) -> bool:
    """Whether an input of a Keras shape is in NCHW layout in the graph."""
    return options.input_layout == "nchw" and len(shape) >= 3


def named_dimensions(shape: Sequence[int | None], batch: int | None, name: str) -> list[int | str]:
    """A shape for ONNX, with a name for each dynamic dimension: 'batch' for the first, otherwise NAME_axisI."""
    first: int | str = "batch" if batch is None else batch
    return [
        (first if axis == 0 and size is None else f"{name}_axis{axis}") if size is None else size
        for axis, size in enumerate(shape)
    ]
