"""Compaction: the order of the steps that count, their positions, and what comes of none."""

import numpy as np
import onnx_ir as ir

from export.builder import Builder
from export.lowerings.compaction import Compaction
from export.runtime import open_session


def compacted(mask: np.ndarray) -> list[np.ndarray]:
    g = Builder.of_new_graph(17).for_call("test")
    value = ir.Value(name="mask", type=ir.TensorType(ir.DataType.BOOL), shape=ir.Shape(["batch", "time"]))
    g.graph.inputs.append(value)
    found = Compaction.of(g, g.tensor(value, (None, None), dtype="bool"))
    for result, kind in ((found.order, 7), (found.lengths, 6), (found.position, 7)):
        result.type = ir.TensorType(ir.DataType(kind))
        g.graph.outputs.append(result)
    proto = ir.to_proto(ir.Model(g.graph, ir_version=8))
    order, lengths, position = open_session(proto.SerializeToString()).run(None, {"mask": mask})
    return [order[..., 0], lengths, position[..., 0]]


def test_any_pattern() -> None:
    mask = np.array([[0, 1, 0, 1, 1], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0], [1, 0, 0, 0, 1]], bool)
    order, lengths, position = compacted(mask)
    np.testing.assert_array_equal(lengths, [3, 5, 0, 2])
    np.testing.assert_array_equal(order[0], [1, 3, 4, 0, 2])
    np.testing.assert_array_equal(order[1], [0, 1, 2, 3, 4])
    np.testing.assert_array_equal(position[0], [-1, 0, 0, 1, 2])
    np.testing.assert_array_equal(position[2], [-1] * 5)
    np.testing.assert_array_equal(position[3], [0, 0, 0, 0, 1])


def test_random_patterns() -> None:
    mask = np.random.default_rng(0).random((50, 9)) < 0.4
    order, lengths, _ = compacted(mask)
    for row, steps, length in zip(mask, order, lengths, strict=True):
        np.testing.assert_array_equal(steps, np.argsort(~row, kind="stable"))
        assert length == row.sum()
