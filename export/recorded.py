"""What was recorded from inputs to outputs, in the order in which it can be computed.

A `keras.Function` would be the same, but Keras refuses one with two layers of the same name, as layers within layers
have: their names need only be unique within the layer that they belong to.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from export.errors import Unsupported


@dataclass(frozen=True)
class Recorded:
    """Calls of layers and operations on symbolic tensors.

    Attributes:
        inputs: what they begin with.
        outputs: a structure of what they end with.
        nodes: Keras' records of the calls, each after those that it depends on.
    """

    inputs: list[keras.KerasTensor]
    outputs: Any
    nodes: list[Any]

    @classmethod
    def between(cls, inputs: Sequence[keras.KerasTensor], outputs: Any) -> Recorded:
        """What was recorded between inputs and a structure of outputs.

        Raises:
            Unsupported: an output depends on a symbolic tensor that is not among the inputs.
        """
        given = {id(x) for x in inputs}
        ordered: list[Any] = []
        seen: set[int] = set()
        tensors = [x for x in keras.tree.flatten(outputs) if isinstance(x, keras.KerasTensor)]
        waiting: list[tuple[Any, Iterator[Any]]] = [(None, iter(tensors))]
        while waiting:
            node, needed = waiting[-1]
            x = next(needed, None)
            if x is None:
                waiting.pop()
                ordered.append(node)
            elif id(x) not in given:
                before = _node_of(x)
                if id(before) not in seen:
                    seen.add(id(before))
                    waiting.append((before, iter(before.input_tensors)))
        return cls(list(inputs), outputs, ordered[:-1])


def _node_of(x: Any) -> Any:
    """The record of the call that returned a tensor."""
    history = getattr(x, "_keras_history", None)
    node = history.operation._inbound_nodes[history.node_index] if history is not None else None
    if node is None or node.is_input:
        raise Unsupported("it uses a tensor that is computed outside of it, and is none of its arguments")
    return node
