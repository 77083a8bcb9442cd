"""Adaptive pooling against Keras: sizes that divide and that don't, formats, dynamic sizes."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from export.convert import Options, convert
from export.lowerings.adaptive_pooling import window_bounds
from tests.export.helpers import converted, kinds, random_array, run

L = keras.layers
KINDS = ("Average", "Max")

if not hasattr(L, "AdaptiveMaxPooling2D"):
    pytest.skip("this version of Keras has no adaptive pooling", allow_module_level=True)


def layer(kind: str, rank: int, size: Any, **options: Any) -> Any:
    """An adaptive pooling layer."""
    return getattr(L, f"Adaptive{kind}Pooling{rank}D")(size, **options)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_output_sizes(rank: int, kind: str) -> None:
    sizes = (8, 7, 6)[:rank]
    x, first = keras.Input((*sizes, 2)), keras.Input((2, *sizes))
    outputs = [layer(kind, rank, size)(x) for size in (2, 3, 5)]
    outputs.append(layer(kind, rank, 4, data_format="channels_first")(first))
    converted(keras.Model([x, first], outputs))


@pytest.mark.parametrize("kind", KINDS)
def test_one_number_for_each_axis(kind: str) -> None:
    x = keras.Input((8, 9, 2))
    conversion = converted(keras.Model(x, [layer(kind, 2, (4, 4))(x), layer(kind, 2, (8, 3))(x)]))
    assert kinds(conversion).count(f"{kind}Pool") == 2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_dynamic_sizes(rank: int, kind: str) -> None:
    x = keras.Input((*[None] * rank, 2))
    model = keras.Model(x, layer(kind, rank, 3)(x))
    conversion = convert(model, Options(route="direct"))
    for size in (5, 6):
        array = random_array(2, *[size] * rank, 2)
        np.testing.assert_allclose(run(conversion, array)[0], model(array), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_operation(kind: str) -> None:
    x = keras.Input((2, 8, 9))
    operation = getattr(ops, f"adaptive_{kind.lower()}_pool")
    converted(keras.Model(x, operation(x, (3, 4), data_format="channels_first")))


def test_window_bounds() -> None:
    starts, ends = window_bounds(8, 3)
    np.testing.assert_array_equal(starts, [0, 2, 5])
    np.testing.assert_array_equal(ends, [3, 6, 8])
