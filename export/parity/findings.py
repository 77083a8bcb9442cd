"""What the parity check has found of each output, on inputs of each kind, and the verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from export.errors import CheckError, UserError
from export.parity.compare import FACTOR, JUMP, ROUNDING, UNIT, UNITS, Deviation, Tolerance, Truth, allowance
from export.parity.data import NUDGES
from export.parity.plan import OUT_OF_RANGE
from export.parity.report import OUTPUT, Difference

Tensor = tuple[str, str]  # the name of an output; OUTPUT or LOGITS
# By how much an output may grow on inputs that are out of range or degenerate, relative to regular ones, to be judged:
# far from all that a network was made for, its activations explode, and a runtime's exponential is not exact any more.
GROWTH = 8.0
# Keras' own error, relative to an output, above which a degenerate input says nothing of the graph: each of dozens of
# normalizations may multiply the rounding of the preceding ones.
CHAOTIC = 0.01
# Share of the numbers of an output that may be off in float32, as at a step, before a float64 model is refused.
NEEDS_FLOAT64 = 0.01


@dataclass
class Findings:
    """What is known, batch by batch.

    Attributes:
        tolerance: the user's, of the outputs alone: users don't know the size of the logits.
        truths: the true values of a tensor, on inputs of a kind.
        deviations: how far the graph is from them, with onnxruntime's optimizations 'off' or 'on'.
        notes: what was not compared, and why.
    """

    tolerance: Tolerance
    truths: dict[tuple[Tensor, str], Truth] = field(default_factory=dict)
    deviations: dict[tuple[Tensor, str, str], Deviation] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add_truth(
        self, tensor: Tensor, kind: str, dtype: str, t: np.ndarray, k: np.ndarray, error: float
    ) -> None:
        """Add a batch of true values, and of what Keras in float32 computes; see `Truth`."""
        jump = float("inf") if kind in NUDGES else JUMP
        truth = self.truths.setdefault((tensor, kind), Truth(dtype, jump))
        truth.add(t, k)
        truth.keras_error = max(truth.keras_error, error)

    def add_output(
        self, tensor: Tensor, kind: str, optimizations: str, got: np.ndarray, t: np.ndarray, k: np.ndarray
    ) -> None:
        """Add a batch of the graph's output."""
        deviation = self.deviations.setdefault((tensor, kind, optimizations), Deviation())
        tolerance = self.tolerance if tensor[1] == OUTPUT else Tolerance()
        deviation.add(got, t, k, self.truths[tensor, kind], tolerance)

    def add_movement(self, tensor: Tensor, kind: str, movement: float) -> None:
        """Add how far the true values of a batch move when the inputs change in their last places."""
        truth = self.truths[tensor, kind]
        truth.movement = max(truth.movement, movement)

    def add_sums(self, tensor: Tensor, kind: str, got: np.ndarray, in_float64: np.ndarray) -> float:
        """Add a batch of an output with the graph's sums in float32 and in float64; return how far they are apart."""
        truth = self.truths.get((tensor, kind))
        if truth is None or got.dtype.kind != "f" or got.shape != in_float64.shape:
            return 0.0
        finite = np.isfinite(got) & np.isfinite(in_float64)
        differences = np.abs(got[finite].astype(np.float64) - in_float64[finite])
        error = float(np.max(differences, initial=0))
        truth.sums_error = max(truth.sums_error, error)
        return error

    def refuse_what_needs_float64(self, model: str) -> None:
        """Check that float32 can compute what a float64 model computes.

        Raises:
            CheckError: it can't.
        """
        for (tensor, kind), truth in self.truths.items():
            if kind not in (*NUDGES, OUT_OF_RANGE) and truth.far > NEEDS_FLOAT64 * truth.count:
                raise CheckError(
                    f"model {model!r}: expected a float64 model that can be computed in float32, but Keras itself "
                    f"gives other numbers in float32 for {truth.far:,} of {truth.count:,} values of {tensor[0]!r}; "
                    "nothing was written; scale its inputs and weights so that float32 is enough"
                )

    def refuse_what_is_not_finite(self, rows: int) -> None:
        """Check that Keras computes finite numbers of some of the user's data: NaN equals NaN in any graph.

        Args:
            rows: how many the data have.

        Raises:
            UserError: it computes none for an output.
        """
        for name, (finite, not_finite) in self._finite().items():
            if not_finite and not finite:
                raise UserError(
                    f"check-data: expected inputs for which Keras computes finite outputs, got NaN or infinity in "
                    f"{name!r} for all {rows:,} rows; give others, or leave out --check-data"
                )

    def not_finite(self) -> list[str]:
        """Of which outputs Keras computes what is not finite, in words."""
        return [
            f"Keras computes NaN or infinity for {not_finite / (finite + not_finite):.1%} of the values of {name!r}"
            for name, (finite, not_finite) in self._finite().items()
            if not_finite
        ]

    def _finite(self) -> dict[str, tuple[int, int]]:
        """How many true values of an output, or its logits, are finite and how many are not, over all batches."""
        counts: dict[str, tuple[int, int]] = {}
        for (tensor, kind), truth in self.truths.items():
            if kind.startswith("batch"):
                finite, not_finite = counts.get(_name(tensor), (0, 0))
                counts[_name(tensor)] = (finite + truth.count, not_finite + truth.not_finite)
        return counts

    def differences(self) -> list[Difference]:
        """Judge all that was compared and can be judged."""
        pooled = self._pooled()
        return [
            _difference(
                tensor, kind, optimizations, deviation, self.truths[tensor, kind], pooled.get(tensor, 0.0)
            )
            for (tensor, kind, optimizations), deviation in sorted(
                self.deviations.items(), key=lambda x: x[0][2]
            )
            if deviation.mismatched or self._why_not(tensor, kind) is None
        ]

    def not_judged(self) -> list[str]:
        """What can't be judged and why, in words."""
        result = []
        for (tensor, kind, optimizations), deviation in self.deviations.items():
            why_not = None if deviation.mismatched else self._why_not(tensor, kind)
            if why_not is not None and optimizations == "on":
                result.append(f"{_name(tensor)!r} was not judged on {why_not}")
        return result

    def allowances(
        self, kind: str, outputs: Sequence[str], movements: Sequence[float]
    ) -> list[tuple[float, float]]:
        """For each output, a and b: on inputs of this kind, a value may be off by a + b |true value|.

        Args:
            kind: the kind of inputs.
            outputs: the names of the outputs.
            movements: how far each moves where a runtime rounds otherwise.
        """
        pooled = self._pooled()
        result = []
        for name, movement in zip(outputs, movements, strict=False):
            truth = self.truths[(name, OUTPUT), kind]
            relative, least = ROUNDING.get(truth.dtype, (0.0, 0.0))
            absolute = allowance(truth, pooled.get((name, OUTPUT), 0.0)) + FACTOR * movement
            result.append((absolute + least, UNITS * UNIT + relative))
        return result

    def _pooled(self) -> dict[Tensor, float]:
        """Keras' error relative to the values' size, on the kind of regular inputs with the most rows."""
        most: dict[Tensor, Truth] = {}
        for (tensor, kind), truth in self.truths.items():
            is_regular = kind not in NUDGES and kind != OUT_OF_RANGE and truth.size > 0
            if is_regular and (tensor not in most or truth.rows > most[tensor].rows):
                most[tensor] = truth
        return {tensor: truth.keras_error / truth.size for tensor, truth in most.items()}

    def _why_not(self, tensor: Tensor, kind: str) -> str | None:
        """Why an output can't be judged on inputs of a kind; None if it can."""
        truth = self.truths[tensor, kind]
        unusual = (OUT_OF_RANGE, *NUDGES)
        if kind not in unusual:
            return None
        inputs = "inputs out of range" if kind == OUT_OF_RANGE else f"inputs of {kind}"
        regular = [self.truths[t, k].size for t, k in self.truths if t == tensor and k not in unusual]
        if truth.size > GROWTH * max(regular, default=0) > 0:
            return f"{inputs}: it grows by more than {GROWTH:g} times"
        if kind in NUDGES and truth.keras_error > CHAOTIC * truth.size > 0:
            return f"{inputs}: Keras itself is off by more than {CHAOTIC:.0%} there, in float32"
        return None


def _name(tensor: Tensor) -> str:
    return tensor[0] if tensor[1] == OUTPUT else f"{tensor[0]} ({tensor[1]})"


def _difference(
    tensor: Tensor, kind: str, optimizations: str, deviation: Deviation, truth: Truth, pooled: float
) -> Difference:
    allowed = allowance(truth, pooled if kind not in NUDGES else 0.0)
    is_exact = deviation.mismatched == 0 and deviation.above <= allowed
    return Difference(
        *tensor,
        kind,
        optimizations,
        rows=truth.rows,
        shapes=tuple(sorted(truth.shapes)),
        size=truth.size,
        max_abs=deviation.largest,
        keras_error=truth.keras_error,
        allowance=allowed,
        mean_abs=deviation.total / max(1, deviation.count),
        max_rel=deviation.relative,
        argmax_agreement=deviation.agreeing / deviation.ranked if deviation.ranked else None,
        nan=deviation.mismatched,
        rounding=truth.movement,
        is_exact=is_exact,
        within=is_exact and deviation.above_tolerance <= FACTOR * truth.movement,
    )
