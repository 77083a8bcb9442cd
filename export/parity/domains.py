"""The domain of a model's input, read from the layers that take it: pixels, ids of a vocabulary, strings, masks.

An `Embedding(input_dim=n)` takes ids from 0 to n - 1, a `Rescaling(1 / 255)` pixels from 0 to 255, an adapted
`Normalization` numbers around its mean, a lookup the words of its vocabulary. The layer is searched from the input on,
through layers that only move values, nested models, wrappers and what custom layers compute.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np

from export.errors import Unsupported
from export.keras_graph import functional, has_graph, nodes, traced_call

_L = keras.layers
PIXELS = (0.0, 255.0)
SMALLEST_SIZE = 3  # of a dynamic dimension, that the check tries
_MOVING = (
    *(
        "Reshape",
        "Flatten",
        "Permute",
        "RepeatVector",
        "Identity",
        "Dropout",
        "SpatialDropout1D",
        "Masking",
        "Cast",
    ),
    *(
        "ZeroPadding1D",
        "ZeroPadding2D",
        "Cropping1D",
        "Cropping2D",
        "CenterCrop",
        "Resizing",
        "GetItem",
        "ExpandDims",
    ),
    *(
        "Squeeze",
        "Transpose",
        "RandomFlip",
        "RandomRotation",
        "RandomZoom",
        "RandomCrop",
        "RandomTranslation",
    ),
    *("RandomContrast", "RandomBrightness", "GaussianNoise", "Concatenate", "Stack"),
)


@dataclass(frozen=True)
class Domain:
    """The values that an input takes.

    Attributes:
        kind: 'numbers' between `low` and `high`; 'integers' likewise, both included; 'words' of a vocabulary;
            'text', sentences of such words; 'mask', true for a part of each row.
        low: the lowest number, for each feature or for all.
        high: the highest, likewise.
        words: the vocabulary, and a word that is not in it.
        pads: whether the integer 0 stands for padding.
        known: whether a layer told the domain; otherwise it is a guess.
    """

    kind: Literal["numbers", "integers", "words", "text", "mask"]
    low: Any = 0.0
    high: Any = 1.0
    words: tuple[Any, ...] = ()
    pads: bool = False
    known: bool = True


def domain_of(model: keras.Model, index: int, input_range: tuple[float, float]) -> Domain:
    """The domain of a model's input.

    Args:
        model: the model.
        index: which of its inputs.
        input_range: what to assume of an input of numbers if no layer tells.
    """
    symbolic = keras.tree.flatten(model.inputs)[index]
    dtype = str(symbolic.dtype)
    if dtype == "bool":
        return Domain("mask")
    graph = functional(model)
    if graph is not None:
        found = list(_search(graph, keras.tree.flatten(graph.inputs)[index]))
        ids = [domain for domain in found if domain.kind == "integers"]
        if ids:  # several embeddings of the same ids: the smallest takes all that is given
            return min(ids, key=lambda domain: domain.high)
        if found:
            return found[0]
    if dtype == "string":
        return Domain("words", words=("", "a", "word", "another word"), known=False)
    if "int" in dtype:
        high = 255 if dtype == "uint8" else 8
        return Domain("integers", 0 if dtype.startswith("u") else -8, high, known=False)
    return Domain("numbers", *input_range, known=False)


def _search(graph: Any, tensor: Any) -> Iterator[Domain]:
    """The domains that the layers after a tensor tell, nearest first."""
    for node in nodes(graph):
        for position, x in enumerate(node.input_tensors):
            if x is tensor:
                yield from _tell(graph, node, position)


def _tell(graph: Any, node: Any, position: int) -> Iterator[Domain]:
    layer = node.operation
    if isinstance(layer, _L.TimeDistributed):
        layer = layer.layer
    inner = functional(layer) if isinstance(layer, keras.Model) and has_graph(layer) else None
    known = _of_layer(layer) or _of_indices(node, position)
    if inner is not None:
        yield from _search(inner, keras.tree.flatten(inner.inputs)[position])
    elif known is not None:
        yield known
    elif type(layer).__name__ in _MOVING:
        for output in node.outputs:
            yield from _search(graph, output)
    elif isinstance(layer, keras.Layer) and not type(layer).__module__.startswith("keras."):
        try:
            with traced_call(layer, *_symbols(node)) as function:
                inputs = keras.tree.flatten(function.inputs)
                yield from list(_search(function, inputs[position]))
        except Unsupported:
            return


def _symbols(node: Any) -> tuple[Any, Any]:
    def symbol(x: Any) -> Any:
        return keras.Input(batch_shape=x.shape, dtype=x.dtype) if isinstance(x, keras.KerasTensor) else x

    arguments = keras.tree.map_structure(symbol, (node.arguments.args, node.arguments.kwargs))
    return arguments[0], arguments[1]


def _of_layer(layer: Any) -> Domain | None:
    if isinstance(layer, _L.Embedding):
        return Domain("integers", 0, layer.input_dim - 1, pads=bool(layer.mask_zero))
    if isinstance(layer, _L.CategoryEncoding):
        return Domain("integers", 0, layer.num_tokens - 1)
    if type(layer).__name__ == "Bincount" and type(layer).__module__.startswith("keras."):
        return Domain("integers", 0, max(layer.minlength - 1, 8))
    if isinstance(layer, _L.Rescaling):
        return _of_rescaling(layer)
    if isinstance(layer, _L.Normalization):
        return _of_normalization(layer)
    if isinstance(layer, _L.Discretization):
        bounds = np.asarray(layer.bin_boundaries, dtype=np.float64)
        margin = max(1.0, float(np.ptp(bounds))) / 4 if bounds.size else 1.0
        return Domain("numbers", float(bounds.min(initial=0)) - margin, float(bounds.max(initial=1)) + margin)
    if isinstance(layer, _L.TextVectorization):
        words = tuple(word for word in layer.get_vocabulary() if word not in ("", "[UNK]"))
        return Domain("text", words=(*words[:5000], "unseen"))
    if isinstance(layer, _L.StringLookup):
        return _of_lookup(layer, tuple(map(str, layer.get_vocabulary())), "unseen")
    if isinstance(layer, _L.IntegerLookup):
        known = tuple(int(word) for word in layer.get_vocabulary())
        return _of_lookup(layer, known, max([*known, 0]) + 7)
    return None


def _of_indices(node: Any, position: int) -> Domain | None:
    """Of what an operation takes for indices: those of the smallest axis that the check tries, if it is dynamic."""
    arguments = [*node.arguments.args, *node.arguments.kwargs.values()]
    kind = type(node.operation).__name__
    if kind not in ("Take", "TakeAlongAxis") or node.input_tensors[position] is not arguments[1]:
        return None
    x, axis = arguments[0], node.operation.axis
    shape = x.shape if hasattr(x, "shape") else np.shape(x)
    sizes = shape if axis is None else [shape[axis]]
    return Domain("integers", 0, math.prod(SMALLEST_SIZE if size is None else size for size in sizes) - 1)


def _of_lookup(layer: Any, known: tuple[Any, ...], unseen: Any) -> Domain:
    if layer.invert:
        return Domain("integers", 0, len(known) - 1)
    return Domain("words", words=known if layer.num_oov_indices == 0 else (*known, unseen))


def _of_rescaling(layer: Any) -> Domain | None:
    scale, offset = np.asarray(layer.scale, np.float64), np.asarray(layer.offset, np.float64)
    if scale.size != 1 or scale == 0:
        return Domain("numbers", *PIXELS)
    if 1 / 256 <= abs(float(scale)) <= 1 / 100:
        return Domain("numbers", *PIXELS)
    ends = np.sort((np.array([-1.0, 1.0]) - float(offset.mean())) / float(scale))
    return Domain("numbers", float(ends[0]), float(ends[1]))


def _of_normalization(layer: Any) -> Domain | None:
    if getattr(layer, "mean", None) is None or layer.invert:
        return None
    mean = keras.ops.convert_to_numpy(layer.mean).astype(np.float64)
    width = 3 * np.sqrt(keras.ops.convert_to_numpy(layer.variance).astype(np.float64))
    first = (0,) if mean.ndim else ()  # the batch axis, which both have
    return Domain("numbers", (mean - width)[first], (mean + width)[first])
