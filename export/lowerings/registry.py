"""The registry: which function lowers which layer or operation of Keras."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from export.errors import UserError

# Called as `function(g, layer, *args, **kwargs)`; returns a Tensor, or several in Keras' structure.
LoweringFunction = Callable[..., Any]
Decorator = Callable[[LoweringFunction], LoweringFunction]


@dataclass(frozen=True)
class Lowering:
    """A registered lowering.

    Attributes:
        function: the function.
        any_layout: whether it accepts tensors in channels-first layout. Otherwise it receives them in Keras' layout.
        own_outputs: whether the outputs have the shapes and dtypes that the function gives them. Otherwise they have
            those that Keras declares.
    """

    function: LoweringFunction
    any_layout: bool
    own_outputs: bool = False


class Registry:
    """Lowerings by class of layer or operation.

    The default registry holds the lowerings of this package. To add lowerings for one conversion only, fill a
    registry of your own and pass it as `Options(lowerings=...)`: its lowerings come before the default ones.

    Examples:
        >>> mine = Registry()
        >>> @mine.register_lowering(Swish2)
        ... def lower_swish2(g, layer, x):
        ...     gate = g.op("Sigmoid", g.op("Mul", x.value, float(layer.beta)))
        ...     return g.like(x, g.op("Mul", x.value, gate))
        >>> conversion = convert(model, Options(lowerings=mine))
    """

    def __init__(self) -> None:
        self._lowerings: dict[type, Lowering] = {}

    def register_lowering(
        self, *kinds: type, any_layout: bool = False, own_outputs: bool = False
    ) -> Decorator:
        """Register a function as the lowering of layer classes and of their custom subclasses.

        The function is called as `lower(g, layer, *inputs)`: `g` is the `Builder` of this call, `layer` is the Keras
        layer, and the inputs are those of the call, with a `Tensor` for each Keras tensor. It returns a `Tensor` for
        each output.

        Args:
            *kinds: layer classes. A later registration replaces an earlier one.
            any_layout: pass tensors in the layout that they have in the graph, which saves transposes. Otherwise
                the function receives them in Keras' layout.
            own_outputs: keep the shapes and dtypes of the Tensors that the function returns, for a layer whose
                outputs have others than Keras declares.

        Examples:
            >>> @register_lowering(Swish2)
            ... def lower_swish2(g, layer, x):
            ...     gate = g.op("Sigmoid", g.op("Mul", x.value, float(layer.beta)))
            ...     return g.like(x, g.op("Mul", x.value, gate))
        """

        def register(function: LoweringFunction) -> LoweringFunction:
            for kind in kinds:
                self._lowerings[kind] = Lowering(function, any_layout, own_outputs)
            return function

        return register

    def register_operation(self, *names: str, optional: bool = False) -> Decorator:
        """Register a function as the lowering of operations of `keras.ops`.

        It is called like the lowering of a layer; `layer` is then the operation, whose attributes are the arguments
        that are no tensors. It receives tensors in the layout that they have in the graph.

        Args:
            *names: names in `keras.ops`, such as 'expand_dims'.
            optional: ignore operations that this version of Keras doesn't have.

        Raises:
            UserError: Keras has no such operation.

        Examples:
            >>> @register_operation("square")
            ... def lower_square(g, operation, x):
            ...     return g.like(x, g.op("Mul", x.value, x.value))
        """
        kinds = [kind for name in names for kind in operation_classes(name, optional)]
        return self.register_lowering(*kinds, any_layout=True)

    def find(self, layer: Any) -> Lowering | None:
        """The lowering of a layer or an operation, by its class or the nearest base class that is no class of Keras."""
        return self.find_class(type(layer))

    def find_class(self, kind: type) -> Lowering | None:
        """The lowering of a class of layers or operations, likewise."""
        for base in kind.__mro__:
            # A subclass of one of Keras' classes may compute something else, so only the class itself matches.
            if base in self._lowerings and (base is kind or not base.__module__.startswith("keras.")):
                return self._lowerings[base]
        return None


DEFAULT = Registry()
register_lowering = DEFAULT.register_lowering
register_operation = DEFAULT.register_operation

# A quantized layer computes something else than its class says: it has a lowering of its own.
QUANTIZED = Registry()
register_quantized = QUANTIZED.register_lowering

# Functions whose operation has a shorter name.
_ABBREVIATED = {
    "batch_normalization": "batch_norm",
    "layer_normalization": "layer_norm",
    "rms_normalization": "rms_norm",
}


def operation_classes(name: str, optional: bool = False) -> list[type]:
    """The operation classes of a function of `keras.ops`.

    Args:
        name: its name, such as 'expand_dims'.
        optional: return none for a function that this version of Keras doesn't have.

    Raises:
        UserError: Keras has no such operation.
    """
    short = _ABBREVIATED.get(name, name).replace("_", "")
    kinds = _classes_by_name().get(short, [])
    if not kinds and not optional:
        raise UserError(f"register_operation: expected the name of an operation of keras.ops, got {name!r}")
    return kinds


@functools.cache
def _classes_by_name() -> dict[str, list[type]]:
    """The operation classes of Keras by lower-case name; they stand beside the functions of `keras.ops`."""
    functions = [*vars(keras.ops).values(), *vars(keras.ops.image).values(), keras.activations.relu]
    modules = {function.__module__ for function in functions if callable(function)}
    found: dict[str, list[type]] = {}
    for module in sorted(modules):
        for name, kind in vars(sys.modules[module]).items():
            if isinstance(kind, type) and issubclass(kind, keras.Operation) and kind.__module__ == module:
                found.setdefault(name.lower(), []).append(kind)
    return found
