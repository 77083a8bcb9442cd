"""The proof: a Keras model against onnxruntime, number by number."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from export.arrays import read_npz
from export.convert import Conversion, Options
from export.errors import UserError
from export.runtime import open_session

BATCHES = (1, 2, 7, 32)
DEGENERATE = ("constant", "large mean")
# How far inputs are moved to see how rounding errors grow, relative, in units of a float32's last place. Of the
# constant image nothing but rounding is left behind a normalization; in the one of large mean, the errors that
# are looked for are only a few hundred units themselves.
NUDGES = {"constant": 64 * 2.0**-23}
NUDGE = 16 * 2.0**-23
OPTIMIZATIONS = ("off", "on")

Inputs = list[np.ndarray]


@dataclass(frozen=True)
class Difference:
    """How far one output is from Keras, over all batches of one kind.

    Attributes:
        output: name of the output.
        data: what was fed: 'batch 7', 'constant', 'large mean'.
        optimizations: onnxruntime's graph optimizations, 'off' or 'on'.
        max_abs: largest absolute difference.
        mean_abs: mean absolute difference.
        max_rel: largest difference relative to Keras' value, where that is above 1e-6.
        argmax_agreement: share of rows whose largest value stands at the same place; None for scalars.
        nan: number of values that are NaN or infinite on one side only.
        rounding: for the constant image and the one of large mean, how far Keras' own output moves when
            its input changes by some units in the last place (NUDGES), about what sums of products lose; for
            other data 0, unless `reference` is given. A normalization divides what is left of such an
            image by almost nothing, so that rounding errors are seen hundreds of times larger, in Keras as in
            any runtime.
        within: every difference is at most atol + rtol * |Keras' value| + 2 rounding, and nan is 0.
    """

    output: str
    data: str
    optimizations: str
    max_abs: float
    mean_abs: float
    max_rel: float
    argmax_agreement: float | None
    nan: int
    rounding: float
    within: bool


@dataclass(frozen=True)
class Parity:
    """The outcome of a check."""

    atol: float
    rtol: float
    source: str
    differences: list[Difference]

    @property
    def passed(self) -> bool:
        """Whether every output was within tolerance on all data."""
        return all(difference.within for difference in self.differences)

    @property
    def max_abs(self) -> float:
        """Largest absolute difference of all."""
        return max(difference.max_abs for difference in self.differences)

    def as_json(self) -> dict[str, Any]:
        """A dictionary for parity.json."""
        return {
            "passed": self.passed,
            "atol": self.atol,
            "rtol": self.rtol,
            "data": self.source,
            "max_abs": self.max_abs,
            "differences": [asdict(difference) for difference in self.differences],
        }

    def table(self) -> str:
        """A table for the terminal: the worst of each output and kind of data."""
        rows = [("output", "data", "max abs", "mean abs", "max rel", "argmax", "NaN", "")]
        keys = dict.fromkeys((d.output, d.data) for d in self.differences)
        for output, data in keys:
            group = [d for d in self.differences if (d.output, d.data) == (output, data)]
            worst = max(group, key=lambda d: (not d.within, d.max_abs))
            agree = "-" if worst.argmax_agreement is None else f"{100 * worst.argmax_agreement:.1f} %"
            verdict = "ok" if all(d.within for d in group) else f"above tolerance ({worst.optimizations})"
            figures = (f"{worst.max_abs:.1e}", f"{worst.mean_abs:.1e}", f"{worst.max_rel:.1e}")
            rows.append((output, data, *figures, agree, str(worst.nan), verdict))
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        )


def check_parity(
    model: keras.Model,
    conversion: Conversion,
    options: Options,
    *,
    atol: float = 1e-5,
    rtol: float = 1e-4,
    data: Inputs | None = None,
    source: str = "seeded random data",
    reference: Callable[[Inputs], list[np.ndarray]] | None = None,
    batches: Sequence[int] = BATCHES,
) -> Parity:
    """Compare Keras and onnxruntime on several batches, with the runtime's optimizations off and on.

    Besides the data: a constant image, and one of large mean and small variance, where a variance computed in
    one pass loses its digits.

    Args:
        model: the Keras model.
        conversion: what `convert` made of it.
        options: how it was converted.
        atol: tolerance, absolute.
        rtol: tolerance, relative to Keras' value.
        data: an array for each input, as Keras has it; None: random numbers of the input's range.
        source: what to call the data in the report.
        reference: what to compare with in place of the model's own outputs, for `layerwise`; atol is then
            relative to the largest value of each output, if that is above 1.
        batches: batch sizes, where the graph's is not fixed.
    """
    symbolic = keras.tree.flatten(model.inputs)
    low, high = conversion.input_range
    rng = np.random.default_rng(0)
    batches = [options.batch] if options.batch else batches
    feeds: list[tuple[str, Inputs]] = []
    for size in batches:
        if data is None:
            chosen = [_random(rng, tensor, size, low, high) for tensor in symbolic]
        else:
            places = rng.choice(len(data[0]), size, replace=len(data[0]) < size)
            chosen = [array[places] for array in data]
        feeds.append((f"batch {size}", chosen))
    first, step = feeds[0][1], (high - low) / 255
    floats = ["float" in str(tensor.dtype) for tensor in symbolic]
    constant = [np.full(a.shape, (low + high) / 2) if f else a for a, f in zip(first, floats, strict=True)]
    near = [high - step * rng.integers(0, 3, a.shape) if f else a for a, f in zip(first, floats, strict=True)]
    feeds += list(zip(DEGENERATE, (constant, near), strict=True))
    for index, tensor in enumerate(symbolic):
        kind = "uint8" if options.raw_pixels and "float" in str(tensor.dtype) else str(tensor.dtype)
        for _, arrays in feeds:
            arrays[index] = (arrays[index] if "float" in kind else np.round(arrays[index])).astype(kind)
    run = reference or partial(_run_keras, model)
    expected = [run(arrays) for _, arrays in feeds]
    rounding = [
        _rounding(run, arrays, outputs, rng, NUDGES.get(name, NUDGE))
        if reference or name in DEGENERATE
        else [0.0] * len(outputs)
        for (name, arrays), outputs in zip(feeds, expected, strict=True)
    ]
    differences = []
    proto = conversion.model.SerializeToString()
    for optimizations in OPTIMIZATIONS:
        runtime = open_session(proto, optimize=optimizations == "on")
        for (name, arrays), keras_outputs, moves in zip(feeds, expected, rounding, strict=True):
            fed = [_as_graph_input(array, options) for array in arrays]
            got = runtime.run(None, dict(zip(conversion.inputs, fed, strict=True)))
            for output, ours, theirs, move in zip(conversion.outputs, got, keras_outputs, moves, strict=True):
                # Within the model, values have any size, and those near 0 the rounding errors of the large ones.
                largest = float(np.max(np.abs(theirs), initial=1)) if reference else 1.0
                tolerance = atol * max(1.0, largest)
                differences.append(
                    _difference(output, name, optimizations, ours, theirs, tolerance, rtol, move)
                )
    return Parity(atol, rtol, source, differences)


def _random(rng: np.random.Generator, tensor: Any, size: int, low: float, high: float) -> np.ndarray:
    shape = [size, *(axis or 16 for axis in tensor.shape[1:])]
    if "int" in str(tensor.dtype) or "bool" in str(tensor.dtype):
        return rng.integers(0, 2, shape)
    return rng.uniform(low, high, shape)


def _run_keras(model: keras.Model, arrays: Inputs) -> list[np.ndarray]:
    structured = keras.tree.pack_sequence_as(model.inputs, arrays) if len(arrays) > 1 else arrays[0]
    return [np.asarray(output) for output in keras.tree.flatten(model(structured, training=False))]


def _rounding(
    run: Callable[[Inputs], list[np.ndarray]],
    arrays: Inputs,
    outputs: list[np.ndarray],
    rng: np.random.Generator,
    nudge: float,
) -> list[float]:
    """How far each output moves, at most, when float inputs change by the factor 1 + nudge or 1 - nudge."""
    moves = [0.0] * len(outputs)
    for _ in range(4):
        nudged = [
            array if array.dtype.kind in "ib" else array * (1 + nudge * rng.choice([-1, 1], array.shape))
            for array in arrays
        ]
        for index, (moved, output) in enumerate(zip(run(nudged), outputs, strict=True)):
            error = np.abs(moved.astype(np.float64) - output)
            moves[index] = max(moves[index], float(np.max(error[np.isfinite(error)], initial=0)))
    return moves


def _as_graph_input(array: np.ndarray, options: Options) -> np.ndarray:
    if options.input_layout == "nchw" and array.ndim >= 3:
        return np.ascontiguousarray(np.moveaxis(array, -1, 1))
    return array if array.dtype != np.float64 else array.astype(np.float32)


def _difference(
    output: str,
    data: str,
    optimizations: str,
    ours: np.ndarray,
    theirs: np.ndarray,
    atol: float,
    rtol: float,
    rounding: float,
) -> Difference:
    if ours.shape != theirs.shape:
        raise UserError(f"output {output!r}: expected shape {theirs.shape} as in Keras, got {ours.shape}")
    ours, theirs = ours.astype(np.float64), theirs.astype(np.float64)
    finite = np.isfinite(ours) & np.isfinite(theirs)
    # Both NaN, or the same infinity, is agreement.
    alike = (np.isnan(ours) & np.isnan(theirs)) | (ours == theirs)
    nan = int(np.count_nonzero(~finite & ~alike))
    error = np.where(finite, np.abs(np.where(finite, ours, 0) - np.where(finite, theirs, 0)), 0)
    size = np.where(finite, np.abs(np.where(finite, theirs, 0)), 0)
    large = size > 1e-6
    agreement = None
    if ours.ndim >= 2 and ours.shape[-1] > 1 and ours.size:
        agreement = float(np.mean(ours.argmax(-1) == theirs.argmax(-1)))
    return Difference(
        output,
        data,
        optimizations,
        max_abs=float(error.max(initial=0)),
        mean_abs=float(error.mean()) if error.size else 0.0,
        max_rel=float((error[large] / size[large]).max(initial=0)),
        argmax_agreement=agreement,
        nan=nan,
        rounding=rounding,
        within=nan == 0 and bool(np.all(error <= atol + rtol * size + 2 * rounding)),
    )


def load_check_data(path: str, model: keras.Model) -> Inputs:
    """The arrays of a .npz file for the model's inputs: by the inputs' names, else x_test, x or the only one.

    Raises:
        UserError: the file can't be read, or its arrays are not what the model takes.
    """
    symbolic = keras.tree.flatten(model.inputs)
    inputs = [tensor.name for tensor in symbolic]

    def choose(names: list[str]) -> list[str]:
        if all(name in names for name in inputs):
            return inputs
        if len(inputs) > 1:
            raise UserError(f"{path}: expected the arrays {', '.join(inputs)}, got {', '.join(names)}")
        known = next((name for name in ("x_test", "x") if name in names), None)
        if known is None and len(names) != 1:
            raise UserError(
                f"{path}: expected an array named {inputs[0]}, x_test or x, got {', '.join(names)}"
            )
        return [known or names[0]]

    chosen = read_npz(path, choose)
    result = []
    for array, tensor in zip(chosen, symbolic, strict=True):
        if array.ndim == len(tensor.shape) - 1 and tensor.shape[-1] == 1:
            array = array[..., np.newaxis]
        fits = array.ndim == len(tensor.shape) and len(array) > 0 and array.dtype.kind in "uif"
        fits = fits and all(
            want in (None, got) for want, got in zip(tensor.shape[1:], array.shape[1:], strict=True)
        )
        if not fits:
            raise UserError(
                f"{path}: expected numbers of shape {('n', *tensor.shape[1:])} for input {tensor.name!r}, "
                f"got {array.dtype} {array.shape}"
            )
        result.append(array)
    return result


def first_divergence(parity: Parity, layers: Sequence[str]) -> str | None:
    """The first Keras layer whose output is above tolerance, or None; for a layerwise check."""
    bad = {difference.output for difference in parity.differences if not difference.within}
    outputs = list(dict.fromkeys(difference.output for difference in parity.differences))
    return next((layer for layer, output in zip(layers, outputs, strict=True) if output in bad), None)


def parity_text(parity: Parity) -> str:
    """The figures that go into the model's metadata."""
    return json.dumps(
        {"max_abs": parity.max_abs, "atol": parity.atol, "rtol": parity.rtol, "data": parity.source}
    )


def report_path(model: Path) -> Path:
    """Where the parity report of an exported model lies: beside it."""
    return model.with_name(f"{model.stem}.parity.json")
