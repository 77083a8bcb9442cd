"""The truth that a graph is judged by: the same Keras model, evaluated in float64; `export/precision.py` has how.

The graph computes in float32. So its rounding errors are compared with those of Keras in float32, whatever precision
the model's own layers have: a graph of a float16 model has to be as exact as float32 allows.
"""

from __future__ import annotations

from typing import Protocol

import keras
import numpy as np

from export.precision import NotExact, Weights, is_float, other_policies

Inputs = list[np.ndarray]
UNITS = {"float16": 2.0**-10, "bfloat16": 2.0**-7}  # in the last place, of what is coarser than float32


class Precise(Protocol):
    """Something that computes outputs from inputs, in its own precision or in another."""

    def __call__(self, arrays: Inputs, scope: keras.StatelessScope | None = None) -> list[np.ndarray]:
        """Compute in its own precision, with the variables' values of the scope."""
        ...

    def exactly(self, arrays: Inputs) -> list[np.ndarray]:
        """Compute in float64; raises NotExact where that is impossible."""
        ...

    def in_float32(self, arrays: Inputs, weights: Weights = ()) -> list[np.ndarray]:
        """Compute in float32, with other values of some variables; raises NotExact where that is impossible."""
        ...


class Oracle:
    """The truth, batch by batch, and how far it moves by rounding.

    Where a layer insists on another precision, Keras' outputs in float32 are taken for the truth, and their error is
    estimated by how far they move when inputs and weights change in their last places. Where a layer insists on a
    precision that is neither, Keras' own outputs are.

    Attributes:
        name: what is taken for the truth, in words.
    """

    UNITS = 4  # in the last place, by which inputs and weights change for the estimate

    def __init__(self, model: keras.Model, evaluator: Precise) -> None:
        self._model = model
        self._evaluator = evaluator
        self._is_exact = True
        self._has_own_precision = bool(other_policies(model))
        self._computes_in_own = not self._has_own_precision
        self.name = "Keras in float64"
        self.nudge = self.UNITS * 2.0**-23

    def in_float32(self, arrays: Inputs, keras_outputs: list[np.ndarray]) -> list[np.ndarray]:
        """What Keras computes in float32; `keras_outputs`, those of its own precision, where that is all there is."""
        if not self._computes_in_own:
            try:
                return self._evaluator.in_float32(arrays)
            except NotExact:
                self._computes_in_own = True
                dtypes = {layer.compute_dtype for layer in self._model._flatten_layers()}
                self.nudge = self.UNITS * max(UNITS.get(dtype, 2.0**-23) for dtype in dtypes)
        return keras_outputs

    def truth(self, arrays: Inputs, in_float32: list[np.ndarray]) -> tuple[list[np.ndarray], list[float]]:
        """The true outputs, and what is to be added to the errors that Keras' outputs show against them."""
        if self._is_exact:
            try:
                return self._evaluator.exactly(arrays), [0.0] * len(in_float32)
            except NotExact as error:
                self._is_exact = False
                precision = "its own precision" if self._computes_in_own else "float32"
                self.name = f"Keras in {precision}, give or take its rounding, since {error}"
        return in_float32, self.movement(arrays, in_float32, self.nudge, samples=2, weights=True)

    def movement(
        self,
        arrays: Inputs,
        truth: list[np.ndarray],
        nudge: float,
        *,
        samples: int = 4,
        weights: bool = False,
    ) -> list[float]:
        """How far each output moves, at most, when inputs (and weights) change by a factor 1 + nudge or 1 - nudge."""
        rng = np.random.default_rng(0)
        moves = [0.0] * len(truth)
        for _ in range(samples):
            nudged = [
                _nudged(rng, array, nudge) if is_float(x.dtype) else array
                for array, x in zip(arrays, keras.tree.flatten(self._model.inputs), strict=True)
            ]
            changed = self._model.variables if weights and not self._is_exact else []
            values = [
                (v, _nudged(rng, keras.ops.convert_to_numpy(v), nudge)) for v in changed if is_float(v.dtype)
            ]
            if self._is_exact:
                outputs = self._evaluator.exactly(nudged)
            elif self._computes_in_own:
                outputs = self._evaluator(nudged, keras.StatelessScope(values))
            else:
                outputs = self._evaluator.in_float32(nudged, values)
            for index, (moved, output) in enumerate(zip(outputs, truth, strict=True)):
                if output.dtype.kind not in "OUS":
                    error = np.abs(moved.astype(np.float64) - output.astype(np.float64))
                    moves[index] = max(moves[index], float(np.max(error[np.isfinite(error)], initial=0)))
        return moves


def _nudged(rng: np.random.Generator, array: np.ndarray, nudge: float) -> np.ndarray:
    return array * (1 + nudge * rng.choice([-1, 1], array.shape))
