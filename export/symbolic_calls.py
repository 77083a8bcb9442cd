"""What layers return when they are called on symbolic tensors, while the `call` of a layer around them is traced."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

import keras


@contextlib.contextmanager
def inlined_calls() -> Iterator[None]:
    """Have layers that can't be recorded run their `call` on symbolic tensors, so that what they call is recorded.

    Keras records a call of a layer by the shapes that `compute_output_spec` returns. It never does so for layers within
    a layer, and published ones get away with a `call` that takes other arguments than the `compute_output_spec` which
    they inherit, or that returns None besides tensors:

        class CachedAttention(keras.layers.MultiHeadAttention):
            def call(self, query, value, cache=None): ...

    The caller holds a lock: another trace must not start in between.
    """
    module: Any = sys.modules[keras.Layer.__module__]
    symbolic_call, node = keras.Layer.symbolic_call, module.Node
    inlined: list[Any] = []

    def call_or_inline(self: keras.Layer, *args: Any, **kwargs: Any) -> Any:
        with contextlib.suppress(Exception):  # layers raise anything; what `call` raises says more
            outputs = symbolic_call(self, *args, **kwargs)
            if all(isinstance(x, keras.KerasTensor) for x in keras.tree.flatten(outputs)):
                return outputs
        outputs = self.call(*args, **kwargs)
        inlined.append(outputs)
        return outputs

    def record(operation: Any, call_args: Any = None, call_kwargs: Any = None, outputs: Any = None) -> Any:
        if not any(outputs is x for x in inlined):
            return node(operation, call_args, call_kwargs, outputs)

    keras.Layer.symbolic_call, module.Node = call_or_inline, record
    try:
        yield
    finally:
        keras.Layer.symbolic_call, module.Node = symbolic_call, node
