"""Each fold and each refusal: the operators that are left, the reason given, and the same numbers."""

from typing import Any

import keras
import numpy as np
import pytest
from onnx import numpy_helper

from tests.export.helpers import converted, functional, kinds, randomize

L = keras.layers
NORM = ("BatchNormalization", "InstanceNormalization", "LayerNormalization", "Mul", "Add")


def left(conversion: Any) -> list[str]:
    """Operators that a norm or its gamma and beta left in the graph."""
    return [kind for kind in kinds(conversion) if kind in NORM]


def test_into_the_convolution_before() -> None:
    for padding in ("valid", "same"):
        model = functional(
            (8, 8, 3), L.Conv2D(4, 3, padding=padding), L.BatchNormalization(name="bn"), L.ReLU()
        )
        conversion = converted(model)
        assert left(conversion) == []
        [fold] = conversion.folds.folded
        assert fold.layers == "bn"
        assert fold.how.startswith("into the preceding conv2d")
        assert conversion.folds.refused == ()


def test_into_the_dense_layer_before_and_after() -> None:
    model = functional((5,), L.Dense(4), L.BatchNormalization(), L.ReLU(), L.BatchNormalization(), L.Dense(3))
    assert kinds(converted(model)) == ["Gemm", "Relu", "Gemm"]


def test_into_a_dense_layer_over_a_sequence() -> None:
    model = functional((7, 5), L.ReLU(), L.BatchNormalization(), L.Dense(3), L.ReLU())
    assert kinds(converted(model)) == ["Relu", "MatMul", "Add", "Relu"]


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("options", [{}, {"strides": 2}, {"dilation_rate": 2}, {"groups": 2, "filters": 6}])
def test_into_the_valid_convolution_after(use_bias: bool, options: dict[str, Any]) -> None:
    arguments = {"filters": 5, "kernel_size": 3, "use_bias": use_bias, **options}
    model = functional(
        (9, 9, 3), L.Conv2D(4, 3), L.ReLU(), L.BatchNormalization(), L.Conv2D(**arguments), L.ReLU()
    )
    assert left(converted(model)) == []


@pytest.mark.parametrize("multiplier", [1, 3])
def test_into_the_depthwise_convolution_after(multiplier: int) -> None:
    layers = [L.ReLU(), L.BatchNormalization(), L.DepthwiseConv2D(3, depth_multiplier=multiplier), L.ReLU()]
    assert left(converted(functional((9, 9, 4), *layers))) == []


def test_not_into_a_padded_convolution_after() -> None:
    layers = [
        L.ReLU(),
        L.BatchNormalization(name="bn"),
        L.Conv2D(5, 3, padding="same", name="conv"),
        L.ReLU(),
    ]
    conversion = converted(functional((9, 9, 4), L.Conv2D(4, 3), *layers))
    assert left(conversion) == ["BatchNormalization"]
    [refusal] = conversion.folds.refused
    assert refusal.layers == "bn"
    assert refusal.reason == (
        "preceded by Relu; the following conv pads with zeros, which the shift would have to change"
    )


def test_a_scale_without_shift_passes_the_padding() -> None:
    norm = L.Rescaling(3.0)
    model = functional((9, 9, 4), L.ReLU(), norm, L.Conv2D(5, 3, padding="same"), L.ReLU())
    assert left(converted(model)) == []


def test_padding_of_a_1x1_kernel_is_none() -> None:
    model = functional((9, 9, 4), L.ReLU(), L.BatchNormalization(), L.Conv2D(5, 1, padding="same"), L.ReLU())
    assert left(converted(model)) == []


def test_not_into_a_convolution_before_that_is_used_elsewhere() -> None:
    x = keras.Input((8, 8, 3))
    y = L.Conv2D(4, 3, name="conv")(x)
    model = randomize(keras.Model(x, L.Add()([L.BatchNormalization(name="bn")(y), y])))
    conversion = converted(model)
    assert left(conversion) == ["BatchNormalization", "Add"]
    assert str(conversion.folds.refused[0]).startswith(
        "bn: the preceding conv has other users; followed by Add"
    )


def test_into_all_convolutions_after_or_none() -> None:
    x = keras.Input((8, 8, 3))
    y = L.BatchNormalization(name="bn")(L.ReLU()(x))
    both = [L.Conv2D(4, 3)(y), L.Conv2D(4, 3)(y)]
    assert left(converted(randomize(keras.Model(x, L.Concatenate()(both))))) == []
    one = [L.Conv2D(4, 3, padding="same")(y), L.Conv2D(4, 3, padding="same", name="padded")(y)]
    conversion = converted(randomize(keras.Model(x, L.Concatenate()(one))))
    assert left(conversion) == ["BatchNormalization"]


def test_a_shared_convolution_keeps_its_kernel_for_the_other_call() -> None:
    x = keras.Input((8, 8, 3))
    conv, relu = L.Conv2D(4, 3), L.ReLU()
    normalized, plain = conv(L.BatchNormalization()(relu(x))), conv(relu(x))
    assert left(converted(randomize(keras.Model(x, L.Concatenate()([normalized, plain]))))) == []


def positive(model: keras.Model) -> keras.Model:
    for weight in model.weights:
        if weight.name == "gamma":
            weight.assign(np.abs(weight.numpy()))
    return model


@pytest.mark.parametrize(
    "pool", [L.MaxPooling2D(2), L.MaxPooling2D(2, padding="same"), L.GlobalMaxPooling2D()]
)
def test_through_a_maximum_only_if_the_scale_is_positive(pool: Any) -> None:
    def build() -> keras.Model:
        layers = [L.ReLU(), L.BatchNormalization(name="bn"), pool.from_config(pool.get_config())]
        end = L.Dense(3) if isinstance(pool, L.GlobalMaxPooling2D) else L.Conv2D(3, 2)
        return functional((7, 7, 4), *layers, end)

    assert left(converted(positive(build()))) == []
    conversion = converted(build())
    assert left(conversion) == ["BatchNormalization"]
    assert (
        "takes maxima, and the scale is not positive for every channel" in conversion.folds.refused[0].reason
    )


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_through_an_average(padding: str) -> None:
    layers = [L.ReLU(), L.BatchNormalization(), L.AveragePooling2D(2, padding=padding), L.Conv2D(3, 2)]
    assert left(converted(functional((7, 7, 4), *layers))) == []
    for keepdims in (False, True):
        end = L.Conv2D(3, 1) if keepdims else L.Dense(3)
        layers = [L.ReLU(), L.BatchNormalization(), L.GlobalAveragePooling2D(keepdims=keepdims), end]
        assert left(converted(functional((7, 7, 4), *layers))) == []


@pytest.mark.parametrize("first", ["image", "convolution"])
def test_through_flatten_into_a_dense_layer(first: str) -> None:
    start = L.Conv2D(4, 3, activation="relu") if first == "convolution" else L.ReLU()
    assert (
        left(converted(functional((6, 5, 4), start, L.BatchNormalization(), L.Flatten(), L.Dense(3)))) == []
    )


def test_not_through_a_reshape_that_mixes_the_channels() -> None:
    model = functional((4, 5, 4), L.ReLU(), L.BatchNormalization(name="bn"), L.Reshape((10, 8)), L.Dense(3))
    conversion = converted(model)
    assert "mixes the channels with other axes" in conversion.folds.refused[0].reason


def test_not_through_zero_padding() -> None:
    layers = [L.ReLU(), L.BatchNormalization(name="bn"), L.ZeroPadding2D(1), L.Conv2D(3, 3)]
    conversion = converted(functional((6, 6, 4), *layers))
    assert "followed by Pad" in conversion.folds.refused[0].reason


def test_two_in_a_row_become_one() -> None:
    layers = [L.ReLU(), L.BatchNormalization(), L.Rescaling(2.0, 1.0), L.BatchNormalization(), L.ReLU()]
    assert left(converted(functional((6, 6, 4), L.Conv2D(4, 3), *layers))) == ["BatchNormalization"]


def test_an_output_stays_what_it_is() -> None:
    x = keras.Input((8, 8, 3))
    y = L.BatchNormalization(name="bn")(L.ReLU()(x))
    model = randomize(keras.Model(x, [y, L.Conv2D(4, 3)(y)]))
    conversion = converted(model)
    assert "its output is an output of the model" in conversion.folds.refused[0].reason


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_gamma_and_beta_of_a_group_normalization(groups: int) -> None:
    layers = [L.Conv2D(4, 3), L.ReLU(), L.GroupNormalization(groups)]
    assert "BatchNormalization" not in left(converted(functional((8, 8, 3), *layers, L.Conv2D(3, 3))))
    padded = converted(functional((8, 8, 3), *layers, L.Conv2D(3, 3, padding="same")))
    # groups of one channel have gamma and beta within the node, and a single group too
    assert ("BatchNormalization" in left(padded)) == (groups == 2)


def test_scaling_of_the_input_goes_into_the_first_convolution() -> None:
    for channels in (1, 3):
        first = L.Rescaling(1 / 128, -1.0)
        model = functional((8, 8, channels), first, L.Conv2D(4, 3), L.ReLU())
        conversion = converted(model, input_range=(0.0, 255.0))
        assert left(conversion) == []


def test_folds_can_be_left_out() -> None:
    model = functional((8, 8, 3), L.Conv2D(4, 3), L.BatchNormalization(), L.ReLU())
    assert "BatchNormalization" in kinds(converted(model, fold=False))


def test_the_algebra_against_numpy() -> None:
    # y = W (a x + b) + c, rule 2 of fold_affine written out, against the folded kernel and bias.
    model = functional((5,), L.ReLU(), L.BatchNormalization(epsilon=0.1), L.Dense(3))
    conversion = converted(model)
    bn, dense = model.layers[2], model.layers[3]
    a = bn.gamma.numpy() / np.sqrt(bn.moving_variance.numpy() + 0.1)
    b = bn.beta.numpy() - a * bn.moving_mean.numpy()
    weights = {i.name: i for i in conversion.model.graph.initializer}
    gemm = conversion.model.graph.node[-1]
    kernel, bias = (numpy_helper.to_array(weights[name]) for name in gemm.input[1:])
    np.testing.assert_allclose(kernel, a[:, None] * dense.kernel.numpy(), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(bias, dense.bias.numpy() + b @ dense.kernel.numpy(), rtol=1e-6, atol=1e-6)
