import keras
import numpy as np
import pytest

from kerasnorm import build_cnn

SIZES = {"kernels": 144 + 4 * 2304 + 160, "gamma_beta": 5 * 32}


def trained_looking(model: keras.Model, seed: int = 0) -> keras.Model:
    """Random gamma, beta and moving statistics, so that a test notices if one of them is missing."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if weight.name in ("gamma", "moving_variance"):
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        elif weight.name in ("beta", "moving_mean"):
            weight.assign(rng.normal(0, 0.5, weight.shape))
    return model


@pytest.mark.parametrize(("norm", "moving"), [("bn", 160), ("ln", 0), ("gn", 0)])
def test_parameter_counts(norm: str, moving: int) -> None:
    model = build_cnn(norm)
    trainable = sum(np.prod(weight.shape) for weight in model.trainable_weights)
    assert trainable == SIZES["kernels"] + SIZES["gamma_beta"] == 9680
    assert model.count_params() - trainable == moving


@pytest.mark.parametrize("norm", ["bn", "ln", "gn"])
def test_order_of_the_layers(norm: str) -> None:
    kind = "BatchNormalization" if norm == "bn" else "GroupNormalization"
    block = ["Conv2D", "ReLU", kind, "Dropout"]
    head = ["GlobalAveragePooling2D", "Dense", "Activation"]
    expected = ["InputLayer", "Rescaling", *block * 2, "MaxPooling2D", *block * 3, *head]
    assert [type(layer).__name__ for layer in build_cnn(norm).layers] == expected


def test_shapes_of_the_stages() -> None:
    layers = {layer.name: layer.output.shape[1:] for layer in build_cnn("bn").layers}
    assert [layers[f"conv{index}"] for index in range(5)] == [(size, size, 16) for size in (26, 24, 10, 8, 6)]
    assert layers["pool"] == (12, 12, 16)
    assert layers["global_pool"] == (16,)
    assert layers["probabilities"] == (10,)


@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize(
    ("norm", "groups", "shape", "axes"),
    [  # the axes that share a mean, with the channels split into (groups, channels of a group)
        ("bn", None, (4, 4, 16, 1), (0, 1, 2, 4)),
        ("ln", None, (4, 4, 1, 16), (1, 2, 4)),
        ("gn", None, (4, 4, 4, 4), (1, 2, 4)),
        ("gn", 2, (4, 4, 2, 8), (1, 2, 4)),
        ("gn", 16, (4, 4, 16, 1), (1, 2, 4)),
    ],
)
def test_each_norm_computes_its_formula(
    norm: str, groups: int | None, shape: tuple[int, ...], axes: tuple[int, ...], batch: int
) -> None:
    layer = trained_looking(build_cnn(norm, groups=groups, dtype="float64")).get_layer("norm0")
    x = np.random.default_rng(1).normal(3, 2, (batch, 4, 4, 16))
    split = x.reshape(batch, *shape)
    mean, variance = split.mean(axes, keepdims=True), split.var(axes, keepdims=True)
    normalized = ((split - mean) / np.sqrt(variance + 1e-5)).reshape(x.shape)
    expected = normalized * layer.gamma.numpy() + layer.beta.numpy()
    np.testing.assert_allclose(layer(x, training=True), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("batch", [1, 5])
def test_bn_uses_its_moving_averages_in_inference(batch: int) -> None:
    layer = trained_looking(build_cnn("bn", dtype="float64")).get_layer("norm0")
    x = np.random.default_rng(1).normal(3, 2, (batch, 4, 4, 16))
    mean, variance = layer.moving_mean.numpy(), layer.moving_variance.numpy()
    expected = (x - mean) / np.sqrt(variance + 1e-5) * layer.gamma.numpy() + layer.beta.numpy()
    np.testing.assert_allclose(layer(x, training=False), expected, rtol=1e-10, atol=1e-10)

    layer(x, training=True)
    np.testing.assert_allclose(layer.moving_mean, 0.9 * mean + 0.1 * x.mean((0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(layer.moving_variance, 0.9 * variance + 0.1 * x.var((0, 1, 2)), rtol=1e-6)


@pytest.mark.parametrize("norm", ["ln", "gn"])
def test_scale_and_shift_of_an_image_do_not_matter(norm: str) -> None:
    layer = trained_looking(build_cnn(norm, dtype="float64")).get_layer("norm0")
    rng = np.random.default_rng(2)
    x = rng.normal(0, 50, (3, 6, 6, 16))  # far above epsilon, which is not invariant
    scale, shift = rng.uniform(0.5, 2, (3, 1, 1, 1)), rng.normal(0, 50, (3, 1, 1, 1))
    np.testing.assert_allclose(layer(scale * x + shift), layer(x), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("norm", "invariant"), [("bn", False), ("ln", True), ("gn", True)])
def test_only_ln_and_gn_are_invariant_to_the_contrast_of_an_image(norm: str, invariant: bool) -> None:
    # The convolutions have no bias and ReLU commutes with a positive factor, so the first norm receives the factor.
    keras.utils.set_random_seed(0)  # with one kernel in a hundred, bn moves by no more than the tolerance
    model = trained_looking(build_cnn(norm, logits=True, dtype="float64"))
    x = np.random.default_rng(3).uniform(0, 255, (2, 28, 28, 1))
    grey = 255 * 0.1307
    same = np.allclose(model(grey + 0.3 * (x - grey)), model(x), rtol=1e-3, atol=1e-3)
    assert same == invariant


def test_the_first_layer_normalizes_pixels() -> None:
    x: np.ndarray = np.arange(2 * 28 * 28).reshape(2, 28, 28, 1) % 256
    model = build_cnn("bn", dtype="float64")
    normalized = model.get_layer("normalize_pixels")(x)
    np.testing.assert_allclose(normalized, (x / 255 - 0.1307) / 0.3081, rtol=1e-14, atol=1e-14)
    rgb = build_cnn(
        "bn", (32, 32, 3), pixel_mean=(0.4914, 0.4822, 0.4465), pixel_std=(0.2470, 0.2435, 0.2616)
    )
    x = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    expected = (x / 255 - [0.4914, 0.4822, 0.4465]) / [0.2470, 0.2435, 0.2616]
    np.testing.assert_allclose(rgb.get_layer("normalize_pixels")(x), expected, rtol=1e-5, atol=1e-6)


def test_kernels_are_initialized_as_in_pytorch() -> None:
    keras.utils.set_random_seed(0)
    for weight in build_cnn("bn").trainable_weights:
        if weight.name == "kernel":
            bound = 1 / np.sqrt(np.prod(weight.shape[:-1]))
            values = np.abs(weight.numpy())
            assert 0.9 * bound < values.max() <= bound * (1 + 1e-6)
            # mean of |U(-b, b)| is b/2 and its deviation b/sqrt(12 n); five of them
            assert abs(values.mean() - bound / 2) < 5 * bound / np.sqrt(12 * values.size)


@pytest.mark.parametrize("norm", ["bn", "ln", "gn"])
@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3), (40, 20, 2)])
def test_other_sizes_and_channels(norm: str, shape: tuple[int, ...]) -> None:
    model = build_cnn(norm, shape, num_classes=7, blocks=2, filters=8)
    for batch in (1, 3):
        outputs = model(np.zeros((batch, *shape), np.uint8)).numpy()
        assert outputs.shape == (batch, 7)
        np.testing.assert_allclose(outputs.sum(axis=1), 1, rtol=1e-6)


def test_softmax_of_the_logits_gives_the_probabilities() -> None:
    probabilities = build_cnn("gn")
    logits = build_cnn("gn", logits=True)
    logits.set_weights(probabilities.get_weights())
    x = np.random.default_rng(0).integers(0, 256, (4, 28, 28, 1), np.uint8)
    expected = keras.ops.softmax(logits(x))
    np.testing.assert_allclose(probabilities(x), expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"norm": "layer"}, "norm: expected one of bn, ln, gn.* got 'layer'"),
        ({"norm": "gn", "groups": 3}, r"groups: expected a divisor of filters=16 .* got 3"),
        ({"norm": "gn", "groups": 0}, r"groups: expected a divisor of filters=16 .* got 0"),
        (
            {"norm": "ln", "groups": 4},
            "groups: expected None for norm 'ln', got 4; normalizations with groups: gn",
        ),
        ({"norm": "gn", "filters": 10}, "filters: expected a multiple of 4"),
        (
            {"norm": "bn", "input_shape": (17, 28, 1)},
            "images of 18x18 pixels or more for 3 blocks, got 17x28",
        ),
        ({"norm": "bn", "input_shape": (28, 28)}, r"input_shape: expected \(height, width, channels\)"),
        ({"norm": "bn", "dropout": 1.0}, "dropout: expected 0 <= dropout < 1, got 1.0"),
        ({"norm": "bn", "l1": -1.0}, "l1: expected 0 or more, got -1.0"),
        ({"norm": "bn", "penalize": "bias"}, "penalize: expected 'kernels' or 'all', got 'bias'"),
        ({"norm": "bn", "pixel_std": 0.0}, "pixel_std: expected more than 0"),
        ({"norm": "bn", "pixel_mean": (0.1, 0.2)}, "pixel_mean: expected one number, or 1 for the channels"),
        ({"norm": "bn", "num_classes": 1}, "num_classes: expected 2 or more, got 1"),
    ],
)
def test_wrong_arguments_raise(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_cnn(**arguments)


def test_the_smallest_image_can_be_built() -> None:
    assert build_cnn("bn", (18, 18, 1))(np.zeros((1, 18, 18, 1))).shape == (1, 10)
