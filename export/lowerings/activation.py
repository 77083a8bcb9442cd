"""Activations: the layers, the operations, and every function that Keras names for `activation=`."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import keras
import numpy as np

from export.builder import Builder, Tensor
from export.lowerings.registry import register_lowering, register_operation
from export.lowerings.softmax import log_softmax, softmax, sparsemax

layers = keras.layers

Activation = Callable[[Builder, Tensor], Tensor]


def activate(g: Builder, function: Callable[..., object] | None, x: Tensor) -> Tensor:
    """Apply the `activation` of a layer."""
    if function is None:
        return x
    name = getattr(function, "__name__", None) or type(function).__name__
    # It may be another function of the same name.
    if name in BY_NAME and keras.activations.get(name) is function:
        return BY_NAME[name](g, x)
    return g.lower(function, x)


def _unary(op_type: str, **attributes: float) -> Activation:
    return lambda g, x: g.like(x, g.op(op_type, x.value, outputs=1, domain="", **attributes))


def relu(
    g: Builder,
    x: Tensor,
    negative_slope: float = 0.0,
    max_value: float | None = None,
    threshold: float = 0.0,
) -> Tensor:
    """max(x, 0), with Keras' slope for negative values, maximum and threshold."""
    y = x.value
    if max_value is not None and threshold == 0 and not negative_slope:
        return g.like(x, g.op("Clip", y, 0.0, float(max_value)))  # the runtime fuses it into a convolution
    if threshold == 0:
        y = g.op("LeakyRelu", y, alpha=float(negative_slope)) if negative_slope else g.op("Relu", y)
    else:
        above = g.op("Greater", y, float(threshold))
        slope = (
            g.op("Mul", g.op("Sub", y, float(threshold)), float(negative_slope)) if negative_slope else 0.0
        )
        y = g.op("Where", above, y, slope)
    if max_value is not None:
        y = g.op("Min", y, float(max_value))
    return g.like(x, y)


def elu(g: Builder, x: Tensor, alpha: float = 1.0, op_type: str = "Elu") -> Tensor:
    """Alpha (exp(x) - 1) for negative x, or Celu."""
    return g.like(x, g.op(op_type, x.value, alpha=float(alpha)))


def gelu(g: Builder, x: Tensor, approximate: bool = False) -> Tensor:
    """x/2 (1 + erf(x / sqrt(2))), or the approximation by tanh."""
    if g.opset >= 20:
        return g.like(x, g.op("Gelu", x.value, approximate="tanh" if approximate else None))
    if approximate:
        cube = g.op("Mul", g.op("Mul", g.op("Mul", x.value, x.value), x.value), 0.044715)
        inner = g.op("Tanh", g.op("Mul", g.op("Add", x.value, cube), math.sqrt(2 / math.pi)))
    else:
        # A division, not a product with the reciprocal: the runtime fuses exactly this pattern into one Gelu.
        inner = g.op("Erf", g.op("Div", x.value, math.sqrt(2)))
    return g.like(x, g.op("Mul", g.op("Mul", x.value, g.op("Add", inner, 1.0)), 0.5))


def _silu(g: Builder, x: Tensor) -> Tensor:
    return g.like(x, g.op("Mul", x.value, g.op("Sigmoid", x.value)))


def _hard_silu(g: Builder, x: Tensor) -> Tensor:
    gate = g.op("HardSigmoid", x.value, alpha=1 / 6, beta=0.5)
    return g.like(x, g.op("Mul", x.value, gate))


def _mish(g: Builder, x: Tensor) -> Tensor:
    return g.like(x, g.op("Mul", x.value, g.op("Tanh", g.op("Softplus", x.value))))


def squareplus(g: Builder, x: Tensor, b: float = 4.0) -> Tensor:
    """(x + sqrt(x^2 + b)) / 2."""
    root = g.op("Sqrt", g.op("Add", g.op("Mul", x.value, x.value), float(b)))
    return g.like(x, g.op("Mul", g.op("Add", x.value, root), 0.5))


def shrink(g: Builder, x: Tensor, threshold: float = 0.5, *, soft: bool) -> Tensor:
    """`x` where |x| is above the threshold, 0 elsewhere; `soft` moves `x` towards 0 by the threshold."""
    bias = float(threshold) if soft else 0.0
    return g.like(x, g.op("Shrink", x.value, bias=bias, lambd=float(threshold)))


def threshold_at(g: Builder, x: Tensor, threshold: float, default_value: float) -> Tensor:
    """`x` where it is above the threshold, a default value elsewhere."""
    above = g.op("Greater", x.value, float(threshold))
    return g.like(x, g.op("Where", above, x.value, float(default_value)))


def _log_sigmoid(g: Builder, x: Tensor) -> Tensor:
    return g.like(x, g.op("Neg", g.op("Softplus", g.op("Neg", x.value))))


def _tanh_shrink(g: Builder, x: Tensor) -> Tensor:
    return g.like(x, g.op("Sub", x.value, g.op("Tanh", x.value)))


def _sparse_plus(g: Builder, x: Tensor) -> Tensor:
    # 0 below -1, (x + 1)^2 / 4 up to 1, x above: the square of the clipped part, plus the excess over 1.
    clipped = g.op("Clip", x.value, -1.0, 1.0)
    part = g.op("Add", clipped, 1.0)
    above = g.op("Relu", g.op("Sub", x.value, 1.0))
    return g.like(x, g.op("Add", g.op("Mul", g.op("Mul", part, part), 0.25), above))


def _sparse_sigmoid(g: Builder, x: Tensor) -> Tensor:
    return g.like(x, g.op("HardSigmoid", x.value, alpha=0.5, beta=0.5))


def glu(g: Builder, x: Tensor, axis: int = -1) -> Tensor:
    """The first half of an axis, times the sigmoid of the second half."""
    axis = axis % x.rank
    size = x.shape[axis]
    half = None if size is None else size // 2
    parts = None if half is None else np.array([half, half], np.int64)
    outputs = 2 if parts is None and g.opset >= 18 else None
    value, gate = g.op("Split", x.value, parts, axis=g.axis(x, axis), num_outputs=outputs, outputs=2)
    shape = (*x.shape[:axis], half, *x.shape[axis + 1 :])
    return g.like(x, g.op("Mul", value, g.op("Sigmoid", gate)), shape)


# Keras' activations by name.
BY_NAME: dict[str, Activation] = {
    "linear": lambda g, x: x,
    "relu": relu,
    "leaky_relu": _unary("LeakyRelu", alpha=0.2),
    "relu6": lambda g, x: g.like(x, g.op("Clip", x.value, 0.0, 6.0)),
    "elu": elu,
    "celu": functools.partial(elu, op_type="Celu"),
    "selu": _unary("Selu"),
    "gelu": gelu,
    "silu": _silu,
    "glu": glu,
    "mish": _mish,
    "softplus": _unary("Softplus"),
    "softsign": _unary("Softsign"),
    "squareplus": squareplus,
    "sparse_plus": _sparse_plus,
    "soft_shrink": functools.partial(shrink, soft=True),
    "hard_shrink": functools.partial(shrink, soft=False),
    "tanh_shrink": _tanh_shrink,
    "tanh": _unary("Tanh"),
    "hard_tanh": lambda g, x: g.like(x, g.op("Clip", x.value, -1.0, 1.0)),
    "sigmoid": _unary("Sigmoid"),
    "sparse_sigmoid": _sparse_sigmoid,
    "hard_sigmoid": _unary("HardSigmoid", alpha=1 / 6, beta=0.5),
    "hard_silu": _hard_silu,
    "log_sigmoid": _log_sigmoid,
    "exponential": _unary("Exp"),
    "softmax": softmax,
    "log_softmax": log_softmax,
    "sparsemax": sparsemax,
}


# Layers


@register_lowering(layers.Activation, any_layout=True)
def lower_activation(g: Builder, layer: keras.layers.Activation, x: Tensor) -> Tensor:
    """Activation by name."""
    return activate(g, layer.activation, x)


@register_lowering(layers.ReLU, any_layout=True)
def lower_relu(g: Builder, layer: keras.layers.ReLU, x: Tensor) -> Tensor:
    """ReLU with slope, maximum and threshold."""
    return relu(g, x, layer.negative_slope, layer.max_value, layer.threshold)


@register_lowering(layers.LeakyReLU, any_layout=True)
def lower_leaky_relu(g: Builder, layer: keras.layers.LeakyReLU, x: Tensor) -> Tensor:
    """LeakyReLU."""
    return relu(g, x, layer.negative_slope)


@register_lowering(layers.ELU, any_layout=True)
def lower_elu(g: Builder, layer: keras.layers.ELU, x: Tensor) -> Tensor:
    """ELU."""
    return elu(g, x, layer.alpha)


@register_lowering(layers.PReLU, any_layout=True)
def lower_prelu(g: Builder, layer: keras.layers.PReLU, x: Tensor) -> Tensor:
    """max(x, 0) + alpha min(x, 0), whose alpha has the shape of one image."""
    alpha = np.asarray(layer.alpha)
    if np.all(alpha == alpha.flat[0]):
        return relu(g, x, float(alpha.flat[0]))
    if x.channels_first:
        alpha = np.moveaxis(alpha, -1, 0)
    # On onnxruntime's CPU provider twice as fast as a PRelu.
    negative = g.op("Mul", g.op("Min", x.value, 0.0), g.weight(alpha, "alpha"))
    return g.like(x, g.op("Add", g.op("Relu", x.value), negative))


# Operations


def _register_operation(name: str, lower: Callable[..., Tensor], **defaults: object) -> None:
    """Register an activation; `defaults` are the attributes of the operation that are passed on."""

    @register_operation(name, optional=True)
    def lower_operation(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
        options = {name: getattr(operation, name, default) for name, default in defaults.items()}
        return lower(g, x, **options)


for _name in (
    *("relu6", "silu", "sigmoid", "softplus", "softsign", "tanh_shrink", "hard_sigmoid", "hard_silu"),
    *("hard_tanh", "selu", "log_sigmoid", "sparse_plus", "sparse_sigmoid"),
):
    _register_operation(_name, BY_NAME[_name])
# `keras.ops.relu` has no options, but `keras.activations.relu` is an operation of the same name with three.
_register_operation("relu", relu, negative_slope=0.0, max_value=None, threshold=0.0)
_register_operation("leaky_relu", relu, negative_slope=0.2)
_register_operation("elu", elu, alpha=1.0)
_register_operation("celu", BY_NAME["celu"], alpha=1.0)
_register_operation("gelu", gelu, approximate=True)
_register_operation("glu", glu, axis=-1)
_register_operation("squareplus", squareplus, b=4.0)
_register_operation("soft_shrink", BY_NAME["soft_shrink"], threshold=0.5)
_register_operation("hard_shrink", BY_NAME["hard_shrink"], threshold=0.5)


@register_operation("threshold")
def lower_threshold(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
    """keras.ops.threshold."""
    if hasattr(operation, "default_value"):
        return threshold_at(g, x, operation.threshold, operation.default_value)
    return threshold_at(g, x, operation.threshold_value, operation.value)  # in Keras 3.8
