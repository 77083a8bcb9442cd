"""One small lowering per kind of Keras layer: from what the layer knows to ONNX nodes."""

from export.errors import Unsupported
from export.graph import Builder, Tensor
from export.lowerings import (
    activations,
    contraction,
    convolution,
    dense,
    identity,
    merging,
    normalization,
    operations,
    pooling,
    rearranging,
    reshaping,
)
from export.lowerings.registry import find_lowering, register_lowering

__all__ = [
    "Builder",
    "Tensor",
    "Unsupported",
    "activations",
    "contraction",
    "convolution",
    "dense",
    "find_lowering",
    "identity",
    "merging",
    "normalization",
    "operations",
    "pooling",
    "rearranging",
    "register_lowering",
    "reshaping",
]
