"""Dense layers."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from export.builder import Builder, Tensor
from export.lowerings.activation import activate
from export.lowerings.registry import register_lowering

layers = keras.layers


@register_lowering(layers.Dense, any_layout=True)
def lower_dense(g: Builder, layer: Any, x: Tensor) -> Tensor:
    """X W + b along the last axis: a Gemm, a 1x1 convolution where channels are held first, or a MatMul."""
    kernel = np.asarray(layer.kernel, np.float32)
    bias = g.weight(layer.bias, "bias") if layer.use_bias else None
    if x.rank == 2:
        value = g.op("Gemm", x.value, g.weight(kernel, "kernel"), bias)
    elif x.channels_first:
        ones = [1] * (x.rank - 2)
        pointwise = g.weight(kernel.T.reshape(*kernel.T.shape, *ones), "kernel")
        value = g.op("Conv", x.value, pointwise, bias, kernel_shape=ones)
    else:
        value = g.op("MatMul", x.value, g.weight(kernel, "kernel"))
        value = value if bias is None else g.op("Add", value, bias)
    return activate(g, layer.activation, g.result(x, value))
