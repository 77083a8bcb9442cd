from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import pytest

from export.onnx_graph import constant_array
from export.passes.float16_weights import Float16WeightsPass, why_not
from tests.export.helpers import random_array
from tests.export.passes.graphs import Graph, compute, op_types

KERNEL = random_array(16, 8)


def dense(kernel: np.ndarray = KERNEL, bias: np.ndarray | None = None) -> ir.Model:
    g = Graph(16)
    biases = random_array(8) if bias is None else bias
    return g.model(g.op("dense", "Gemm", g.x, kernel, biases, shape=(8,)))


def half(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float16).astype(np.float32)


def test_the_graph_computes_with_the_rounded_weights() -> None:
    model = dense()
    rounding = Float16WeightsPass()
    assert rounding(model).modified
    assert op_types(model) == ["Cast", "Gemm"]
    assert (rounding.rounded, rounding.kept) == (["dense/constant"], [])
    np.testing.assert_array_equal(compute(model)[0], compute(dense(half(KERNEL)))[0])
    assert not Float16WeightsPass()(model).modified


def two_layers() -> ir.Model:
    g = Graph(8, 6, 6)
    kernel = random_array(8, 8, 3, 3)
    y = g.op("a", "Conv", g.x, kernel, random_array(128)[:8], shape=(8, 4, 4))
    weight = next(iter(g.graph.initializers.values()))
    return g.model(g.op("b", "Conv", y, weight, shape=(8, 2, 2)))


def lookup() -> ir.Model:
    g = Graph(5)
    ids = g.op("ids", "Cast", g.x, to=int(ir.DataType.INT32))
    ids.type = ir.TensorType(ir.DataType.INT32)
    return g.model(g.op("embedding", "Gather", random_array(20, 8), ids, shape=(5, 8)))


def added() -> ir.Model:
    g = Graph(100)
    return g.model(g.op("add", "Add", g.x, random_array(100)))


def used_as_a_bias_too() -> ir.Model:
    g = Graph(1, 16)
    y = g.op("dense", "MatMul", g.x, random_array(16, 16))
    weight = next(iter(g.graph.initializers.values()))
    return g.model(g.op("add", "Add", y, weight, shape=(16, 16)))


@pytest.mark.parametrize(
    ("build", "names"),
    [
        (two_layers, ["Cast", "Conv", "Conv"]),  # one Cast for both
        (lookup, ["Cast", "Cast", "Gather"]),
        (added, ["Add"]),
        (used_as_a_bias_too, ["MatMul", "Add"]),
        (lambda: dense(random_array(16, 8)[:, :3], random_array(3)), ["Gemm"]),  # 48 numbers
        (lambda: dense(random_array(16, 8), random_array(8)), ["Cast", "Gemm"]),
    ],
)
def test_which_weights_are_rounded(build: Callable[[], ir.Model], names: list[str]) -> None:
    model = build()
    expected = compute(build())
    Float16WeightsPass()(model)
    assert op_types(model) == names
    for got, want in zip(compute(model), expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-2, atol=1e-2)


def scaled(rows: list[float]) -> np.ndarray:
    """A kernel whose outputs have these sizes."""
    return np.repeat(random_array(64, 1), len(rows), 1) * np.array(rows, np.float32)


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (random_array(16, 8), None),
        (np.zeros((16, 8), np.float32), None),
        (scaled([1.0, 1e3]), None),
        (scaled([1.0, 1e-12]), None),  # one that is dead
        (scaled([1e5, 1.0]), r"it has numbers of up to .*, above the 65,504 of float16"),
        (np.full((16, 8), np.nan, np.float32), r"it has numbers of up to nan"),
        (scaled([1e-7, 1e-7]), "it has rows of numbers that are too small for float16"),
        (scaled([1e-2, 1e-6]), "it has rows of numbers that are too small for float16"),
    ],
)
def test_weights_that_float16_does_not_hold_stay(array: np.ndarray, reason: str | None) -> None:
    why = why_not(array)
    assert (why is None) == (reason is None)
    if reason is not None:
        with pytest.raises(ValueError, match=reason):
            raise ValueError(why)


def test_a_weight_that_stays_is_reported() -> None:
    model = dense(scaled([1e5] * 8)[:16])
    rounding = Float16WeightsPass()
    assert not rounding(model).modified
    assert rounding.kept[0].startswith("dense/constant: it has numbers of up to")
    assert all(constant_array(x).dtype == np.float32 for x in model.graph.initializers.values())  # type: ignore[union-attr]
