"""What the export tests share: random weights, conversion with a parity check, and small models."""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import pytest

from export.convert import Conversion, Options, convert
from export.parity import check_parity
from export.runtime import open_session

KERAS = tuple(map(int, keras.__version__.split(".")[:2]))
FORMATS = ["channels_last", "channels_first"]
IMAGE_SHAPE = (5, 6, 4)
CHANNELS = np.random.default_rng(5).uniform(0.5, 1.5, 4).astype("float32")  # a number for each channel

# For `check_operation`: after an input, and after a convolution, whose output is in channels-first layout.
in_either_layout = pytest.mark.parametrize(
    "channels_first", [False, True], ids=["keras layout", "channels-first layout"]
)


def random_array(*shape: int, seed: int = 0) -> np.ndarray:
    """Normally distributed float32 numbers."""
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def image_shape(
    data_format: str, height: int | None = 9, width: int | None = 8, channels: int = 6
) -> tuple[int | None, ...]:
    """The shape of an image in a data format of Keras."""
    return (height, width, channels) if data_format == "channels_last" else (channels, height, width)


def randomize(model: keras.Model, seed: int = 0) -> keras.Model:
    """Random weights of a sensible size: moving statistics, gamma, beta and biases too."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if weight.name in ("moving_variance", "variance"):
            weight.assign(rng.uniform(0.5, 2, weight.shape))
        elif weight.name in ("gamma", "scale"):  # of both signs: a fold must not count on positive ones
            weight.assign(rng.uniform(0.5, 1.5, weight.shape) * rng.choice([-1, 1], weight.shape))
        elif "kernel" in weight.name:
            fan_in = max(1, int(np.prod(weight.shape[:-1])))
            weight.assign(rng.normal(0, 1 / np.sqrt(fan_in), weight.shape))
        else:
            weight.assign(rng.normal(0, 0.5, weight.shape))
    return model


def make_gammas_positive(model: keras.Model) -> keras.Model:
    """Replace each gamma by its absolute value, so that it can be moved past a max pool."""
    for weight in model.weights:
        if weight.name == "gamma":
            weight.assign(np.abs(weight.numpy()))
    return model


def functional(shape: tuple[int | None, ...], *layers: Any, seed: int = 0) -> keras.Model:
    """A model of the layers in a row, with random weights."""
    x = inputs = keras.Input(shape, name="x")
    for layer in layers:
        x = layer(x)
    return randomize(keras.Model(inputs, x), seed)


def converted(
    model: keras.Model, *, rtol: float = 1e-4, atol: float = 1e-5, sizes: Any = None, **options: Any
) -> Conversion:
    """Convert by the direct route and compare at several batch sizes, optimizations off and on."""
    chosen = Options(**{"route": "direct", "input_range": (-2.0, 2.0), **options})
    conversion = convert(model, chosen)
    parity = check_parity(model, conversion, chosen, atol=atol, rtol=rtol, data=sizes)
    assert parity.passed, parity.table()
    assert len({d.data for d in parity.differences}) >= 3
    assert [value.name for value in conversion.proto.graph.output] == conversion.outputs
    return conversion


def check_operation(operation: Callable[[Any], Any], channels_first: bool = False) -> Conversion:
    """Convert a model that applies an operation to an image, by the direct route, and compare.

    Args:
        operation: from an image of `IMAGE_SHAPE` to any tensor.
        channels_first: insert a convolution, so that the image is in channels-first layout in the graph.
    """
    inputs = x = keras.Input(IMAGE_SHAPE, name="x")
    if channels_first:
        x = keras.layers.Conv2D(4, 3, padding="same")(x)
    conversion = converted(randomize(keras.Model(inputs, operation(x))), rtol=1e-3)
    assert conversion.route == "direct"
    return conversion


def check_operations(
    functions: Mapping[str, Callable[[Any], Any]],
    channels_first: bool = False,
    shape: tuple[int | None, ...] = IMAGE_SHAPE,
    sizes: Sequence[tuple[int, ...]] = ((1, *IMAGE_SHAPE), (3, *IMAGE_SHAPE)),
    opset: int | None = None,
) -> None:
    """Convert one model that applies each of many operations to its input, and compare them with Keras.

    Args:
        functions: operations by name, from the input to a tensor or to several.
        channels_first: insert a convolution, so that the image is in channels-first layout in the graph.
        shape: shape of the input.
        sizes: the shapes to compare at, with the batch axis.
        opset: opset of the graph.
    """
    inputs = x = keras.Input(shape, name="x")
    if channels_first:
        x = keras.layers.Conv2D(4, 3, padding="same")(x)
    outputs = [(name, y) for name, function in functions.items() for y in keras.tree.flatten(function(x))]
    model = randomize(keras.Model(inputs, [y for _, y in outputs]))
    conversion = convert(model, Options(route="direct", opset=opset))
    for size in sizes:
        array = random_array(*size)
        expected = keras.tree.flatten(model(array))
        for (name, _), want, got in zip(outputs, expected, run(conversion, array), strict=True):
            want = keras.ops.convert_to_numpy(want)
            assert (got.dtype, got.shape) == (want.dtype, want.shape), name
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5, err_msg=name)


def available(functions: Mapping[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    """Those of functions by name that this version of Keras has; a name begins with that of its operation."""
    return {
        name: function
        for name, function in functions.items()
        if hasattr(keras.ops, name.split(maxsplit=1)[0])
    }


def operations(names: Iterable[str], **options: Any) -> dict[str, Callable[..., Any]]:
    """Operations of `keras.ops` by name, with options; those that this version of Keras doesn't have are left out."""
    return {
        name: functools.partial(getattr(keras.ops, name), **options)
        for name in names
        if hasattr(keras.ops, name)
    }


def compare(
    functions: Mapping[str, Callable[..., Any]],
    *arrays: np.ndarray,
    rtol: float = 1e-5,
    atol: float = 1e-6,
    opset: int | None = None,
) -> Conversion:
    """Convert a model with an output for each function, and compare it with Keras on these very numbers.

    Args:
        functions: functions of `keras.ops` by name, each of all inputs.
        *arrays: an array for each input, with the batch axis.
        rtol: relative tolerance.
        atol: absolute tolerance.
        opset: opset of the graph.
    """
    inputs = [
        keras.Input(array.shape[1:], dtype="string" if array.dtype == object else array.dtype.name)
        for array in arrays
    ]
    outputs = {name: function(*inputs) for name, function in functions.items()}
    model = keras.Model(inputs, list(outputs.values()))
    conversion = convert(model, Options(route="direct", opset=opset))
    expected = model(
        [keras.ops.convert_to_tensor(array.tolist() if array.dtype == object else array) for array in arrays]
    )
    for name, want, got in zip(outputs, keras.tree.flatten(expected), run(conversion, *arrays), strict=True):
        want = keras.ops.convert_to_numpy(want)
        assert (got.dtype, got.shape) == (want.dtype, want.shape), name
        if want.dtype == object:
            assert got.tolist() == np.vectorize(bytes.decode, otypes=[object])(want).tolist(), name
        else:
            np.testing.assert_allclose(got, want, rtol=rtol, atol=atol, err_msg=name)
    return conversion


def run(conversion: Conversion, *arrays: np.ndarray) -> list[np.ndarray]:
    """The outputs of a converted model."""
    runtime = open_session(conversion.model.SerializeToString())
    return list(runtime.run(None, dict(zip(conversion.inputs, arrays, strict=True))))


def kinds(conversion: Conversion) -> list[str]:
    """The operators of the graph, in order."""
    return [node.op_type for node in conversion.model.graph.node]


def normalization_operators(conversion: Conversion) -> list[str]:
    """The operators that a normalization, or its gamma and beta, left in the graph."""
    names = ("BatchNormalization", "InstanceNormalization", "LayerNormalization", "Mul", "Add")
    return [kind for kind in kinds(conversion) if kind in names]
