"""The functions of TensorFlow, against what TensorFlow itself computed (tests/keras2/save_models.py)."""

from typing import Any

import keras
import numpy as np
import pytest

from export.convert import convert
from export.errors import UserError
from export.keras2.functional import build_model
from export.keras2.tf_functions import FUNCTIONS, call, public_name
from tests.export.helpers import run
from tests.export.keras2.fixtures import arrays_of, config_of, outputs_of


@pytest.mark.parametrize("name", ["math", "arrays", "images", "sizes"])
def test_functions_equal_those_of_tensorflow(name: str) -> None:
    inputs, expected = arrays_of(name)
    model = build_model(config_of(name))
    outputs = outputs_of(model, inputs)
    conversion = convert(model)
    assert conversion.route == "direct"
    exported = run(conversion, *inputs)
    layers = [layer for layer, *_ in config_of(name)["config"]["output_layers"]]
    for layer, one, output, value in zip(layers, expected, outputs, exported, strict=True):
        assert output.dtype == one.dtype, layer
        np.testing.assert_allclose(output, one, rtol=2e-6, atol=2e-6, err_msg=layer)
        np.testing.assert_allclose(value, one, rtol=1e-5, atol=1e-5, err_msg=layer)


@pytest.mark.parametrize(
    ("name", "public"),
    [
        ("compat.v1.transpose", "transpose"),
        ("compat.v1.nn.relu", "nn.relu"),
        ("compat.v1.sqrt", "math.sqrt"),
        ("sigmoid", "math.sigmoid"),
        ("matmul", "matmul"),
        ("raw_ops.Unknown", "raw_ops.Unknown"),
    ],
)
def test_names_of_tensorflow_1(name: str, public: str) -> None:
    assert public_name(name) == public
    assert (public in FUNCTIONS) == (name != "raw_ops.Unknown")


X = keras.KerasTensor((None, 4, 4, 4))


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (
            "linalg.det",
            {},
            r"tf\.linalg\.det: expected a function that keras\.ops has, too; build the model without",
        ),
        ("nn.dropout", {"rate": 0.5}, r"tf\.nn\.dropout: expected a function that keras\.ops has"),
        (
            "math.cumsum",
            {"exclusive": True},
            r"tf\.math\.cumsum: expected a call .*, got one with exclusive or rev",
        ),
        (
            "gather",
            {"indices": [0], "batch_dims": 1},
            r"tf\.gather: expected a call .*, got one with batch_dims=1",
        ),
        ("norm", {"ord": 1}, r"got one with ord=1 and axis=None"),
        ("compat.v1.image.resize", {"size": [8, 8]}, r"got one without half_pixel_centers=True"),
        ("image.resize", {"size": [8, 8], "preserve_aspect_ratio": True}, r"with preserve_aspect_ratio=True"),
        ("nn.depth_to_space", {"block_size": 2, "data_format": "NCHW"}, r"got one with data_format='NCHW'"),
        ("nn.conv2d", {"filters": [], "padding": [[0, 0]]}, r"got one with explicit paddings"),
        ("__operators__.ne", {}, r"got one missing a required argument: 'y'"),
        ("squeeze", {}, r"got one without an axis"),
        ("where", {}, r"got one with a condition alone"),
        ("linalg.matmul", {"b": X, "adjoint_a": True}, r"got one with adjoint_a"),
    ],
)
def test_what_keras_does_not_have_is_named(function: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        call(function, [X], arguments)


def test_mean_of_whole_numbers_is_an_error() -> None:
    with pytest.raises(UserError, match=r"got one of whole numbers, which TensorFlow rounds"):
        call("math.reduce_mean", [keras.KerasTensor((None, 4), "int32")], {})
