"""The rule of the parity check: how far from the truth a graph's output may be.

For one output, on inputs of one kind, with

    t  the truth: Keras in float64
    k  Keras in float32, in which the graph computes, whatever the precision of the model's own layers
    g  the graph in onnxruntime
    s  the root mean square of t
    u  2^-23, a unit in the last place of a float32
    E  the error of Keras' arithmetic, max |k - t|; at least s times E / s of the regular inputs with the most rows,
       since a maximum over few numbers is sometimes small by luck
    m  for inputs that the model wasn't made for, degenerate or out of range, how far t moves when they change in their
       last places; measured only where a graph doesn't pass without it, otherwise 0
    r  the error of the runtime's sums, max |g - g'|, where the graph g' adds up in float64; measured likewise

the graph passes where, for every number,

    |g - t| <= 4 (E + m + r) + 32 u (s + |t|)

and half a unit in the last place of a float16 besides, max(2^-11 |t|, 2^-25), if that is the type of the output.

*Why 4*: two float32 evaluations of the same function differ in the order of their sums, in what is folded into what
and in their kernels, not in kind. Over the right graphs of results/bench/parity_faults.json the graph errs at most
twice as much as Keras; the factor doubles that. *Why r*: a runtime may add up numbers one after
another, which loses much more than Keras does in a normalization of large images; a fault is in g and in g', and not in
their difference. *Why 32 u*: where Keras is exact by luck (a sum of few terms, a constant input), a graph that rounds
at all would fail without it; 4e-6 of the output's size is far below any single fault that matters (1e-4).

Where k is far from t (more than 2^-10 of its size: a step function, or a number that leaves the range of float32), g
may be near either of them, and E leaves such numbers out. What is not a floating-point number is equal to t or to k.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from export.errors import UserError

FACTOR = 4.0
UNITS = 32.0
JUMP = 2.0**-10
UNIT = 2.0**-23
# Half a unit in the last place of an output's type: relative to the number, and for numbers that are almost 0. The
# graph has float32 outputs for bfloat16.
ROUNDING = {"float16": (2.0**-11, 2.0**-25)}


@dataclass
class Truth:
    """What is known of one output on inputs of one kind, batch by batch.

    Attributes:
        dtype: the output's type in Keras.
        jump: by how much of its size Keras may be off before it counts as a step function; inf where it never does.
        count: finite numbers.
        not_finite: how many numbers are NaN or infinite.
        far: how many of them Keras in float32 is far from.
        squares: sum of their squares.
        keras_error: E of this kind alone.
        movement: m.
        sums_error: r.
        rows: rows of the batches.
        shapes: shapes of the batches, without the batch axis.
    """

    dtype: str = "float32"
    jump: float = JUMP
    count: int = 0
    not_finite: int = 0
    far: int = 0
    squares: float = 0.0
    keras_error: float = 0.0
    movement: float = 0.0
    sums_error: float = 0.0
    rows: int = 0
    shapes: set[tuple[int, ...]] = field(default_factory=set)

    def add(self, exact: np.ndarray, keras: np.ndarray) -> None:
        """Add a batch: the truth, and what Keras computes."""
        self.rows += len(exact) if exact.ndim else 1
        self.shapes.add(exact.shape[1:])
        if not _is_number(exact):
            return
        t: np.ndarray = exact.astype(np.float64)
        k: np.ndarray = keras.astype(np.float64)
        finite = np.isfinite(t)
        self.count += int(finite.sum())
        self.not_finite += int((~finite).sum())
        self.squares += float(np.sum(np.square(t, where=finite, out=np.zeros_like(t))))
        error, far = _keras_errors(t, k, self)
        self.far += int(far.sum())
        self.keras_error = max(self.keras_error, float(np.max(error, initial=0, where=~far)))

    def rounding(self, size: np.ndarray) -> np.ndarray:
        """What numbers of these sizes may be off besides the allowance: some units in their own last places."""
        relative, least = ROUNDING.get(self.dtype, (0.0, 0.0))
        return UNITS * UNIT * size + np.maximum(relative * size, least)

    @property
    def size(self) -> float:
        """The root mean square of the true values, s."""
        return float(np.sqrt(self.squares / self.count)) if self.count else 0.0


@dataclass
class Deviation:
    """How far the graph is from the truth on one output, batch by batch."""

    count: int = 0
    rows: int = 0
    largest: float = 0.0
    total: float = 0.0
    relative: float = 0.0
    above: float = 0.0  # the largest of |g - t| - 32 u |t| - the rounding of the output's type
    mismatched: int = 0  # not finite on one side only
    agreeing: int = 0
    ranked: int = 0
    above_tolerance: float = 0.0  # the largest excess over the user's tolerance

    def add(
        self, got: np.ndarray, exact: np.ndarray, keras: np.ndarray, truth: Truth, tolerance: Tolerance
    ) -> None:
        """Add a batch: the graph's output, the truth, and what Keras computes."""
        if not _is_number(exact):
            differ = (_text(got) != _text(exact)) & (_text(got) != _text(keras))
            self._tally(differ.astype(np.float64), np.ones(differ.shape), truth)
            return
        g, t, k = (np.asarray(array).astype(np.float64) for array in (got, exact, keras))
        _, far = _keras_errors(t, k, truth)
        to_truth, to_keras = _distance(g, t), _distance(g, k)
        error = np.where(far, np.fmin(to_truth, to_keras), to_truth)
        mismatch = ~np.isfinite(error)
        self.mismatched += int(mismatch.sum())
        error[mismatch] = 0
        size = np.where(np.isfinite(t), np.abs(t), 0)
        self._tally(error, size, truth)
        self.above_tolerance = max(self.above_tolerance, tolerance.excess(error, size))
        if g.ndim >= 2 and g.shape[-1] > 1 and g.size:
            first = g.argmax(-1)
            self.agreeing += int(np.sum((first == t.argmax(-1)) | (first == k.argmax(-1))))
            self.ranked += first.size

    def _tally(self, error: np.ndarray, size: np.ndarray, truth: Truth) -> None:
        self.count += error.size
        self.largest = max(self.largest, float(error.max(initial=0)))
        self.total += float(error.sum())
        large = size > 1e-6
        self.relative = max(self.relative, float(np.max(error[large] / size[large], initial=0)))
        self.above = max(self.above, float(np.max(error - truth.rounding(size), initial=0)))


@dataclass(frozen=True)
class Tolerance:
    """A stricter tolerance that the user asks for: |g - t| - atol - rtol |t| <= 4 m; None: none.

    Attributes:
        atol: absolute tolerance; 0 if only `rtol` is given.
        rtol: relative tolerance; 0 if only `atol` is given.
        by_size: `atol` is relative to the largest value of the batch, if that is above 1: within a model, values have
            any size.

    Raises:
        UserError: a tolerance is negative or not finite; NaN would be above every difference.
    """

    atol: float | None = None
    rtol: float | None = None
    by_size: bool = False

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name, value in (("atol", self.atol), ("rtol", self.rtol)):
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise UserError(f"{name}: expected a finite number of 0 or more, got {value}")

    def excess(self, error: np.ndarray, size: np.ndarray) -> float:
        """By how much the errors are above this, at most; 0 if none is. `size` is |t|."""
        if self.atol is None and self.rtol is None:
            return 0.0
        scale = float(np.max(size, initial=1)) if self.by_size else 1.0
        return float(np.max(error - (self.atol or 0) * scale - (self.rtol or 0) * size, initial=0))


def allowance(truth: Truth, pooled: float) -> float:
    """4 (E + m + r) + 32 u s, where `pooled` is E / s of the regular inputs with the most rows, or 0."""
    error = max(truth.keras_error, pooled * truth.size)
    return FACTOR * (error + truth.movement + truth.sums_error) + UNITS * UNIT * truth.size


def in_range(array: np.ndarray, dtype: str) -> np.ndarray:
    """True values as far as an output's type reaches: infinite above 65,504 in float16."""
    if dtype != "float16" or array.dtype.kind != "f":
        return array
    with np.errstate(over="ignore"):
        rounded: np.ndarray = array.astype(np.float16)
    return np.where(np.isinf(rounded), rounded.astype(array.dtype), array)


def _is_number(array: np.ndarray) -> bool:
    return array.dtype.kind not in "OUS"


def _keras_errors(t: np.ndarray, k: np.ndarray, truth: Truth) -> tuple[np.ndarray, np.ndarray]:
    """|k - t|, and where that is more than rounding."""
    error = _distance(k, t)
    finite = np.abs(t[np.isfinite(t)])
    size = float(np.sqrt(np.mean(np.square(finite)))) if finite.size else 0.0
    far = ~np.isfinite(error)
    if np.isfinite(truth.jump):
        far |= error > truth.jump * (size + np.where(np.isfinite(t), np.abs(t), 0))
    return np.where(np.isfinite(error), error, 0), far


def _distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """|a - b|; 0 where both are NaN or the same infinity, infinite where one alone is not finite."""
    alike = (np.isnan(a) & np.isnan(b)) | (a == b)
    finite = np.isfinite(a) & np.isfinite(b)
    difference = np.abs(np.subtract(a, b, where=finite, out=np.zeros(a.shape)))
    return np.where(alike, 0.0, np.where(finite, difference, np.inf))


def _text(array: np.ndarray) -> np.ndarray:
    flat = [x.decode(errors="replace") if isinstance(x, bytes) else str(x) for x in np.ravel(array)]
    return np.array(flat, dtype=object).reshape(np.shape(array))
