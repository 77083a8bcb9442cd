"""Dense layers, matrix products and Einstein sums, against Keras."""

from collections.abc import Callable
from typing import Any

import pytest
from keras import layers as L
from keras import ops

from export.errors import UserError
from tests.export.helpers import (
    check_operation,
    converted,
    functional,
    in_either_layout,
    kinds,
    random_array,
)


@pytest.mark.parametrize("shape", [(7,), (5, 4), (6, 5, 3)])
@pytest.mark.parametrize("use_bias", [True, False])
def test_dense(shape: tuple[int, ...], use_bias: bool) -> None:
    converted(functional(shape, L.Dense(4, use_bias=use_bias, activation="tanh")))


def test_dense_in_channels_first_layout_needs_no_transpose() -> None:
    model = functional((6, 6, 3), L.Conv2D(4, 3), L.Dense(5), L.Conv2D(2, 3), L.GlobalAveragePooling2D())
    assert kinds(converted(model)).count("Transpose") == 1  # the input's


def test_einsum_dense() -> None:
    layer = L.EinsumDense("bhwc,cd->bhwd", output_shape=(5, 6, 3), bias_axes="d", activation="relu")
    assert "Einsum" not in kinds(converted(functional((5, 6, 4), layer)))


CASES: dict[str, Callable[[Any], Any]] = {
    "matmul by a matrix": lambda x: ops.matmul(x, random_array(4, 3)),
    "matmul of two tensors": lambda x: ops.matmul(x, ops.transpose(x, (0, 1, 3, 2))),
    "dot": lambda x: ops.dot(x, random_array(4, 3)),
    "einsum by a kernel": lambda x: ops.einsum("bhwc,cde->bhwde", x, random_array(4, 2, 3)),
    "einsum over two axes": lambda x: ops.einsum("bhwc,wco->bho", x, random_array(6, 4, 3)),
    "einsum of two tensors": lambda x: ops.einsum("bhwc,bhvc->bhwv", x, x),
}


@in_either_layout
@pytest.mark.parametrize("name", CASES)
def test_operation(name: str, channels_first: bool) -> None:
    check_operation(CASES[name], channels_first)


@pytest.mark.parametrize("equation", ["bhwc,wcc->bhc", "bhwc,bhwc->bhwc"])
def test_einsum_that_is_no_matrix_product_stays_an_einsum(equation: str) -> None:
    second = random_array(6, 4, 4) if equation.startswith("bhwc,w") else None
    conversion = check_operation(lambda x: ops.einsum(equation, x, x * 2.0 if second is None else second))
    assert "Einsum" in kinds(conversion)


def test_dot_with_another_rank_is_unsupported() -> None:
    with pytest.raises(UserError, match=r"dot with a second argument of 1 axes, not 2; use ops\.matmul"):
        check_operation(lambda x: ops.dot(x, random_array(4)))


def test_einsum_without_arrow_is_unsupported() -> None:
    with pytest.raises(UserError, match="einsum 'bhwc,cd' without an arrow"):
        check_operation(lambda x: ops.einsum("bhwc,cd", x, random_array(4, 3)))
