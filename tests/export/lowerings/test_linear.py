"""Dense layers, matrix products and Einstein sums, against Keras."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from keras import layers as L
from keras import ops

from export.errors import UserError
from tests.export.helpers import (
    check_operation,
    compare,
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


def test_einsum_without_arrow() -> None:
    check_operation(lambda x: ops.einsum("abcd,de", x, random_array(4, 3)))
    with pytest.raises(UserError, match="einsum 'bhwc,cd' without an arrow; write what the output is"):
        check_operation(lambda x: ops.einsum("bhwc,cd", x, random_array(4, 3)))


def test_products_of_integers() -> None:
    x = np.random.default_rng(0).integers(-5, 6, (3, 4, 6)).astype("int32")
    matrix = np.arange(18, dtype="int32").reshape(6, 3)
    compare(
        {
            "matmul": lambda x: ops.matmul(x, matrix),
            "matmul by floats": lambda x: ops.matmul(x, random_array(6, 3)),
            "einsum": lambda x: ops.einsum("bij,jk->bik", x, matrix),
            "einsum by floats": lambda x: ops.einsum("bij,jk->bik", x, random_array(6, 3)),
            "einsum of two tensors": lambda x: ops.einsum("bij,bkj->bik", x, x),
        },
        x,
    )


@pytest.mark.parametrize("equation", ["...ij->...ji", "bij->", "bij->b", "bij,bik,bil->jkl"])
def test_einsum(equation: str) -> None:
    operands = equation.count(",") + 1
    compare({"einsum": lambda x: ops.einsum(equation, *[x] * operands)}, random_array(2, 3, 4))


def test_einsum_of_a_diagonal() -> None:
    compare({"einsum": lambda x: ops.einsum("bii->bi", x)}, random_array(2, 3, 3))


def test_einsum_dense_over_several_dynamic_dimensions() -> None:
    dense = L.EinsumDense("abcde,defg->abcfg", output_shape=(None, None, 2, 4), bias_axes="fg")
    converted(functional((None, None, 3, 2), dense))
