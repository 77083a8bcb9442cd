"""Random operators of an ONNX graph by fixed numbers, as Keras draws them in the parity check."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import onnx

from export.parity.replaced_nodes import with_nodes
from export.random_numbers import FIXED

# The operators, and the attributes by which their numbers are a + b x for the numbers x of the standard distribution.
_OPERATORS = {
    "RandomNormalLike": lambda mean=0.0, scale=1.0: mean + scale * FIXED["normal"],
    "RandomUniformLike": lambda low=0.0, high=1.0: low + (high - low) * FIXED["uniform"],
}


def draws_random_numbers(model: onnx.ModelProto) -> bool:
    """Whether the graph has operators whose numbers can be fixed."""
    return any(_is_random(node) for node in model.graph.node)


def random_outputs(model: onnx.ModelProto) -> set[str]:
    """The outputs of the graph that depend on random numbers."""
    random: set[str] = set()
    for node in model.graph.node:
        if _is_random(node) or random.intersection(node.input):
            random.update(node.output)
    return random & {value.name for value in model.graph.output}


@contextlib.contextmanager
def with_fixed_numbers(model: onnx.ModelProto) -> Iterator[None]:
    """Have each random operator of a graph return one number, until the context ends; the model is not copied."""
    if not draws_random_numbers(model):
        yield
        return
    replaced: list[onnx.NodeProto] = []
    for node in model.graph.node:
        if not _is_random(node):
            replaced.append(node)
            continue
        options = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        number = _OPERATORS[node.op_type](**{k: v for k, v in options.items() if k not in ("dtype", "seed")})
        shape, (output,) = f"{node.name}/shape", node.output
        value = onnx.numpy_helper.from_array(np.array([number], np.float32))
        replaced += [
            onnx.helper.make_node("Shape", node.input, [shape], shape),
            onnx.helper.make_node("ConstantOfShape", [shape], [output], f"{node.name}/fixed", value=value),
        ]
    with with_nodes(model, replaced):
        yield


def _is_random(node: onnx.NodeProto) -> bool:
    return node.op_type in _OPERATORS and node.domain in ("", "ai.onnx")
