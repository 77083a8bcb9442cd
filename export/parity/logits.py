"""What goes into a final softmax, sigmoid or argmax of an ONNX graph, as further outputs of the graph."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

import onnx

_SQUASHING = ("Softmax", "LogSoftmax", "Sigmoid")
# What may follow up to the output. It is repeated for the logits, so that they have the layout of the output.
_SHAPING = ("Identity", "Cast", "Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze")


@contextlib.contextmanager
def with_logits(proto: onnx.ModelProto, outputs: Iterable[int]) -> Iterator[list[int]]:
    """Add the logits of outputs to a graph as further outputs, until the context ends.

    Args:
        proto: the model; its graph is changed within the context, not copied, since its weights may be large.
        outputs: indices of the outputs whose logits are wanted.

    Yields:
        The indices of those that have logits, in the order of the further outputs.
    """
    graph = proto.graph
    nodes, values = len(graph.node), len(graph.output)
    producers = {name: node for node in graph.node for name in node.output}
    try:
        found: list[int] = []
        for index in outputs:
            name = graph.output[index].name
            logits = _add(graph, producers, name)
            if logits is not None:
                found.append(index)
                graph.output.append(
                    onnx.ValueInfoProto(name=logits)
                )  # of the type that the graph computes in
        yield found
    finally:
        del graph.node[nodes:]
        del graph.output[values:]


def _add(graph: onnx.GraphProto, producers: dict[str, onnx.NodeProto], output: str) -> str | None:
    after: list[onnx.NodeProto] = []
    node = producers.get(output)
    while node is not None and node.op_type in _SHAPING and not node.domain:
        after.insert(0, node)
        node = producers.get(node.input[0])
    if node is None or node.op_type not in (*_SQUASHING, "ArgMax"):
        return None
    logits = node.input[0]
    if node.op_type == "ArgMax":
        after = []  # it has one dimension less, or a dimension of size 1
    for index, old in enumerate(after):
        if old.op_type == "Cast":
            continue
        new = graph.node.add()
        new.CopyFrom(old)
        new.name = f"{old.name}/logits"
        new.input[0], logits = logits, f"{output}/logits{index}"
        new.output[0] = logits
    if not after or logits == node.input[0]:
        new = graph.node.add(op_type="Identity", name=f"{output}/logits")
        new.input.append(logits)
        logits = f"{output}/logits"
        new.output.append(logits)
    return logits
