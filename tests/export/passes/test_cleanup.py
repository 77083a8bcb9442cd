"""cleanup: identities, unused nodes and duplicates go; what is used stays."""

import onnx_ir as ir

from export.passes.cleanup import cleanup_pass
from tests.export.helpers import random_array
from tests.export.passes.graphs import Graph, check_pass, rewritten


def test_identity_goes() -> None:
    def build() -> ir.Model:
        g = Graph(4)
        return g.model(g.op("b", "Relu", g.op("a", "Identity", g.x)))

    check_pass(build, cleanup_pass(), modified=True, nodes=["Relu"])


def test_unused_node_goes_with_its_weights() -> None:
    def build() -> ir.Model:
        g = Graph(4)
        g.op("unused", "MatMul", g.x, random_array(4, 4))
        return g.model(g.op("b", "Relu", g.x))

    check_pass(build, cleanup_pass(), modified=True, nodes=["Relu"])
    model = build()
    cleanup_pass()(model)
    assert list(model.graph.initializers) == []


def test_nodes_that_compute_the_same_become_one() -> None:
    def build() -> ir.Model:
        g = Graph(4)
        kernel = random_array(4, 4)
        products = [g.op(name, "MatMul", g.x, kernel) for name in ("one", "two")]
        return g.model(g.op("sum", "Add", *products))

    names, result = rewritten(build, cleanup_pass())
    assert result.modified
    assert names == ["MatMul", "Add"]


def test_graph_without_anything_superfluous_stays() -> None:
    def build() -> ir.Model:
        g = Graph(4)
        return g.model(g.op("b", "Sigmoid", g.op("a", "MatMul", g.x, random_array(4, 4))))

    check_pass(build, cleanup_pass(), modified=False, nodes=["MatMul", "Sigmoid"])
