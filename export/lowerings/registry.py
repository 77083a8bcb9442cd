"""The registry: which function lowers which kind of layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from export.builder import Builder, Tensor
from export.errors import Unsupported

Lowering = Callable[..., Any]

_LOWERINGS: dict[type, tuple[Lowering, bool]] = {}


def register_lowering(*kinds: type, any_layout: bool = False) -> Callable[[Lowering], Lowering]:
    """Register a function as the lowering of kinds of Keras layers (and of their subclasses).

    The function is called as `lower(g, layer, *inputs)`: `g` is the `Builder`, `layer` the Keras layer, and
    the inputs are as the layer was called, with a `Tensor` for each Keras tensor. It gives back a Tensor for
    each output.

    Args:
        *kinds: layer classes. A later registration replaces an earlier one.
        any_layout: the function can take tensors that are held channels first. Otherwise it gets them as
            Keras has them.

    Example:
        >>> @register_lowering(Swish2)
        ... def lower_swish2(g, layer, x):
        ...     gate = g.op("Sigmoid", g.op("Mul", x.value, float(layer.beta)))
        ...     return g.like(x, g.op("Mul", x.value, gate))
    """

    def register(lowering: Lowering) -> Lowering:
        for kind in kinds:
            _LOWERINGS[kind] = (lowering, any_layout)
        return lowering

    return register


def find_lowering(layer: Any) -> tuple[Lowering, bool] | None:
    """The lowering of a layer, by its class or the nearest of its bases that Keras does not define itself."""
    kind = type(layer)
    for base in kind.__mro__:
        # A subclass of one of Keras' layers may compute something else; only the very class is taken.
        own = base is kind or not base.__module__.startswith("keras.")
        if base in _LOWERINGS and own:
            return _LOWERINGS[base]
    return None


__all__ = ["Builder", "Lowering", "Tensor", "Unsupported", "find_lowering", "register_lowering"]
