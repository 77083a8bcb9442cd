"""One small lowering per kind of Keras layer: from what the layer knows to ONNX nodes."""

from export.builder import Builder, Tensor
from export.errors import Unsupported
from export.lowerings import (
    activation,
    convolution,
    dense,
    elementwise,
    indexing,
    joining,
    linear,
    normalization,
    pooling,
    random,
    shape,
)
from export.lowerings.registry import find_lowering, register_lowering

__all__ = [
    "Builder",
    "Tensor",
    "Unsupported",
    "activation",
    "convolution",
    "dense",
    "elementwise",
    "find_lowering",
    "indexing",
    "joining",
    "linear",
    "normalization",
    "pooling",
    "random",
    "register_lowering",
    "shape",
]
