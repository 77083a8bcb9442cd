"""Functions of TensorFlow on images, against TensorFlow's own."""

from typing import Any

import keras
import numpy as np
import pytest

from export.keras2.tf_images import IMAGES
from tests.export.helpers import random_array

tf = pytest.importorskip("tensorflow")
X = random_array(2, 6, 8, 4)
KERNEL = random_array(3, 3, 4, 2, seed=1)

CASES: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("image.resize", (X, [9, 5]), {}),
    ("image.resize", (X, [3, 16]), {"method": "nearest"}),
    ("image.flip_left_right", (X,), {}),
    ("image.flip_up_down", (X,), {}),
    ("image.rgb_to_grayscale", (X[..., :3],), {}),
    ("nn.max_pool2d", (X, 2, 2, "SAME"), {}),
    ("nn.avg_pool2d", (X, [1, 3, 2, 1], [1, 1, 2, 1], "VALID"), {}),
    ("nn.conv2d", (X, KERNEL, [1, 2, 2, 1], "SAME"), {}),
    ("nn.bias_add", (X, KERNEL[0, 0, :, 0]), {}),
    ("nn.depth_to_space", (X, 2), {}),
    ("nn.space_to_depth", (X, 2), {}),
]


@pytest.mark.parametrize(("name", "arguments", "named"), CASES, ids=[case[0] for case in CASES])
def test_equals_tensorflow(name: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
    function = tf
    for part in name.split("."):
        function = getattr(function, part)
    expected = function(*arguments, **named)
    got = IMAGES[name](keras.ops.convert_to_tensor(arguments[0]), *arguments[1:], **named)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("image.resize", ([4, 4], "bilinear", True), "with preserve_aspect_ratio=True"),
        ("nn.depth_to_space", (2, "NCHW"), "with data_format='NCHW'"),
        ("nn.conv2d", (KERNEL, 1, [[0, 0]] * 4), "with explicit paddings"),
    ],
)
def test_other_arguments_are_errors(name: str, arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        IMAGES[name](keras.ops.convert_to_tensor(X), *arguments)
