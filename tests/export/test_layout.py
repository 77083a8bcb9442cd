import numpy as np
import pytest

from export.layout import graph_shape, is_nchw, keras_shape, to_graph, to_keras


@pytest.mark.parametrize(
    ("shape", "first"), [((2, 5, 6, 3), (2, 3, 5, 6)), ((2, 4, 3), (2, 3, 4)), ((2, 3), (2, 3)), ((), ())]
)
def test_shapes_and_arrays_in_both_layouts(shape: tuple[int, ...], first: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).normal(size=shape)
    assert graph_shape(shape, "nchw") == to_graph(array, "nchw").shape == first
    assert keras_shape(first, "nchw") == shape
    np.testing.assert_array_equal(to_keras(to_graph(array, "nchw"), "nchw"), array)
    assert graph_shape(shape, "nhwc") == keras_shape(shape, "nhwc") == shape
    assert to_graph(array, "nhwc") is to_keras(array, "nhwc") is array


def test_only_nchw_of_three_axes_and_more_has_its_channels_first() -> None:
    assert [is_nchw(rank, "nchw") for rank in range(5)] == [False, False, False, True, True]
    assert not is_nchw(4, "nhwc")
