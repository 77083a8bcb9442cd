"""What changes when the weights of a graph are rounded to float16.

The graph has passed the parity check before, so two questions are left:

1. Is the file right? It has to compute what the same graph computes with the rounded weights in float32, within
   twice the rounding that the parity check allows, since both graphs round.
2. Does the rounding matter? That is not a question of right or wrong: the weights are others. So the outputs before and
   after are compared on the regular inputs of the parity check: by how much do they move, and how many rows have their
   largest value elsewhere? What goes into a final softmax or sigmoid is compared, too.

A file is refused if an output, or what goes into its softmax, moves by more than 1 % of its root mean square, or if the
class of more than 1 % of the rows, and of more than one, is another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import keras
import numpy as np
import onnx
import onnxruntime

from export.conversion import Conversion
from export.errors import CheckError
from export.evidence import Example
from export.parity.compare import UNIT, UNITS
from export.parity.data import Source, graph_inputs
from export.parity.evaluate import Evaluator
from export.parity.logits import with_logits
from export.parity.oracle import Inputs
from export.parity.plan import BATCHES, QUICK_BATCHES, plan
from export.parity.report import LOGITS, OUTPUT, Parity
from export.runtime import open_session
from export.terminal import columns, escape

MOVE = 1e-2  # of the root mean square
FLIPS = 1e-2  # of the rows


@dataclass
class Change:
    """By how much one output changes, batch by batch.

    Attributes:
        output: name of the output.
        tensor: 'output', or 'logits': what goes into its softmax, sigmoid or argmax.
        count: numbers.
        squares: sum of the squares of the numbers before.
        moved: sum of the squares of the changes.
        max_abs: the largest change.
        rows: rows that have a largest value.
        flipped: those of them whose largest value is in another position.
    """

    output: str
    tensor: str
    count: int = 0
    squares: float = 0.0
    moved: float = 0.0
    max_abs: float = 0.0
    rows: int = 0
    flipped: int = 0

    def add(self, before: np.ndarray, after: np.ndarray) -> None:
        """Add a batch."""
        b, a = before.astype(np.float64), after.astype(np.float64)
        finite = np.isfinite(b)
        change = np.where(finite, a - np.where(finite, b, 0), 0)
        self.count += int(finite.sum())
        self.squares += float(np.sum(np.square(b, where=finite, out=np.zeros_like(b))))
        self.moved += float(np.sum(np.square(change)))
        self.max_abs = max(self.max_abs, float(np.max(np.abs(change), initial=0)))
        if b.ndim >= 2 and b.shape[-1] > 1 and b.size:
            moves = b.argmax(-1) != a.argmax(-1)
            self.rows += moves.size
            self.flipped += int(moves.sum())

    @property
    def size(self) -> float:
        """The root mean square before."""
        return float(np.sqrt(self.squares / self.count)) if self.count else 0.0

    @property
    def move(self) -> float:
        """The root mean square of the change, relative to the root mean square before."""
        return float(np.sqrt(self.moved / self.squares)) if self.squares else float(self.moved > 0)

    @property
    def is_large(self) -> bool:
        """Whether the change is above the limits. Only where there are logits is the largest value a class."""
        flips = self.tensor == LOGITS and self.flipped > max(1, FLIPS * self.rows)
        return not self.move <= MOVE or flips


@dataclass
class Rounding:
    """What rounding the weights changes.

    Attributes:
        changes: of each output and its logits.
        rounded: how many weights are in float16.
        kept: large weights that stay in float32, with the reason.
        bytes_before: size of the file with float32 weights.
        bytes_after: size of the file.
        examples: inputs and what the graph with rounded weights computes, for a comparison elsewhere.
    """

    changes: list[Change]
    rounded: int
    kept: list[str]
    bytes_before: int
    bytes_after: int
    examples: list[Example] = field(default_factory=list, repr=False)

    def failure(self) -> str | None:
        """What is above the limits, in a few words; None if nothing is."""
        worst = max((x for x in self.changes if x.is_large), key=lambda x: x.move, default=None)
        if worst is None:
            return None
        name = f"{LOGITS} of {worst.output!r}" if worst.tensor == LOGITS else f"values of {worst.output!r}"
        if not worst.move <= MOVE:
            return f"the {name} to move by at most {MOVE:.0%} of their size, got {worst.move:.1%}"
        return (
            f"at most {FLIPS:.0%} other classes in {worst.output!r}, got {worst.flipped} of {worst.rows} rows"
        )

    def as_json(self) -> dict[str, Any]:
        """A dictionary for parity.json."""
        changes = [{**asdict(change), "size": change.size, "move": change.move} for change in self.changes]
        return {
            "weights": self.rounded,
            "kept": self.kept,
            "bytes_before": self.bytes_before,
            "bytes_after": self.bytes_after,
            "changes": [{k: x for k, x in one.items() if k not in ("squares", "moved")} for one in changes],
        }

    def table(self) -> str:
        """A table for the terminal."""
        rows: list[tuple[str, ...]] = [("float16 weights", "moves by", "largest", "other class", "of rows")]
        for x in self.changes:
            name = f"{x.output} ({LOGITS})" if x.tensor == LOGITS else x.output
            flipped = (str(x.flipped), str(x.rows)) if x.rows else ("-", "-")
            rows.append((name, f"{x.move:.2%}", f"{x.max_abs:.1e}", *flipped))
        sizes = f"{self.bytes_before:,} bytes in float32, {self.bytes_after:,} with float16 weights"
        return "\n".join([columns(rows), *map(escape, [sizes, *(f"in float32: {one}" for one in self.kept)])])


def measure_rounding(
    model: keras.Model,
    conversion: Conversion,
    after: onnx.ModelProto,
    parity: Parity,
    *,
    data: Inputs | None = None,
    quick: bool = False,
) -> list[Change]:
    """Compare a graph before and after its weights were rounded to float16.

    Args:
        model: the Keras model.
        conversion: the graph before, which has passed the parity check.
        after: the graph with weights in float16.
        parity: the result of that check.
        data: the inputs that were checked, or None for random ones.
        quick: whether the check was quick.

    Raises:
        CheckError: the file computes something else than the same graph with rounded weights in float32.
    """
    evaluator = Evaluator(model)
    source = Source(model, conversion, data)
    feeds = plan(model, source, evaluator, QUICK_BATCHES if quick else BATCHES, quick=quick)
    heads = [x.output for x in parity.differences if x.tensor == LOGITS]
    indices = [index for index, name in enumerate(conversion.outputs) if name in heads]
    graphs = (conversion.model, in_float32(after), after)
    before, expected, cast = (_Session(graph, conversion, indices, optimize=False) for graph in graphs)
    folded = _Session(after, conversion, indices, optimize=True)
    allowed = {(x.output, x.tensor, x.data): x.allowance for x in parity.differences}
    changes: dict[tuple[str, str], Change] = {}
    for feed in feeds:
        if not feed.is_regular or feed.kind not in {x.data for x in parity.differences}:
            continue
        fed = dict(zip(conversion.inputs, graph_inputs(conversion, feed.make()), strict=True))
        old, want = before.run(fed), expected.run(fed)
        for got in (cast.run(fed), folded.run(fed)):
            for tensor, value in got.items():
                _check_same(tensor, value, want[tensor], allowed.get((*tensor, feed.kind), 0.0))
        for tensor, value in got.items():
            if value.dtype.kind == "f":
                changes.setdefault(tensor, Change(*tensor)).add(old[tensor], value)
    return list(changes.values())


def rounded_examples(after: onnx.ModelProto, examples: Sequence[Example]) -> list[Example]:
    """Examples with what the graph with rounded weights computes, and twice their allowances: both graphs round."""
    session = open_session(in_float32(after).SerializeToString(), optimize=False)
    result = []
    for example in examples:
        outputs = dict(zip(example.outputs, session.run(list(example.outputs), example.inputs), strict=True))
        allowances = {name: (2 * a, 2 * b) for name, (a, b) in example.allowances.items()}
        result.append(replace(example, outputs=outputs, allowances=allowances))
    return result


def in_float32(after: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with its float16 weights in float32: the rounded numbers, without the Casts."""
    copy = onnx.ModelProto()
    copy.CopyFrom(after)
    halves = {x.name: x for x in copy.graph.initializer if x.data_type == onnx.TensorProto.FLOAT16}
    for node in [x for x in copy.graph.node if x.op_type == "Cast" and x.input[0] in halves]:
        weight = halves[node.input[0]]
        array = onnx.numpy_helper.to_array(weight).astype(np.float32)
        weight.CopyFrom(onnx.numpy_helper.from_array(array, node.output[0]))
        copy.graph.node.remove(node)
    return copy


class _Session:
    """A graph in onnxruntime, with its logits."""

    def __init__(
        self, model: onnx.ModelProto, conversion: Conversion, heads: Sequence[int], *, optimize: bool
    ) -> None:
        with with_logits(model, heads) as found:
            self._session: onnxruntime.InferenceSession = open_session(
                model.SerializeToString(), optimize=optimize
            )
        names = conversion.outputs
        self._tensors = [*((name, OUTPUT) for name in names), *((names[index], LOGITS) for index in found)]

    def run(self, fed: dict[str, np.ndarray]) -> dict[tuple[str, str], np.ndarray]:
        """The outputs and the logits."""
        return dict(zip(self._tensors, self._session.run(None, fed), strict=True))


def _check_same(tensor: tuple[str, str], got: np.ndarray, want: np.ndarray, allowed: float) -> None:
    if got.dtype.kind != "f":
        return
    g, w = got.astype(np.float64), want.astype(np.float64)
    finite = np.isfinite(w)
    error = np.abs(g - np.where(finite, w, 0))[finite]
    unit = 2.0**-10 if got.dtype == np.float16 else UNITS * UNIT
    above = error > 2 * (allowed + unit * np.abs(w[finite]))
    if np.any(above) or not np.array_equal(np.isfinite(g), finite):
        raise CheckError(
            f"output {tensor[0]!r}: expected the file with float16 weights to compute what the same graph computes "
            f"with the rounded weights in float32, got a difference of up to {float(np.max(error, initial=0)):.1e}; "
            "nothing was written; export without --float16, and please report it"
        )
