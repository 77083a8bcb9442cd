"""Convolutions against Keras: formats, paddings, strides, dilations, groups."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from export.builder import Builder
from export.convert import Options, convert
from export.errors import Unsupported
from export.lowerings.convolution import (
    onnx_depthwise_kernel,
    onnx_kernel,
    padding_attributes,
    spatial_sizes,
)
from tests.export.helpers import (
    FORMATS,
    check_operation,
    converted,
    functional,
    image_shape,
    in_either_layout,
    kinds,
    random_array,
    randomize,
    run,
)

L = keras.layers
KERNEL = random_array(3, 3, 4, 2)


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"strides": 2},
        {"strides": (1, 3)},
        {"dilation_rate": 2},
        {"kernel_size": (2, 4)},
        {"kernel_size": 1, "strides": 2},
        {"use_bias": False, "activation": "relu"},
        {"groups": 3, "filters": 9},
    ],
)
def test_conv2d(data_format: str, padding: str, options: dict[str, Any]) -> None:
    # The output is not as wide as the number of filters: Keras then adds a channels-first bias along the wrong axis.
    arguments = {"filters": 7, "kernel_size": 3, "padding": padding, "data_format": data_format, **options}
    if data_format == "channels_first" and "groups" in options:
        compare_with_channels_last(L.Conv2D, arguments)
        return
    conversion = converted(functional(image_shape(data_format), L.Conv2D(**arguments)))
    assert "Conv" in kinds(conversion)


def compare_with_channels_last(kind: Any, arguments: dict[str, Any]) -> None:
    """Compare with the same layer on the transposed image: TensorFlow can't compute it channels first on a CPU."""
    first = functional(image_shape("channels_first"), kind(**arguments))
    last = functional(image_shape("channels_last"), kind(**{**arguments, "data_format": "channels_last"}))
    last.set_weights(first.get_weights())
    conversion = convert(first, Options(route="direct"))
    for batch in (1, 3):
        x = random_array(batch, 9, 8, 6)
        [got] = run(conversion, np.ascontiguousarray(x.transpose(0, 3, 1, 2)))
        np.testing.assert_allclose(got.transpose(0, 2, 3, 1), last(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("strides", [1, 2])
def test_conv2d_with_dynamic_image_size(padding: str, strides: int) -> None:
    model = functional((None, None, 6), L.Conv2D(5, 3, strides=strides, padding=padding))
    conversion = converted(model)
    x = random_array(2, 13, 10, 6)
    np.testing.assert_allclose(run(conversion, x)[0], model(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("padding", ["valid", "same", "causal"])
@pytest.mark.parametrize("dilation", [1, 2])
def test_conv1d(padding: str, dilation: int) -> None:
    converted(functional((12, 4), L.Conv1D(5, 3, padding=padding, dilation_rate=dilation)))


def test_conv3d() -> None:
    converted(functional((6, 5, 7, 2), L.Conv3D(4, 3, padding="same"), L.MaxPooling3D(2)))


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("options", [{}, {"strides": 2}, {"dilation_rate": 2}, {"depth_multiplier": 2}])
@pytest.mark.parametrize("kind", ["depthwise", "separable"])
def test_depthwise_and_separable(kind: str, data_format: str, padding: str, options: dict[str, Any]) -> None:
    arguments: dict[str, Any] = {"kernel_size": 3, "padding": padding, "data_format": data_format, **options}
    if kind == "separable":
        arguments["filters"] = 4
    layer = L.DepthwiseConv2D if kind == "depthwise" else L.SeparableConv2D
    if data_format == "channels_first":
        compare_with_channels_last(layer, arguments)
    else:
        converted(functional(image_shape(data_format), layer(**arguments)))


@pytest.mark.parametrize(("kind", "shape"), [(L.Conv1D, (8, 4)), (L.Conv3D, (5, 4, 3, 4))])
def test_groups(kind: Any, shape: tuple[int, ...]) -> None:
    model = functional(shape, kind(6, 3, groups=2, padding="same", strides=2))
    conversion = convert(model, Options(route="direct"))
    x = random_array(2, *shape)
    np.testing.assert_allclose(run(conversion, x)[0], model(x), rtol=1e-4, atol=1e-5)
    assert kinds(conversion) == ["Transpose", "Conv", "Transpose"]


def test_depthwise_and_separable_of_sequences() -> None:
    x = inputs = keras.Input((9, 4))
    outputs = []
    for padding in ("valid", "same"):
        for strides, dilation in ((1, 1), (1, 2), (2, 1), (2, 2)):
            options: dict[str, Any] = {"padding": padding, "strides": strides, "dilation_rate": dilation}
            outputs.append(L.DepthwiseConv1D(3, depth_multiplier=2, **options)(x))
            outputs.append(L.SeparableConv1D(5, 3, depth_multiplier=2, **options)(x))
    converted(randomize(keras.Model(inputs, outputs)))


@pytest.mark.parametrize("kind", [L.Conv1D, L.Conv2D, L.Conv3D])
def test_same_padding_with_dynamic_sizes(kind: Any) -> None:
    rank = {L.Conv1D: 1, L.Conv2D: 2, L.Conv3D: 3}[kind]
    layers = [
        kind(4, kernel, strides=strides, padding="same") for kernel, strides in ((3, 2), (1, 2), (2, 3))
    ]
    model = functional((*[None] * rank, 3), *layers)
    conversion = converted(model)
    for size in (11, 12, 13, 14):
        x = random_array(2, *[size] * rank, 3)
        np.testing.assert_allclose(run(conversion, x)[0], model(x), rtol=1e-4, atol=1e-5)


def test_separable_conv_records_the_shape_between_its_convolutions() -> None:
    # The fold of the batch normalization reads the shape that is recorded.
    converted(functional((8, 7, 4), L.SeparableConv2D(5, 3), L.BatchNormalization(), L.Conv2D(2, 3)))


DEPTHWISE = random_array(3, 3, 4, 2, seed=1)
POINTWISE = random_array(1, 1, 8, 3, seed=2)
CASES = {
    "conv": lambda x: ops.conv(x, KERNEL, padding="same", strides=2),
    "depthwise_conv": lambda x: ops.depthwise_conv(x, DEPTHWISE, padding="same"),
    "depthwise_conv with strides and dilation": lambda x: ops.depthwise_conv(
        x, DEPTHWISE, strides=2, dilation_rate=2, padding="same"
    ),
    "separable_conv": lambda x: ops.separable_conv(x, DEPTHWISE, POINTWISE, strides=2, padding="same"),
}


@in_either_layout
@pytest.mark.parametrize("name", CASES)
def test_operation(name: str, channels_first: bool) -> None:
    check_operation(CASES[name], channels_first)


def computed(x: Any, *shape: int) -> Any:
    """A kernel that depends on the input, but not on the batch size."""
    return ops.ones(shape) * ops.tanh(ops.max(x))


@in_either_layout
def test_operation_with_computed_kernel(channels_first: bool) -> None:
    check_operation(lambda x: ops.conv(x, computed(x, 2, 3, 4, 5)), channels_first)
    check_operation(lambda x: ops.depthwise_conv(x, computed(x, 2, 3, 4, 2)), channels_first)
    check_operation(
        lambda x: ops.separable_conv(x, computed(x, 2, 3, 4, 2), computed(x, 1, 1, 8, 3)), channels_first
    )


@pytest.mark.parametrize(
    ("padding", "sizes", "strides", "attributes"),
    [
        ("valid", (9, 8), [1, 1], {"pads": [0, 0, 0, 0]}),
        ("same", (9, 8), [1, 1], {"pads": [1, 1, 1, 2]}),
        ("same", (9, 8), [2, 2], {"pads": [1, 1, 1, 1]}),
        ("same", (None, None), [1, 1], {"pads": [1, 1, 1, 2]}),
        ("same", (None, 8), [2, 2], {"auto_pad": "SAME_UPPER"}),
        ("causal", (9, 8), [1, 1], {"pads": [2, 3, 0, 0]}),
    ],
)
def test_padding_attributes(
    padding: str, sizes: tuple[int | None, ...], strides: list[int], attributes: dict[str, Any]
) -> None:
    assert padding_attributes(padding, sizes, [3, 4], strides, [1, 1]) == attributes


def test_kernel_layouts() -> None:
    g, kernel = Builder.of_new_graph(17), random_array(3, 2, 4, 5)
    assert onnx_kernel(g, kernel).shape == (5, 4, 3, 2)
    depthwise = onnx_depthwise_kernel(g, kernel)
    assert isinstance(depthwise, np.ndarray)
    assert depthwise.shape == (20, 1, 3, 2)
    np.testing.assert_array_equal(depthwise[5 * 3 + 2, 0], kernel[:, :, 3, 2])


def test_kernel_of_dynamic_size_is_unsupported() -> None:
    g = Builder.of_new_graph(17)
    with pytest.raises(Unsupported, match=r"a kernel of dynamic size \(shape \(5, 4, None, 3\)\)"):
        spatial_sizes(g.tensor(g.constant(0.0), (5, 4, None, 3)))
