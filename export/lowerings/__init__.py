"""Lowerings: what each Keras layer and operation becomes in ONNX. One file a concept, layer and operation together.

Importing this package registers all of them.
"""

from export.builder import Builder, Tensor
from export.errors import Unsupported
from export.lowerings import (
    activation,
    adaptive_pooling,
    attention,
    convolution,
    elementwise,
    filling,
    indexing,
    joining,
    linear,
    normalization,
    one_hot,
    padding,
    pooling,
    preprocessing,
    random,
    reduction,
    reordering,
    repeating,
    resize,
    shape,
    splitting,
    transposed_convolution,
    up_sampling,
)
from export.lowerings.registry import DEFAULT, Registry, register_lowering, register_operation

__all__ = [
    "DEFAULT",
    "Builder",
    "Registry",
    "Tensor",
    "Unsupported",
    "activation",
    "adaptive_pooling",
    "attention",
    "convolution",
    "elementwise",
    "filling",
    "indexing",
    "joining",
    "linear",
    "normalization",
    "one_hot",
    "padding",
    "pooling",
    "preprocessing",
    "random",
    "reduction",
    "register_lowering",
    "register_operation",
    "reordering",
    "repeating",
    "resize",
    "shape",
    "splitting",
    "transposed_convolution",
    "up_sampling",
]
