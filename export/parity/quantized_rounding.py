"""Quantized models: the truth rounds as the graph does, where either way is right.

A quantized layer rounds its inputs to integers or to float8. These inputs have rounding errors of their own, so that a
number near the middle between two integers may become either of them. The layer's outputs then differ by a whole step,
which is much more than rounding. So the Keras model, in its own precision and in float64, takes the graph's integer for
each number that is within a band of the middle, and its own otherwise. All else is compared as in any model.

The integers of the graph are recognized by their values: the outputs of its Round nodes, and what is cast from float8.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import ml_dtypes
import numpy as np
import onnx

BAND = 2.0**-7  # of a step between integers: what float32 leaves open, 6e-5 of the largest input
FLOAT8_BAND = 2.0**-14  # of a number that is rounded to float8
_FLOAT8 = "float8_e4m3fn"


def rounds_inputs(model: keras.Model) -> bool:
    """Whether a layer of the model rounds its inputs."""
    return any(
        getattr(layer, "inputs_quantizer", None) is not None or layer.quantization_mode == "float8"
        for layer in model._flatten_layers()
        if layer.quantization_mode is not None
    )


@contextlib.contextmanager
def with_rounded_values(proto: onnx.ModelProto) -> Iterator[int]:
    """Make the rounded values of a graph further outputs, until the context ends; yields their number."""
    graph = proto.graph
    count = len(graph.output)
    float8 = onnx.TensorProto.FLOAT8E4M3FN
    of_float8 = {x.name for x in graph.initializer if x.data_type == float8}
    for node in graph.node:
        if node.op_type == "Cast" and node.attribute[0].i == float8:
            of_float8.update(node.output)
    taken = {value.name for value in graph.output}
    names = [
        node.output[0]
        for node in graph.node
        if node.op_type == "Round" or (node.op_type == "Cast" and node.input[0] in of_float8)
    ]
    try:
        for name in names:
            if name not in taken:
                graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
        yield len(graph.output) - count
    finally:
        del graph.output[count:]


@contextlib.contextmanager
def rounding_as(model: keras.Model, rounded: Sequence[np.ndarray]) -> Iterator[None]:
    """Have the quantized layers of a model round as a graph does, where either way is right.

    Args:
        model: the model.
        rounded: the rounded values of the graph; none: the layers round on their own.
    """
    if not rounded:
        yield
        return
    from keras.src import quantizers  # Keras has the function that its layers call under no other name

    candidates = _Candidates(rounded)
    layers = [
        layer for layer in model._flatten_layers() if getattr(layer, "inputs_quantizer", None) is not None
    ]
    own = [(layer, layer.inputs_quantizer) for layer in layers]
    through_float8 = quantizers.quantize_and_dequantize

    def following_float8(inputs: Any, scale: Any, quantized_dtype: str, compute_dtype: str) -> Any:
        if quantized_dtype != _FLOAT8:
            return through_float8(inputs, scale, quantized_dtype, compute_dtype)
        scale = keras.ops.cast(scale, compute_dtype)
        value = keras.ops.convert_to_numpy(keras.ops.divide(inputs, scale))
        chosen = keras.ops.convert_to_tensor(candidates.float8(value), dtype=compute_dtype)
        return keras.ops.multiply(chosen, scale)

    try:
        for layer, quantizer in own:
            layer.inputs_quantizer = _Following(quantizer, candidates)
        quantizers.quantize_and_dequantize = following_float8
        yield
    finally:
        quantizers.quantize_and_dequantize = through_float8
        for layer, quantizer in own:
            layer.inputs_quantizer = quantizer


class _Following:
    """A quantizer of inputs that returns the integers of the graph where they are as right as its own."""

    def __init__(self, quantizer: Any, candidates: _Candidates) -> None:
        self._quantizer = quantizer
        self._candidates = candidates

    def __call__(self, x: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """The integers and their scale."""
        codes, scale = self._quantizer(x, *args, **kwargs)
        value = keras.ops.convert_to_numpy(keras.ops.multiply(x, scale)).astype(np.float64)
        low, high = getattr(self._quantizer, "value_range", (-128, 127))
        chosen = self._candidates.integers(value, keras.ops.convert_to_numpy(codes), low, high)
        return keras.ops.convert_to_tensor(chosen, dtype=codes.dtype), scale


class _Candidates:
    """The rounded values of a graph, among which a layer's are found by their values."""

    def __init__(self, rounded: Sequence[np.ndarray]) -> None:
        self._rounded = list(rounded)

    def integers(self, value: np.ndarray, own: np.ndarray, low: int, high: int) -> np.ndarray:
        """The graph's integers where they are at most half a step and a band from `value`, `own` otherwise."""
        return self._nearest(
            value, own, lambda c: (np.abs(c - value) <= 0.5 + BAND) & (c >= low) & (c <= high)
        )

    def float8(self, value: np.ndarray) -> np.ndarray:
        """The graph's numbers where `value` within a band is rounded to them, its own otherwise."""
        own, low, high = (_float8(value * factor) for factor in (1.0, 1 - FLOAT8_BAND, 1 + FLOAT8_BAND))
        return self._nearest(value, own, lambda c: (c == low) | (c == high))

    def _nearest(
        self, value: np.ndarray, own: np.ndarray, agrees: Callable[[np.ndarray], np.ndarray]
    ) -> np.ndarray:
        best, share = own, 0.0
        for index, candidate in enumerate(self._rounded):
            if candidate.shape != value.shape:
                continue
            where = agrees(candidate)
            if where.mean() > share:
                best, share = np.where(where, candidate, own), float(where.mean())
            if share == 1:
                self._rounded.insert(0, self._rounded.pop(index))  # its neighbours come next, or itself again
                break
        return best


def _float8(value: np.ndarray) -> np.ndarray:
    largest = float(ml_dtypes.finfo(_FLOAT8).max)
    return np.clip(value, -largest, largest).astype(ml_dtypes.float8_e4m3fn).astype(np.float64)
