"""What layers return when they are called on symbolic tensors, while the `call` of a layer around them is traced."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

import keras


@contextlib.contextmanager
def inlined_calls(call_of: Callable[[keras.Layer], Callable[..., Any]]) -> Iterator[None]:
    """Have layers that can't be recorded run their `call` on symbolic tensors, so that what they call is recorded.

    Keras records a call of a layer by the shapes that `compute_output_spec` returns. It never does so for layers within
    a layer, and published ones get away with a `call` that takes other arguments or returns other outputs than the
    `compute_output_spec` which they inherit, or that returns None besides tensors:

        class CachedAttention(keras.layers.MultiHeadAttention):
            def call(self, query, value, cache=None): ...

    The caller holds a lock: another trace must not start in between.

    Args:
        call_of: returns a layer's `call`, as it is in inference.
    """
    module: Any = sys.modules[keras.Layer.__module__]
    symbolic_call, node = keras.Layer.symbolic_call, module.Node
    inlined: list[Any] = []
    recorded: list[Any] = []

    def call_or_inline(self: keras.Layer, *args: Any, **kwargs: Any) -> Any:
        declared = None
        with contextlib.suppress(Exception):  # layers raise anything; what `call` raises says more
            declared = symbolic_call(self, *args, **kwargs)
        if _is_of_tensors(declared) and not _inherits_its_outputs(type(self)):
            return declared
        before = len(recorded)
        outputs = call_of(self)(*args, **kwargs)
        if _is_of_tensors(declared) and _shapes(declared) == _shapes(outputs):
            for one in recorded[before:]:
                one.operation._inbound_nodes.remove(one)
            del recorded[before:]
            return declared
        inlined.append(outputs)
        return outputs

    def record(operation: Any, call_args: Any = None, call_kwargs: Any = None, outputs: Any = None) -> None:
        if not any(outputs is x for x in inlined):
            recorded.append(node(operation, call_args, call_kwargs, outputs))

    keras.Layer.symbolic_call, module.Node = call_or_inline, record
    try:
        yield
    finally:
        keras.Layer.symbolic_call, module.Node = symbolic_call, node


def _inherits_its_outputs(kind: type) -> bool:
    """Whether a custom class has a `call` of its own, and inherits from a layer what is said of its outputs."""
    owners = [_owner(kind, name) for name in ("compute_output_spec", "compute_output_shape")]
    told_by = next((owner for owner in owners if owner is not keras.Layer), None)
    call_of = _owner(kind, "call")
    if call_of.__module__.startswith("keras."):
        return False
    return told_by is not None and call_of is not told_by and issubclass(call_of, told_by)


def _owner(kind: type, name: str) -> type:
    """The class that defines a method of a class."""
    return next(base for base in kind.__mro__ if name in vars(base))


def _is_of_tensors(outputs: Any) -> bool:
    return all(isinstance(x, keras.KerasTensor) for x in keras.tree.flatten(outputs))


def _shapes(outputs: Any) -> Any:
    return keras.tree.map_structure(lambda x: str(getattr(x, "shape", x)), outputs)
