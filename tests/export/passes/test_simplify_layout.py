"""simplify_layout: each rule, and each case in which a rule does not apply."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from export.passes.simplify_layout import SimplifyLayoutPass
from tests.export.helpers import random_array
from tests.export.passes.graphs import Graph, check_pass


def shape(*sizes: int) -> np.ndarray:
    return np.array(sizes, np.int64)


def check(build: Callable[[], ir.Model], nodes: list[str], modified: bool = True) -> None:
    check_pass(build, SimplifyLayoutPass(), modified=modified, nodes=nodes)


# Rule 1: Reshape, then Reshape or Flatten


@pytest.mark.parametrize("second", [(-1, 4, 6), (-1, 24), (0, 24)])
def test_second_of_two_reshapes_stays(second: tuple[int, ...]) -> None:
    def build() -> ir.Model:
        g = Graph(4, 6)
        x = g.op("first", "Reshape", g.x, shape(-1, 2, 12), shape=(2, 12))
        return g.model(g.op("second", "Reshape", x, shape(*second), shape=second[1:]))

    check(build, ["Reshape"])


def test_reshape_before_flatten_goes() -> None:
    def build() -> ir.Model:
        g = Graph(4, 6)
        x = g.op("first", "Reshape", g.x, shape(0, 2, 12), shape=(2, 12))
        return g.model(g.op("second", "Flatten", x, shape=(24,)))

    check(build, ["Flatten"])


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((-1, 2, 12), (-1, 0, 6)),  # the 0 copies a size of the first
        ((2, -1, 12), (-1, 24)),  # the first may change the batch dimension
        ((-1, 2, 0), (-1, 24)),  # the 0 copies a size of the input
    ],
)
def test_reshapes_that_depend_on_each_other_stay(first: tuple[int, ...], second: tuple[int, ...]) -> None:
    def build() -> ir.Model:
        g = Graph(4, 6)
        x = g.op("first", "Reshape", g.x, shape(*first), shape=(2, 12))
        return g.model(g.op("second", "Reshape", x, shape(*second), shape=second[1:]))

    model = build()
    assert not SimplifyLayoutPass()(model).modified
    assert len(list(model.graph)) == 2


def test_reshape_with_another_user_stays() -> None:
    def build() -> ir.Model:
        g = Graph(4, 6)
        x = g.op("first", "Reshape", g.x, shape(-1, 2, 12), shape=(2, 12))
        return g.model(x, g.op("second", "Reshape", x, shape(-1, 24), shape=(24,)))

    check(build, ["Reshape", "Reshape"], modified=False)


# Rule 2: Transpose, then Transpose


def transposes(first: list[int], second: list[int], end: str | None = "Relu") -> Callable[[], ir.Model]:
    def build() -> ir.Model:
        g = Graph(4, 6, 2)
        x = g.op("first", "Transpose", g.x, perm=first, shape=None)
        x = g.op("second", "Transpose", x, perm=second)
        return g.model(g.op("end", end, x) if end else x)

    return build


def test_opposite_transposes_cancel() -> None:
    check(transposes([0, 3, 1, 2], [0, 2, 3, 1]), ["Relu"])


def test_two_transposes_become_one() -> None:
    check(transposes([0, 3, 1, 2], [0, 3, 1, 2]), ["Transpose", "Relu"])


def test_opposite_transposes_keep_one_where_the_graph_ends() -> None:
    check(transposes([0, 3, 1, 2], [0, 2, 3, 1], end=None), ["Transpose"])


def test_transpose_with_another_user_stays_for_it() -> None:
    def build() -> ir.Model:
        g = Graph(4, 6, 2)
        x = g.op("first", "Transpose", g.x, perm=[0, 3, 1, 2])
        y = g.op("second", "Transpose", x, perm=[0, 2, 3, 1])
        return g.model(g.op("one", "Relu", x), g.op("two", "Relu", y))

    check(build, ["Transpose", "Relu", "Relu"])


# Rule 3: Transpose, flatten, Gemm


@pytest.mark.parametrize("flatten", ["Reshape", "Flatten"])
@pytest.mark.parametrize("perm", [[0, 2, 3, 1], [0, 3, 1, 2], [0, 1, 3, 2]])
def test_transpose_before_a_dense_layer_permutes_its_kernel(perm: list[int], flatten: str) -> None:
    def build() -> ir.Model:
        g = Graph(4, 3, 2)
        sizes = [(4, 3, 2)[axis - 1] for axis in perm[1:]]
        x = g.op("transpose", "Transpose", g.x, perm=perm, shape=tuple(sizes))
        target = [shape(-1, 24)] if flatten == "Reshape" else []
        x = g.op("flatten", flatten, x, *target, shape=(24,))
        return g.model(g.op("dense", "Gemm", x, random_array(24, 5), random_array(5), shape=(5,)))

    check(build, [flatten, "Gemm"])


@pytest.mark.parametrize("case", ["computed kernel", "three axes", "dynamic size", "batch moved"])
def test_transpose_before_another_gemm_stays(case: str) -> None:
    g = Graph(None if case == "dynamic size" else 4, 6)
    perm = [1, 0, 2] if case == "batch moved" else [0, 2, 1]
    x = g.op("transpose", "Transpose", g.x, perm=perm, shape=(6, 4))
    target = shape(-1, 1, 24) if case == "three axes" else shape(-1, 24)
    x = g.op("flatten", "Reshape", x, target, shape=(24,))
    kernel: Any = (
        g.op("kernel", "Relu", random_array(24, 5)) if case == "computed kernel" else random_array(24, 5)
    )
    model = g.model(g.op("dense", "Gemm", x, kernel, shape=(5,)))
    assert not SimplifyLayoutPass()(model).modified


# Rule 4: Reshape to the shape that its input has


@pytest.mark.parametrize("batch", [0, -1])
def test_reshape_to_the_same_shape_goes(batch: int) -> None:
    def build() -> ir.Model:
        g = Graph(4, 6)
        x = g.op("same", "Reshape", g.x, shape(batch, 4, 6))
        return g.model(g.op("end", "Relu", x))

    check(build, ["Relu"])


def test_reshape_to_another_shape_stays() -> None:
    def build() -> ir.Model:
        g = Graph(4, 6)
        x = g.op("other", "Reshape", g.x, shape(-1, 6, 4), shape=(6, 4))
        return g.model(g.op("end", "Relu", x))

    check(build, ["Reshape", "Relu"], modified=False)


def test_reshape_whose_output_the_graph_returns_stays() -> None:
    def build() -> ir.Model:
        g = Graph(4, 6)
        return g.model(g.op("same", "Reshape", g.x, shape(-1, 4, 6)))

    check(build, ["Reshape"], modified=False)
