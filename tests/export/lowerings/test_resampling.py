"""Matrices of weights against the formula in float64."""

import numpy as np
import pytest

from export.builder import Builder
from export.lowerings.resampling import KERNELS, resize_matrix


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize(("inputs", "outputs"), [(7, 3), (5, 9), (4, 4)])
def test_rows_are_weights_of_the_kernel(name: str, inputs: int, outputs: int, antialias: bool) -> None:
    matrix = np.asarray(resize_matrix(Builder.of_new_graph(17), inputs, outputs, name, antialias))
    matrix = matrix if matrix.shape == (outputs, inputs) else matrix.T
    assert matrix.shape == (outputs, inputs)
    np.testing.assert_allclose(matrix.sum(1), 1, rtol=0, atol=1e-6)  # a constant image stays constant
    scale = inputs / outputs
    width = max(scale, 1) if antialias else 1
    centers = (np.arange(outputs) + 0.5) * scale - 0.5
    distances = np.abs(np.arange(inputs) - centers[:, None]) / width
    weights = np.asarray(KERNELS[name](distances.astype(np.float32)), np.float64)
    # TensorFlow rounds the positions of the bicubic kernel to 1/1024 of a pixel.
    atol = 1e-3 if name == "bicubic" and not antialias else 1e-5
    np.testing.assert_allclose(matrix, weights / weights.sum(1, keepdims=True), rtol=1e-4, atol=atol)
