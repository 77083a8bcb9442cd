"""An exported model where it is served: its inputs and outputs, checked arrays for them, and calls in batches.

Arrays are in Keras' layout, channels last, also where the graph has them first. NumPy and onnxruntime are all it
needs. The file may come from a stranger.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime

from export.errors import UserError
from export.infer_metadata import read_layout
from export.layout import Layout, keras_shape, to_graph, to_keras
from export.runtime import DTYPES, open_session, run_session

BATCH = 256  # rows of one call, where the model takes any number
TEXT = np.dtype(object)


@dataclass(frozen=True)
class Value:
    """An input or an output of a model.

    Attributes:
        name: its name in the graph.
        dtype: its dtype; object for strings.
        shape: its shape in Keras' layout; None for a dynamic dimension.
    """

    name: str
    dtype: np.dtype
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        """As in 'x' of float32 (n, 28, 28, 1)."""
        sizes = ["n" if axis == 0 and size is None else str(size) for axis, size in enumerate(self.shape)]
        inner = ", ".join(sizes) + ("," if len(sizes) == 1 else "")
        return f"{self.name!r} of {'strings' if self.dtype == TEXT else self.dtype} ({inner})"


class ServedModel:
    """An exported model of any kind, run on the CPU.

    Args:
        path: an ONNX file that `python -m export` wrote.
        threads: threads of one call; 0 uses all cores.

    Attributes:
        inputs: the inputs, a `Value` each, in the order of the graph.
        outputs: the outputs, likewise.
        batch: the batch size, if it is fixed.
        metadata: the metadata of the file.

    Raises:
        UserError: the file is not an ONNX model, or it has inputs or outputs that are not arrays with a batch axis.

    Examples:
        >>> model = ServedModel("model.onnx")
        >>> model.predict({"age": ages, "colour": colours})["price"]
    """

    def __init__(self, path: str | Path, threads: int = 0) -> None:
        self.path = path
        self.session = open_session(path, threads=threads)
        self.metadata: Mapping[str, str] = self.session.get_modelmeta().custom_metadata_map
        self.input_layout = read_layout(path, self.metadata)
        self.output_layout = read_layout(path, self.metadata, "output_layout")
        self.inputs = [_value(path, node, self.input_layout) for node in self.session.get_inputs()]
        self.outputs = [_value(path, node, self.output_layout) for node in self.session.get_outputs()]
        without = next((value for value in self.inputs if not value.shape), None)
        if without is not None:
            raise UserError(f"{path}: expected inputs with a batch axis, got {without}")
        bad = next((value for value in self.inputs if any(size == 0 for size in value.shape)), None)
        if bad is not None:
            raise UserError(f"{path}: expected sizes of 1 or more, got an input {bad}")
        batches = {value.shape[0] for value in self.inputs if value.shape[0] is not None}
        if len(batches) > 1:
            raise UserError(f"{path}: expected one batch size, got {', '.join(map(str, sorted(batches)))}")
        self.batch = next(iter(batches), None)

    def predict(
        self, inputs: np.ndarray | Mapping[str, np.ndarray], batch: int = BATCH, source: str = "input"
    ) -> dict[str, np.ndarray]:
        """Compute the outputs for any number of rows.

        Args:
            inputs: an array for each input, by name, in Keras' layout; the array alone for a single input.
            batch: rows of one call, if the model's batch size is not fixed.
            source: where the arrays come from, for error messages.

        Returns:
            An array for each output, by name, in Keras' layout.

        Raises:
            UserError: an array is missing or is not what the model takes, or the model fails.
        """
        if not isinstance(inputs, Mapping):
            if len(self.inputs) != 1:
                names = ", ".join(value.name for value in self.inputs)
                raise UserError(f"{source}: expected an array for each input ({names}), got a single one")
            inputs = {self.inputs[0].name: inputs}
        missing = [value for value in self.inputs if value.name not in inputs]
        if missing:
            raise UserError(f"{source}: expected an array for input {missing[0]}, got {', '.join(inputs)}")
        feeds = {value.name: fit(value, np.asarray(inputs[value.name]), source) for value in self.inputs}
        counts = {name: len(array) for name, array in feeds.items()}
        if len(set(counts.values())) > 1:
            rows = ", ".join(f"{count} of {name!r}" for name, count in counts.items())
            raise UserError(f"{source}: expected as many rows of each input, got {rows}")
        count = next(iter(counts.values()))
        size = self.batch or batch
        # No rows make one call, so that the results have the right shapes and dtypes.
        starts = range(0, max(count, 1), size)
        calls = [self._call({name: x[start : start + size] for name, x in feeds.items()}) for start in starts]
        return {
            value.name: self._join(value.name, [outputs[index] for outputs in calls], count)
            for index, value in enumerate(self.outputs)
        }

    def _call(self, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """Run one batch; a fixed batch is filled up with the last row."""
        count = len(next(iter(feeds.values())))
        fill = max(0, self.batch - count) if self.batch is not None else 0
        given = {name: _filled(to_graph(x, self.input_layout), fill) for name, x in feeds.items()}
        outputs = []
        results = run_session(self.session, given, self.path)
        for value, result in zip(self.outputs, results, strict=True):
            array = to_keras(np.asarray(result), self.output_layout)
            has_rows = array.ndim > 0 and len(array) == count + fill
            if fill and not has_rows:
                raise UserError(
                    f"{self.path}: expected a row of output {value.name!r} for each of the {self.batch} rows of the "
                    f"fixed batch, got shape {array.shape}; give {self.batch} rows at a time"
                )
            outputs.append(array[:count] if fill else array)
        return outputs

    def _join(self, name: str, parts: Sequence[np.ndarray], count: int) -> np.ndarray:
        if len(parts) == 1:
            return parts[0]
        shapes = sorted({part.shape[1:] for part in parts})
        if len(shapes) > 1 or any(part.ndim == 0 for part in parts) or sum(map(len, parts)) != count:
            raise UserError(
                f"{self.path}: expected output {name!r} to have a row of one shape for each of {count} rows, got "
                f"{', '.join(str(part.shape) for part in parts[:4])} from the batches; raise --batch to {count}"
            )
        return np.concatenate(parts)


def fit(value: Value, array: np.ndarray, source: str) -> np.ndarray:
    """An array with the shape and dtype of an input, if that changes no value.

    Raises:
        UserError: the array has another shape, or values that the input can't hold.
    """
    sizes = value.shape
    if array.ndim == len(sizes) - 1 and sizes[-1] == 1:
        array = array[..., np.newaxis]
    elif array.ndim == len(sizes) + 1 and array.shape[-1] == 1:
        array = array[..., 0]
    fits = array.ndim == len(sizes)
    fits = fits and all(want in (None, got) for want, got in zip(sizes[1:], array.shape[1:], strict=True))
    if not fits:
        raise UserError(f"{source}: expected {value}, got {array.dtype} {array.shape}")
    reason = "" if array.dtype.kind in ("OUS" if value.dtype == TEXT else "buif") else str(array.dtype)
    reason = reason or _unfit_values(value.dtype, array)
    if reason:
        raise UserError(f"{source}: expected {value}, got {reason}")
    if value.dtype != TEXT:
        with np.errstate(over="ignore", invalid="ignore"):
            return array.astype(value.dtype, copy=False)
    try:
        texts = np.char.decode(array, "utf-8") if array.dtype.kind == "S" else array
    except UnicodeDecodeError as error:
        raise UserError(f"{source}: expected {value} in UTF-8, got other bytes") from error
    return texts.astype(TEXT)


def _unfit_values(dtype: np.dtype, array: np.ndarray) -> str:
    """The value that a dtype can't hold; empty if it holds all."""
    if array.size == 0 or dtype == TEXT:
        return ""
    if dtype.kind == "f":
        if array.dtype.kind != "f" or array.dtype.itemsize <= dtype.itemsize:
            return ""
        too_large = np.isfinite(array) & (np.abs(array) > float(np.finfo(dtype).max))
    elif dtype.kind == "b":
        too_large = (array != 0) & (array != 1)
    else:
        if array.dtype.kind == "f":
            broken = ~np.isfinite(array) | (array != np.round(array))
            if broken.any():
                return str(array[broken][0])
        limits = np.iinfo(dtype)
        ends = int(array.min()), int(array.max())  # Python's integers compare exactly
        return next((str(end) for end in ends if not limits.min <= end <= limits.max), "")
    return str(array[too_large][0]) if too_large.any() else ""


def _value(path: str | Path, node: onnxruntime.NodeArg, layout: Layout) -> Value:
    dtype = TEXT if node.type == "tensor(string)" else DTYPES.get(node.type)
    if dtype is None:
        raise UserError(
            f"{path}: expected inputs and outputs of numbers or strings, got {node.name!r} of {node.type}"
        )
    shape = tuple(size if isinstance(size, int) else None for size in node.shape)
    return Value(node.name, dtype, keras_shape(shape, layout))


def _filled(array: np.ndarray, count: int) -> np.ndarray:
    """An array with its last row repeated; of zeros or empty texts, if it has none."""
    if count == 0:
        return array
    if len(array):
        return np.concatenate([array, np.repeat(array[-1:], count, axis=0)])
    return np.full((count, *array.shape[1:]), "" if array.dtype == TEXT else 0, array.dtype)
