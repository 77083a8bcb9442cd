"""The internal operators: written, and read back."""

import numpy as np
import onnx_ir as ir
import pytest

from export.passes.internal import DOMAIN, affine, as_affine, as_group_norm, group_norm
from tests.export.passes.graphs import Graph


def test_affine_is_read_as_written() -> None:
    g = Graph(2, 5)
    output = affine(g.graph, g.x, np.array([2.0, 3.0]), np.array([0.1, 0.0]), 1, name="block/bn/Affine")
    node = output.producer()
    assert node is not None
    assert (node.domain, node.op_type, node.name) == (DOMAIN, "Affine", "block/bn/Affine")
    read = as_affine(node)
    assert read is not None
    assert (read.node, read.x, read.output, read.axis) == (node, g.x, output, 1)
    assert read.layers == "block/bn"  # the name up to the last slash
    assert read.scale.dtype == read.shift.dtype == np.float64
    assert (read.scale.tolist(), read.shift.tolist()) == ([2.0, 3.0], [0.1, 0.0])
    assert as_group_norm(node) is None


def test_affine_names_the_layers_that_it_came_from() -> None:
    g = Graph(2)
    output = affine(g.graph, g.x, np.ones(2), np.ones(2), 1, name="a/merged", layers="a + b")
    node = output.producer()
    assert node is not None
    read = as_affine(node)
    assert read is not None
    assert read.layers == "a + b"


def test_affine_follows_a_given_node() -> None:
    g = Graph(2)
    first = g.op("first", "Relu", g.x)
    g.op("last", "Relu", first)
    affine(g.graph, first, np.ones(2), np.ones(2), 1, name="bn/Affine", after=first.producer())
    assert [node.name for node in g.graph] == ["first/Relu", "bn/Affine", "last/Relu"]


def test_group_norm_is_read_as_written() -> None:
    g = Graph(4, 5)
    node = group_norm(g.graph, g.x, 2, 0.25, name="gn/GroupNorm").producer()
    assert node is not None
    read = as_group_norm(node)
    assert read is not None
    assert (read.node, read.x, read.groups, read.epsilon) == (node, g.x, 2, 0.25)
    assert as_affine(node) is None


def test_other_operators_are_neither() -> None:
    g = Graph(4)
    node = g.op("relu", "Relu", g.x).producer()
    assert node is not None
    assert as_affine(node) is None
    assert as_group_norm(node) is None


def test_affine_with_a_computed_scale_is_an_error() -> None:
    g = Graph(2)
    node = ir.node("Affine", [g.x, g.x, g.x], {"axis": 1}, domain=DOMAIN, name="bn/Affine")
    with pytest.raises(ValueError, match="bn/Affine: expected an input, and a constant scale and shift"):
        as_affine(node)
