"""Other nodes for an ONNX graph, for a while."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import onnx


@contextlib.contextmanager
def with_nodes(model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto]) -> Iterator[None]:
    """Give a graph other nodes, until the context ends; the model is not copied, since its weights may be large."""
    own = list(model.graph.node)
    _set(model, nodes)
    try:
        yield
    finally:
        _set(model, own)


def _set(model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto]) -> None:
    del model.graph.node[:]
    model.graph.node.extend(nodes)
