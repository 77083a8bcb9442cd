"""What the operations on dynamic sizes declare; `test_dynamic_sizes.py` runs them."""

import keras
import pytest

from export.size_operations import Arange, BroadcastTo, DynamicSize, GetItem, Pad, Reshape, SizeOf, Tile


def size() -> keras.KerasTensor:
    x = keras.KerasTensor((None, 4))
    return SizeOf(x, 0).symbolic_call(x)


def test_size_is_a_scalar_integer() -> None:
    assert (size().shape, size().dtype) == ((), "int32")
    assert isinstance(size(), DynamicSize)


def test_comparison_with_a_number_has_no_truth_value() -> None:
    with pytest.raises(TypeError, match="bool"):
        assert size() == 1
    one = size()
    assert one in [size(), one]  # as Keras looks symbols up
    assert hash(one) == hash(one)


@pytest.mark.parametrize("kind", [Reshape, BroadcastTo, Tile, Arange, GetItem])
def test_declared_shape(kind: type) -> None:
    x = keras.KerasTensor((None, 4))
    y = kind((None, 2, 2), "float32").symbolic_call(x, [size(), 2, 2])
    assert (y.shape, y.dtype) == ((None, 2, 2), "float32")


def test_mode_of_pad() -> None:
    assert Pad((None,), "int32", "reflect").mode == "reflect"
