"""Integers in few bytes."""

import numpy as np
import onnx_ir as ir
import pytest

from export.builder import Builder
from export.lowerings.quantized_weights import store
from export.runtime import open_session


@pytest.mark.parametrize("columns", [1, 6, 7])
@pytest.mark.parametrize(
    ("low", "high", "size"), [(-8, 7, 4), (0, 15, 4), (-9, 7, 8), (-127, 127, 8), (-128, 127, 8), (0, 255, 8)]
)
def test_integers_come_back(low: int, high: int, size: int, columns: int) -> None:
    integers = np.random.default_rng(0).integers(low, high + 1, (64, columns))
    integers[:2] = [[low], [high]]
    g = Builder.of_new_graph(17)
    codes = store(g, integers, "codes")
    assert codes.value.shape == ir.Shape([64, (columns + 1) // 2 if size == 4 else columns])
    output = codes.as_float(g)
    output.type, output.shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape(integers.shape)
    g.graph.outputs.append(output)
    model = ir.to_proto(ir.Model(g.graph, ir_version=8)).SerializeToString()
    np.testing.assert_array_equal(open_session(model).run(None, {})[0], integers)
