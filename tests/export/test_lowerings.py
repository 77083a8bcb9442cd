"""Every lowering, against Keras: formats, paddings, axes; each at several batch sizes (see helpers)."""

from typing import Any

import keras
import numpy as np
import pytest

from export.convert import Options, convert
from tests.export.helpers import converted, functional, kinds, randomize, run

L = keras.layers
FORMATS = ["channels_last", "channels_first"]


def image(data_format: str, height: int | None = 9, width: int | None = 8, channels: int = 6) -> Any:
    sizes = (height, width, channels) if data_format == "channels_last" else (channels, height, width)
    return sizes


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
    # Not as many filters as the output is wide: Keras then adds a bias along the wrong axis channels first.
    arguments = {"filters": 7, "kernel_size": 3, "padding": padding, "data_format": data_format, **options}
    if data_format == "channels_first" and "groups" in options:
        compare_with_channels_last(L.Conv2D, arguments)
        return
    conversion = converted(functional(image(data_format), L.Conv2D(**arguments)))
    assert "Conv" in kinds(conversion)


def compare_with_channels_last(kind: Any, arguments: dict[str, Any]) -> None:
    """For what TensorFlow can't compute channels first on CPU: the transposed image through its twin."""
    first = functional(image("channels_first"), kind(**arguments))
    last = functional(image("channels_last"), kind(**{**arguments, "data_format": "channels_last"}))
    last.set_weights(first.get_weights())
    conversion = convert(first, Options(route="direct"))
    for batch in (1, 3):
        x = np.random.default_rng(0).normal(size=(batch, *image("channels_last"))).astype("float32")
        [got] = run(conversion, np.ascontiguousarray(x.transpose(0, 3, 1, 2)))
        np.testing.assert_allclose(got.transpose(0, 2, 3, 1), last(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("strides", [1, 2])
def test_conv2d_of_open_image_size(padding: str, strides: int) -> None:
    model = functional(image("channels_last", None, None), L.Conv2D(5, 3, strides=strides, padding=padding))
    conversion = converted(model)
    x = np.random.default_rng(0).normal(size=(2, 13, 10, 6)).astype("float32")
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
        converted(functional(image(data_format), layer(**arguments)))


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("strides", [None, 1, (3, 2)])
@pytest.mark.parametrize("kind", [L.MaxPooling2D, L.AveragePooling2D])
def test_pooling(kind: Any, strides: Any, padding: str, data_format: str) -> None:
    layer = kind((2, 3), strides=strides, padding=padding, data_format=data_format)
    converted(functional(image(data_format), layer))


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("kind", [L.GlobalAveragePooling2D, L.GlobalMaxPooling2D])
def test_global_pooling(kind: Any, keepdims: bool, data_format: str) -> None:
    converted(functional(image(data_format), kind(data_format=data_format, keepdims=keepdims)))


@pytest.mark.parametrize("shape", [(7,), (5, 4), (6, 5, 3)])
@pytest.mark.parametrize("use_bias", [True, False])
def test_dense(shape: tuple[int, ...], use_bias: bool) -> None:
    converted(functional(shape, L.Dense(4, use_bias=use_bias, activation="tanh")))


def test_dense_over_channels_needs_no_transpose() -> None:
    model = functional((6, 6, 3), L.Conv2D(4, 3), L.Dense(5), L.Conv2D(2, 3), L.GlobalAveragePooling2D())
    assert kinds(converted(model)).count("Transpose") == 1  # the input's


@pytest.mark.parametrize("axis", [-1, 1, 2, 3])
@pytest.mark.parametrize("scale", [True, False])
def test_batch_normalization(axis: int, scale: bool) -> None:
    layer = L.BatchNormalization(axis=axis, scale=scale, center=scale, epsilon=0.01)
    converted(functional((5, 4, 6), L.Activation("tanh"), layer, L.Activation("tanh")))


@pytest.mark.parametrize("shape", [(6,), (5, 6)])
def test_batch_normalization_of_vectors(shape: tuple[int, ...]) -> None:
    converted(functional(shape, L.Activation("tanh"), L.BatchNormalization(), L.Activation("tanh")))


@pytest.mark.parametrize("portable", [False, True])
@pytest.mark.parametrize("groups", [1, 2, 3, 6, -1])
@pytest.mark.parametrize("axis", [-1, 1, 2])
def test_group_normalization(groups: int, axis: int, portable: bool) -> None:
    layer = L.GroupNormalization(groups=groups, axis=axis, epsilon=0.01)
    conversion = converted(functional((6, 6, 6), layer, L.Activation("tanh")), portable=portable)
    assert ("GroupNormalization" in kinds(conversion)) == portable


@pytest.mark.parametrize("shape", [(6,), (7, 6), (None, None, 6)])
@pytest.mark.parametrize("groups", [1, 3])
def test_group_normalization_of_other_ranks_and_open_sizes(shape: Any, groups: int) -> None:
    converted(functional(shape, L.GroupNormalization(groups=groups), L.Activation("tanh")))


def test_group_normalization_without_gamma_and_beta() -> None:
    layer = L.GroupNormalization(groups=2, scale=False, center=False)
    converted(functional((5, 5, 6), layer, L.Activation("tanh")))


@pytest.mark.parametrize("axis", [-1, 1, 2, (1, 2), (2, 3), (1, 2, 3), (1, 3)])
@pytest.mark.parametrize("before", ["input", "convolution"])
def test_layer_normalization(axis: Any, before: str) -> None:
    first = L.Conv2D(4, 3, padding="same") if before == "convolution" else L.Activation("tanh")
    model = functional((5, 6, 4), first, L.LayerNormalization(axis=axis, epsilon=0.01), L.Activation("tanh"))
    assert kinds(converted(model)).count("LayerNormalization") == 1


@pytest.mark.parametrize("scale", [True, False])
def test_layer_normalization_without_gamma_or_beta(scale: bool) -> None:
    converted(functional((5, 6), L.LayerNormalization(scale=scale, center=not scale)))


@pytest.mark.parametrize("axis", [-1, 1, (1, 2), (1, 2, 3)])
def test_unit_normalization(axis: Any) -> None:
    converted(functional((5, 6, 4), L.Conv2D(4, 1), L.UnitNormalization(axis=axis), L.Conv2D(3, 1)))


@pytest.mark.parametrize("axis", [-1, (2, 3), (1, 2, 3)])
def test_rms_normalization(axis: Any) -> None:
    if not hasattr(L, "RMSNormalization"):
        pytest.skip("this Keras has no RMSNormalization")
    converted(functional((5, 6, 4), L.Conv2D(4, 1), L.RMSNormalization(axis=axis), L.Conv2D(3, 1)))


@pytest.mark.parametrize("invert", [False, True])
def test_normalization_and_rescaling(invert: bool) -> None:
    layer = L.Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0, 1.0, 0.25], invert=invert)
    converted(functional((5, 6, 3), layer, L.Activation("tanh")))
    converted(functional((5, 6, 3), L.Rescaling(0.5, offset=-1.0), L.Activation("tanh")))
    converted(
        functional((5, 6, 3), L.Rescaling([0.5, 2.0, 1.0], offset=[1.0, 0.0, 2.0]), L.Activation("tanh"))
    )


ACTIVATIONS = sorted(
    name
    for name in dir(keras.activations)
    if not name.startswith("_") and name not in ("deserialize", "get", "serialize", "threshold")
)


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("first", ["vector", "image"])
def test_activations_that_keras_names(name: str, first: str) -> None:
    layers = [L.Conv2D(6, 3)] if first == "image" else []
    converted(functional((6, 5, 6) if first == "image" else (6,), *layers, L.Activation(name)))


def test_an_activation_that_keras_does_not_name() -> None:
    def relu(x: Any) -> Any:
        return x * 2

    model = functional((4,), L.Activation(relu, name="mine"))
    with pytest.raises(
        ValueError, match=r"layer 'mine' \(Activation\): activation 'relu', which is not one of Keras' own"
    ):
        converted(model)


@pytest.mark.parametrize(
    "layer",
    [
        L.ReLU(),
        L.ReLU(max_value=1.0),
        L.ReLU(negative_slope=0.1),
        L.ReLU(threshold=0.5),
        L.ReLU(max_value=1.0, negative_slope=0.2, threshold=0.3),
        L.LeakyReLU(negative_slope=0.3),
        L.ELU(alpha=0.7),
        L.PReLU(),
        L.PReLU(shared_axes=[1, 2]),
        L.Softmax(),
        L.Softmax(axis=1),
    ],
    ids=lambda layer: layer.name,
)
def test_activation_layers(layer: Any) -> None:
    model = functional((5, 6, 4), L.Conv2D(4, 3, padding="same"), layer.from_config(layer.get_config()))
    converted(model)


def test_layers_of_training_only_leave_nothing() -> None:
    layers = [
        *(L.Dropout(0.5), L.SpatialDropout2D(0.5), L.GaussianDropout(0.5), L.GaussianNoise(0.5)),
        *(L.AlphaDropout(0.5), L.ActivityRegularization(0.1), L.Identity()),
    ]
    conversion = converted(functional((5, 6, 4), *layers, L.Activation("tanh")))
    assert kinds(conversion) == ["Tanh"]


@pytest.mark.parametrize("data_format", FORMATS)
def test_padding_cropping_and_up_sampling(data_format: str) -> None:
    shape = image(data_format)
    converted(functional(shape, L.ZeroPadding2D(((1, 2), (0, 3)), data_format=data_format)))
    converted(functional(shape, L.Cropping2D(((1, 2), (0, 3)), data_format=data_format)))
    converted(functional(shape, L.Cropping2D(((1, 0), (2, 0)), data_format=data_format)))
    for interpolation in ("nearest", "bilinear"):
        layer = L.UpSampling2D((2, 3), interpolation=interpolation, data_format=data_format)
        converted(functional(shape, layer))


def test_padding_and_cropping_of_sequences() -> None:
    converted(functional((7, 3), L.ZeroPadding1D((1, 2)), L.Conv1D(4, 3), L.Cropping1D((1, 1))))


@pytest.mark.parametrize("data_format", FORMATS)
def test_flatten_reshape_permute(data_format: str) -> None:
    shape = image(data_format, 4, 3, 5)
    converted(functional(shape, L.Flatten(data_format=data_format), L.Dense(4)))
    converted(functional(shape, L.Reshape((5, 12)), L.Permute((2, 1))))
    converted(functional(shape, L.Reshape((-1, 6)), L.Conv1D(3, 2)))
    converted(functional((5,), L.RepeatVector(3), L.Conv1D(3, 2)))


def test_flatten_of_a_convolution_permutes_the_kernel_in_place_of_the_image() -> None:
    model = functional((6, 5, 2), L.Conv2D(4, 3), L.Flatten(), L.Dropout(0.5), L.Dense(3))
    assert kinds(converted(model)).count("Transpose") == 1  # the input's


@pytest.mark.parametrize(
    "kind", [L.Add, L.Subtract, L.Multiply, L.Average, L.Maximum, L.Minimum, L.Concatenate]
)
@pytest.mark.parametrize("first", ["images", "vectors", "one image held channels first"])
def test_merging(kind: Any, first: str) -> None:
    shape = (4,) if first == "vectors" else (5, 6, 4)
    inputs = [keras.Input(shape, name=name) for name in "ab"]
    one, two = inputs
    if first == "one image held channels first":
        one = L.Conv2D(4, 3, padding="same")(one)
    converted(randomize(keras.Model(inputs, kind()([one, two]))))


@pytest.mark.parametrize("axis", [1, 2, 3, -1])
def test_concatenate_axis(axis: int) -> None:
    x = keras.Input((5, 5, 4))
    branches = [L.Conv2D(4, 3, padding="same")(x), L.Conv2D(4, 1)(x), x]
    converted(randomize(keras.Model(x, L.Concatenate(axis=axis)(branches))))


def test_merging_broadcasts_as_keras_does() -> None:
    x = keras.Input((5, 6, 4))
    squeezed = L.GlobalAveragePooling2D(keepdims=True)(x)
    gate = L.Conv2D(4, 1, activation="sigmoid")(squeezed)
    converted(randomize(keras.Model(x, L.Multiply()([L.Conv2D(4, 3, padding="same")(x), gate]))))


def test_merging_of_different_ranks_is_refused() -> None:
    x, y = keras.Input((5, 6, 4)), keras.Input((4,))
    with pytest.raises(ValueError, match=r"tensors of different ranks \[4, 2\]"):
        converted(keras.Model([x, y], L.Multiply()([x, y])))
