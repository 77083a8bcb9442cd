"""The result of a parity check: what was compared, how far it was apart and how far it may be; a table and JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from export.evidence import Example
from export.terminal import columns, escape

OUTPUT, LOGITS = "output", "logits"


@dataclass(frozen=True)
class Difference:
    """How far one output of the graph is from the truth, on inputs of one kind.

    Attributes:
        output: name of the output.
        tensor: 'output', or 'logits': what goes into the softmax, sigmoid or argmax that makes the output.
        data: what the inputs were: 'batch 7', 'size 32 x 64', 'constant', 'large mean', 'out of range'.
        optimizations: onnxruntime's graph optimizations, 'off' or 'on'.
        rows: how many rows were compared.
        shapes: the shapes of the output without the batch axis.
        size: root mean square of the true values.
        max_abs: largest absolute difference from the truth.
        keras_error: the same for Keras in float32: what rounding loses.
        allowance: what `max_abs` may be, besides 32 units in the last place of each value.
        mean_abs: mean absolute difference.
        max_rel: largest difference relative to the true value, where that is above 1e-6.
        argmax_agreement: share of rows whose largest value is in the same position; None for scalars.
        nan: number of values that are NaN or infinite on one side only.
        rounding: for degenerate inputs and those out of range, how far the true output moves when they change by some
            units in their last place, if the graph doesn't pass without that; otherwise 0.
        is_exact: nothing is above the allowance, and nan is 0.
        within: besides, nothing is above the user's tolerance.
    """

    output: str
    tensor: str
    data: str
    optimizations: str
    rows: int
    shapes: tuple[tuple[int, ...], ...]
    size: float
    max_abs: float
    keras_error: float
    allowance: float
    mean_abs: float
    max_rel: float
    argmax_agreement: float | None
    nan: int
    rounding: float
    is_exact: bool
    within: bool

    @property
    def name(self) -> str:
        """The output's name, marked where it is about logits."""
        return self.output if self.tensor != LOGITS else f"{self.output} ({LOGITS})"


@dataclass(frozen=True)
class Parity:
    """The outcome of a check.

    Attributes:
        atol: the user's absolute tolerance, None if none was asked for.
        rtol: the user's relative tolerance, likewise.
        source: what the regular inputs were.
        differences: what was compared.
        oracle: what was taken for the truth.
        rows: rows of regular inputs.
        notes: what was not compared, and why.
        seconds: how long the check took.
        peak_memory: the largest resident size of the process up to its end, in bytes; None where that is unknown.
        examples: some of the inputs and their exact outputs, for a comparison elsewhere.
        keras_dtypes: the dtype policies of layers that don't compute in float32, as the graph does.
        own_error: how far Keras' own outputs and logits are from the truth, at most.
    """

    atol: float | None
    rtol: float | None
    source: str
    differences: list[Difference]
    oracle: str = "Keras in float64"
    rows: int = 0
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    peak_memory: int | None = None
    examples: list[Example] = field(default_factory=list, repr=False)
    keras_dtypes: list[str] = field(default_factory=list)
    own_error: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether every output was within its allowance on all data."""
        return all(difference.within for difference in self.differences)

    @property
    def max_abs(self) -> float:
        """Largest absolute difference of an output."""
        return max(d.max_abs for d in self.differences if d.tensor != LOGITS)

    @property
    def worst(self) -> Difference:
        """The difference that is furthest above its allowance, or nearest to it."""
        return max(
            self.differences, key=lambda d: (not d.within, d.nan > 0, d.max_abs / (d.allowance or 1e-300))
        )

    @property
    def is_rounding(self) -> bool:
        """Whether all differences are rounding, so that the user's tolerance alone is above them or not."""
        return all(difference.is_exact for difference in self.differences)

    def failure(self) -> str:
        """What is wrong, in a few words."""
        d = self.worst
        if d.nan:
            return f"{d.nan} values of {d.name!r} on {d.data} that are NaN or infinite on one side only"
        asked_for = f"atol {self.atol or 0:g} + rtol {self.rtol or 0:g}"
        limit = asked_for if d.is_exact else f"the {d.allowance:.1e} allowed"
        return f"a difference of up to {d.max_abs:.1e} in {d.name!r} on {d.data}, above {limit}"

    def as_json(self) -> dict[str, Any]:
        """A dictionary for parity.json."""
        return {
            "passed": self.passed,
            "oracle": self.oracle,
            "atol": self.atol,
            "rtol": self.rtol,
            "data": self.source,
            "rows": self.rows,
            "max_abs": self.max_abs,
            "keras_dtypes": self.keras_dtypes,
            "own_error": self.own_error if math.isfinite(self.own_error) else None,
            "notes": self.notes,
            "seconds": round(self.seconds, 1),
            "peak_memory": self.peak_memory,
            "differences": [asdict(difference) for difference in self.differences],
        }

    def table(self) -> str:
        """A table for the terminal: the worst of each output and kind of data."""
        rows: list[tuple[str, ...]] = [
            ("output", "data", "rows", "max abs", "Keras float32", "allowed", "max rel", "argmax", "NaN", "")
        ]
        only_one = len({d.output for d in self.differences}) == 1
        for name, data in dict.fromkeys((d.name, d.data) for d in self.differences):
            group = [d for d in self.differences if (d.name, d.data) == (name, data)]
            worst = max(group, key=lambda d: (not d.within, d.max_abs))
            agree = "-" if worst.argmax_agreement is None else f"{100 * worst.argmax_agreement:.1f} %"
            verdict = "ok" if all(d.within for d in group) else f"above tolerance ({worst.optimizations})"
            numbers = [worst.max_abs, worst.keras_error, worst.allowance, worst.max_rel]
            cells = [f"{number:.1e}" for number in numbers]
            label = f"({LOGITS})" if only_one and group[0].tensor == LOGITS else name
            rows.append((label, data, str(worst.rows), *cells, agree, str(worst.nan), verdict))
        return f"{columns(rows)}\n{self.summary()}"

    def summary(self) -> str:
        """What was compared with what, in one line for each fact."""
        memory = f", peak memory {self.peak_memory / 2**30:.1f} GiB" if self.peak_memory else ""
        lines = [
            f"compared with {self.oracle} on {self.rows:,} rows of {self.source}, {self.seconds:.1f} s{memory}"
        ]
        if self.keras_dtypes:
            lines.append(self.precision())
        return "\n".join(map(escape, [*lines, *(f"note: {note}" for note in self.notes)]))

    def precision(self) -> str:
        """The precision of the graph and of the Keras model."""
        error = (
            f"up to {self.own_error:.1e} off"
            if math.isfinite(self.own_error)
            else "not always finite numbers"
        )
        own = f"Keras: {', '.join(self.keras_dtypes)}, whose own results are {error}"
        return f"computed in float32{f' ({own})' if self.keras_dtypes else ''}"


def first_divergence(parity: Parity, layers: Sequence[str]) -> str | None:
    """The first Keras layer whose output is above its allowance, or None; for a layerwise check."""
    bad = {difference.output for difference in parity.differences if not difference.within}
    outputs = list(dict.fromkeys(difference.output for difference in parity.differences))
    return next((layer for layer, output in zip(layers, outputs, strict=True) if output in bad), None)


def parity_text(parity: Parity) -> str:
    """The result in short, for the model's metadata."""
    return json.dumps(
        {
            "max_abs": parity.max_abs,
            "oracle": parity.oracle,
            "rows": parity.rows,
            "atol": parity.atol,
            "rtol": parity.rtol,
            "data": parity.source,
        }
    )


def report_path(model: Path) -> Path:
    """The path of an exported model's parity report: beside it."""
    return model.with_name(f"{model.stem}.parity.json")
