"""Activations: the layers, the operations, and every function that Keras names for `activation=`."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import keras
import numpy as np

from export.builder import Builder, Tensor
from export.errors import Unsupported
from export.lowerings.registry import register_lowering, register_operation

layers = keras.layers

Activation = Callable[[Builder, Tensor], Tensor]
MASKED_LOGIT = -1e9  # Keras' Softmax replaces masked logits by this


def activate(g: Builder, function: Callable[..., object] | None, x: Tensor) -> Tensor:
    """Apply the `activation` of a layer."""
    if function is None:
        return x
    name = getattr(function, "__name__", None) or type(function).__name__
    # It has to be Keras' own function, not another one of the same name.
    if name not in BY_NAME or keras.activations.get(name) is not function:
        raise Unsupported(f"activation {name!r}, which is not one of Keras' own")
    return BY_NAME[name](g, x)


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


def softmax(g: Builder, x: Tensor, axis: int = -1, op_type: str = "Softmax") -> Tensor:
    """Softmax, or LogSoftmax, along a Keras axis."""
    return g.like(x, g.op(op_type, x.value, axis=g.axis(x, axis)))


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


def _squareplus(g: Builder, x: Tensor) -> Tensor:
    root = g.op("Sqrt", g.op("Add", g.op("Mul", x.value, x.value), 4.0))
    return g.like(x, g.op("Mul", g.op("Add", x.value, root), 0.5))


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


def _glu(g: Builder, x: Tensor) -> Tensor:
    if x.shape[-1] is None:
        raise Unsupported("glu along a dynamic dimension")
    parts = np.array([x.shape[-1] // 2] * 2, np.int64)
    value, gate = g.op("Split", x.value, parts, axis=g.axis(x, -1), outputs=2)
    return g.like(x, g.op("Mul", value, g.op("Sigmoid", gate)), (*x.shape[:-1], x.shape[-1] // 2))


def _sparsemax(g: Builder, x: Tensor) -> Tensor:
    # Martins and Astudillo 2016, algorithm 1, as Keras computes it: the algorithm takes the last cumulative sum
    # within the support, Keras adds up all of them.
    size, axis = x.shape[-1], g.axis(x, -1)
    if size is None:
        raise Unsupported("sparsemax along a dynamic dimension")
    along = [1] * x.rank
    along[axis] = size
    ranks: np.ndarray = np.arange(1, size + 1, dtype=np.float32).reshape(along)
    ordered, _ = g.op("TopK", x.value, np.array([size], np.int64), axis=axis, outputs=2)
    sums = g.op("CumSum", ordered, np.array(axis, np.int64))
    inside = g.op("Greater", g.op("Add", g.op("Mul", ordered, ranks), 1.0), sums)
    inside = g.op("Cast", inside, to=1)
    count = g.reduce("ReduceSum", inside, [axis])
    total = g.reduce("ReduceSum", g.op("Mul", sums, inside), [axis])
    tau = g.op("Div", g.op("Sub", total, 1.0), count)
    return g.like(x, g.op("Relu", g.op("Sub", x.value, tau)))


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
    "glu": _glu,
    "mish": _mish,
    "softplus": _unary("Softplus"),
    "softsign": _unary("Softsign"),
    "squareplus": _squareplus,
    "sparse_plus": _sparse_plus,
    "soft_shrink": _unary("Shrink", bias=0.5, lambd=0.5),
    "hard_shrink": _unary("Shrink", bias=0.0, lambd=0.5),
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
    "log_softmax": functools.partial(softmax, op_type="LogSoftmax"),
    "sparsemax": _sparsemax,
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


@register_lowering(layers.Softmax, any_layout=True)
def lower_softmax(g: Builder, layer: keras.layers.Softmax, x: Tensor, mask: Tensor | None = None) -> Tensor:
    """Softmax along one axis; positions where the mask is False get a probability of about 0."""
    axes = [layer.axis] if isinstance(layer.axis, int) else list(layer.axis)
    if len(axes) != 1:
        raise Unsupported(f"a softmax over several axes {axes}")
    if mask is not None:
        x, mask = g.same_layout([x, mask])
        x = g.like(x, g.op("Where", mask.value, x.value, MASKED_LOGIT))
    return softmax(g, x, axes[0])


# Operations


def _register_operation(name: str, lower: Callable[..., Tensor], **defaults: object) -> None:
    """Register an activation; `defaults` are the attributes of the operation that are passed on."""

    @register_operation(name)
    def lower_operation(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
        options = {name: getattr(operation, name, default) for name, default in defaults.items()}
        return lower(g, x, **options)


for _name in (
    *("relu6", "silu", "sigmoid", "softplus", "softsign", "tanh_shrink", "hard_sigmoid", "hard_silu"),
    *("hard_tanh", "selu", "log_sigmoid", "sparse_plus"),
):
    _register_operation(_name, BY_NAME[_name])
# `keras.ops.relu` has no options, but `keras.activations.relu` is an operation of the same name with three.
_register_operation("relu", relu, negative_slope=0.0, max_value=None, threshold=0.0)
_register_operation("leaky_relu", relu, negative_slope=0.2)
_register_operation("elu", elu, alpha=1.0)
_register_operation("celu", functools.partial(elu, op_type="Celu"), alpha=1.0)
_register_operation("gelu", gelu, approximate=True)
_register_operation("softmax", softmax, axis=-1)
_register_operation("log_softmax", functools.partial(softmax, op_type="LogSoftmax"), axis=-1)


@register_operation("sparse_sigmoid", optional=True)
def lower_sparse_sigmoid(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
    """keras.ops.sparse_sigmoid."""
    return _sparse_sigmoid(g, x)
