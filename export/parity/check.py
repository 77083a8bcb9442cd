"""`check_parity`: compare an ONNX graph in onnxruntime with its Keras model, number by number."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import keras
import numpy as np
import onnx
import onnxruntime

from export.conversion import Conversion, Options
from export.errors import CheckError, UserError, reason_of
from export.evidence import Example
from export.interface import with_inputs
from export.layout import to_graph, to_keras
from export.parity.compare import (
    JUMP,
    ROUNDING,
    UNIT,
    UNITS,
    Deviation,
    Tolerance,
    Truth,
    allowance,
    in_range,
)
from export.parity.data import NUDGES, Source, graph_inputs
from export.parity.evaluate import Evaluator, ReferenceEvaluator
from export.parity.logits import with_logits
from export.parity.memory import peak_memory
from export.parity.oracle import Inputs, Oracle
from export.parity.plan import BATCHES, OUT_OF_RANGE, QUICK_BATCHES, Feed, computes, plan
from export.parity.random_numbers import random_outputs, with_fixed_numbers
from export.parity.report import LOGITS, OUTPUT, Difference, Parity
from export.precision import other_policies
from export.weights_file import open_graph

# Called after each batch: rows done, rows in all.
Progress = Callable[[int, int], None]
Tensor = tuple[str, str]  # the name of an output; OUTPUT or LOGITS
INDICES = (onnx.TensorProto.INT32, onnx.TensorProto.INT64)  # the types of what an ArgMax returns
EXAMPLES = 3  # how many batches are kept for a comparison elsewhere
# By how much an output may grow on inputs that are out of range, relative to regular ones, to be compared: far from all
# that a network was made for, its activations explode, and a runtime's sigmoid or exponential is not exact any more.
GROWTH = 8.0
# Keras' own error, relative to an output, above which a degenerate input says nothing of the graph: each of dozens of
# normalizations may multiply the rounding of the preceding ones.
CHAOTIC = 0.1
# Share of the numbers of an output that may be off in float32, as at a step, before a float64 model is refused.
NEEDS_FLOAT64 = 0.01


def check_parity(
    model: keras.Model,
    conversion: Conversion,
    options: Options | None = None,
    *,
    atol: float | None = None,
    rtol: float | None = None,
    data: Inputs | None = None,
    source: str = "seeded random data",
    reference: Callable[[Inputs], list[np.ndarray]] | None = None,
    batches: Sequence[int] | None = None,
    quick: bool = False,
    progress: Progress | None = None,
) -> Parity:
    """Compare a graph with its Keras model on several batches, with onnxruntime's optimizations off and on.

    The truth is the Keras model in float64; `export.parity.compare` has the rule, `export.parity.data` the inputs.

    Args:
        model: the Keras model.
        conversion: what `convert` made of it.
        options: ignored; the conversion carries its options. Accepted since earlier versions asked for it.
        atol: a stricter absolute tolerance of the outputs than the rule; None: the rule alone.
        rtol: a stricter relative tolerance of the outputs, likewise.
        data: an array for each input, as Keras has it, all of which is compared; None: random inputs.
        source: what to call the data in the report.
        reference: what computes the values to compare with in place of the model's outputs, from the model's layers;
            for a layerwise check. `atol` is then relative to the largest value of each output, if that is above 1.
        batches: batch sizes, where the graph's is not fixed; None: 1, 2, 7, 32 and 256, as far as memory allows.
        quick: fewer and smaller batches, for a first look.
        progress: called after each batch with the rows done and the rows in all.

    Raises:
        UserError: Keras can't run the model on these inputs.
        CheckError: onnxruntime fails, or returns another shape or dtype than Keras.
    """
    start = time.monotonic()
    model = with_inputs(model, conversion.options.inputs)
    evaluator = Evaluator(model) if reference is None else ReferenceEvaluator(model, reference)
    source_of_inputs = Source(model, conversion, data)
    sizes = batches or (QUICK_BATCHES if quick else BATCHES)
    feeds = plan(model, source_of_inputs, evaluator, sizes, quick=quick)
    if data is not None:
        _run_keras(evaluator, feeds[0], model)  # tells whether the model has logits
    proto, weights = conversion.proto, conversion.weights
    with with_fixed_numbers(proto):
        with with_logits(proto, evaluator.heads) as logits:
            with_logits_session = open_graph(proto, weights, optimize=False)
        optimized = open_graph(proto, weights)
    check = _Check(
        conversion,
        evaluator,
        Oracle(model, evaluator),
        Tolerance(atol, rtol, by_size=reference is not None),
        {"off": (with_logits_session, logits), "on": (optimized, [])},
    )
    if random_outputs(proto):
        check.notes.append("random numbers were replaced by fixed ones, in Keras and in the graph")
    done, total = 0, sum(feed.rows for feed in feeds)
    policies = other_policies(model)
    for feed in feeds:
        check.compare(feed, model)
        if "float64" in policies and feed.is_regular:
            check.refuse_what_needs_float64(model)
        done += feed.rows
        if progress is not None:
            progress(done, total)
    return Parity(
        atol,
        rtol,
        source,
        check.differences(),
        oracle=check.oracle.name,
        rows=sum(feed.rows for feed in feeds if feed.is_regular),
        notes=[*evaluator.notes, *check.notes],
        seconds=time.monotonic() - start,
        peak_memory=peak_memory(),
        examples=check.judged_examples(),
        keras_dtypes=policies,
        own_error=check.own_error,
    )


def _run_keras(evaluator: Evaluator | ReferenceEvaluator, feed: Feed, model: keras.Model) -> list[np.ndarray]:
    try:
        return evaluator(feed.make())
    except Exception as error:  # layers and backends raise anything
        raise UserError(
            f"model {model.name!r}: expected inputs that Keras can run, but it fails on {feed.kind} of the data: "
            f"{reason_of(error)}"
        ) from error


@dataclass
class _Check:
    """What is compared, and what has been found so far."""

    conversion: Conversion
    evaluator: Evaluator | ReferenceEvaluator
    oracle: Oracle
    tolerance: Tolerance
    sessions: Mapping[str, tuple[onnxruntime.InferenceSession, list[int]]]
    notes: list[str] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)
    truths: dict[tuple[Tensor, str], Truth] = field(default_factory=dict)
    deviations: dict[tuple[Tensor, str, str], Deviation] = field(default_factory=dict)
    dtypes: dict[Tensor, str] = field(default_factory=dict)
    own_error: float = 0.0

    def __post_init__(self) -> None:
        """Name the tensors that are compared, in the order in which the evaluator returns them."""
        names, heads = self.conversion.outputs, self.evaluator.heads
        self.tensors = [*((name, OUTPUT) for name in names), *((names[index], LOGITS) for index in heads)]
        graph_outputs = zip(names, self.conversion.proto.graph.output, strict=True)
        self.indices = {name for name, value in graph_outputs if value.type.tensor_type.elem_type in INDICES}
        _, logits = self.sessions["off"]
        self.notes += [
            f"the logits of {names[index]!r} were not compared: the graph has none"
            for index in heads
            if index not in logits
        ]

    def compare(self, feed: Feed, model: keras.Model) -> None:
        """Run Keras, the oracle and the graph on some inputs."""
        arrays = feed.make()
        try:
            keras_outputs = self.evaluator(arrays)
        except Exception:
            if feed.optional:
                return
            _run_keras(self.evaluator, feed, model)
            raise
        if feed.optional and feed.is_regular and not computes(keras_outputs):
            return
        if not self.dtypes:  # logits have no dtype of their own
            names = (
                x.dtype.name if kind == OUTPUT else "float32"
                for x, (_, kind) in zip(keras_outputs, self.tensors, strict=True)
            )
            self.dtypes = dict(zip(self.tensors, names, strict=True))
        exact, in_float32 = self._add_truths(feed, arrays, keras_outputs)
        fed = dict(zip(self.conversion.inputs, graph_inputs(self.conversion, arrays), strict=True))
        for optimizations, (session, logits) in self.sessions.items():
            got = self._run(session, fed, logits, feed)
            for tensor, t, k, own in zip(self.tensors, exact, in_float32, keras_outputs, strict=True):
                if tensor in got:
                    _check_type(tensor, got[tensor], own)
                    deviation = self.deviations.setdefault((tensor, feed.kind, optimizations), Deviation())
                    tolerance = (
                        self.tolerance if tensor[1] == OUTPUT else Tolerance()
                    )  # users know the outputs' sizes alone
                    deviation.add(got[tensor], t, k, self.truths[tensor, feed.kind], tolerance)
        if feed.is_regular and len(self.examples) < EXAMPLES:
            graph_names = [output.name for output in self.conversion.proto.graph.output]
            random = random_outputs(self.conversion.proto)
            in_graph = [to_graph(x, self.conversion.options.output_layout) for x in exact]
            outputs = {name: x for name, x in zip(graph_names, in_graph, strict=False) if name not in random}
            if outputs:
                self.examples.append(Example(feed.kind, fed, outputs, {}))

    def _keras_output(self, tensor: Tensor, array: np.ndarray) -> np.ndarray:
        """An output of the graph, or its logits, in Keras' layout. What goes into an ArgMax has that layout."""
        name, kind = tensor
        is_index = kind == LOGITS and name in self.indices
        return array if is_index else to_keras(array, self.conversion.options.output_layout)

    def refuse_what_needs_float64(self, model: keras.Model) -> None:
        """Raise a CheckError if float32 can't compute what a float64 model computes."""
        for (tensor, kind), truth in self.truths.items():
            if kind not in NUDGES and truth.far > NEEDS_FLOAT64 * truth.count:
                raise CheckError(
                    f"model {model.name!r}: expected a float64 model that can be computed in float32, but Keras itself "
                    f"gives other numbers in float32 for {truth.far:,} of {truth.count:,} values of {tensor[0]!r}; "
                    "nothing was written; scale its inputs and weights so that float32 is enough"
                )

    def _add_truths(self, feed: Feed, arrays: Inputs, keras_outputs: Inputs) -> tuple[Inputs, Inputs]:
        """The true outputs, and those of Keras in float32; add them to what is known."""
        in_float32 = self.oracle.in_float32(arrays, keras_outputs)
        exact, errors = self.oracle.truth(arrays, in_float32)
        is_degenerate = feed.kind in NUDGES
        moves = [0.0] * len(exact)
        if is_degenerate or feed.kind == OUT_OF_RANGE:
            moves = self.oracle.movement(arrays, exact, NUDGES.get(feed.kind, self.oracle.nudge))
        if feed.is_regular:
            self.own_error = max(self.own_error, *map(_largest_difference, keras_outputs, exact))
        exact, in_float32 = (
            [in_range(x, self.dtypes[tensor]) for tensor, x in zip(self.tensors, arrays, strict=True)]
            for arrays in (exact, in_float32)
        )
        for tensor, t, k, error, move in zip(self.tensors, exact, in_float32, errors, moves, strict=True):
            jump = float("inf") if is_degenerate else JUMP
            truth = self.truths.setdefault((tensor, feed.kind), Truth(self.dtypes[tensor], jump))
            truth.add(t, k)
            truth.keras_error = max(truth.keras_error, error)
            truth.movement = max(truth.movement, move)
        return exact, in_float32

    def _run(
        self,
        session: onnxruntime.InferenceSession,
        fed: dict[str, np.ndarray],
        logits: list[int],
        feed: Feed,
    ) -> dict[Tensor, np.ndarray]:
        names = self.conversion.outputs
        tensors = [*((name, OUTPUT) for name in names), *((names[index], LOGITS) for index in logits)]
        try:
            pairs = zip(tensors, session.run(None, fed), strict=True)
            return {tensor: self._keras_output(tensor, array) for tensor, array in pairs}
        except Exception as error:  # onnxruntime's exceptions have no common base
            if feed.kind == OUT_OF_RANGE:  # where Keras takes an id that no embedding has, a runtime need not
                self.notes.append(f"onnxruntime refuses inputs that are out of range: {reason_of(error)}")
                return {}
            raise CheckError(
                f"onnxruntime fails on {feed.kind} where Keras computes a result: {reason_of(error)}; nothing was "
                "written"
            ) from error

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
        regular = [self.truths[t, k].size for t, k in self.truths if t == tensor and k not in (kind, *NUDGES)]
        if kind == OUT_OF_RANGE and truth.size > GROWTH * max(regular, default=0):
            return f"inputs out of range: it grows by more than {GROWTH:g} times"
        if kind in NUDGES and truth.keras_error > CHAOTIC * truth.size > 0:
            return f"inputs of {kind}: Keras itself is off by more than {CHAOTIC:.0%} there, in float32"
        return None

    def differences(self) -> list[Difference]:
        """Judge all that was compared."""
        pooled = self._pooled()
        result = []
        for (tensor, kind, optimizations), deviation in sorted(
            self.deviations.items(), key=lambda x: x[0][2]
        ):
            why_not = None if deviation.mismatched else self._why_not(tensor, kind)
            if why_not is None:
                truth = self.truths[tensor, kind]
                result.append(
                    _difference(tensor, kind, optimizations, deviation, truth, pooled.get(tensor, 0.0))
                )
            elif optimizations == "on":
                what = tensor[0] if tensor[1] == OUTPUT else f"{tensor[0]} ({tensor[1]})"
                self.notes.append(f"{what!r} was not judged on {why_not}")
        return result

    def judged_examples(self) -> list[Example]:
        """The examples, with what each output may be off."""
        pooled = self._pooled()
        result = []
        for example in self.examples:
            allowed = {}
            graph_names = [output.name for output in self.conversion.proto.graph.output]
            for graph_name, name in zip(graph_names, self.conversion.outputs, strict=False):
                if graph_name not in example.outputs:
                    continue
                truth = self.truths[(name, OUTPUT), example.kind]
                relative, least = ROUNDING.get(truth.dtype, (0.0, 0.0))
                absolute = allowance(truth, pooled.get((name, OUTPUT), 0.0))
                allowed[graph_name] = (absolute + least, UNITS * UNIT + relative)
            result.append(replace(example, allowances=allowed))
        return result


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
        within=is_exact and not deviation.above_tolerance,
    )


def _check_type(tensor: Tensor, got: np.ndarray, expected: np.ndarray) -> None:
    """Compare shape and dtype; text is an object array in NumPy, and logits have no dtype of their own."""
    name, kind = tensor
    if got.shape != expected.shape:
        raise CheckError(
            f"output {name!r}: expected {kind} of shape {expected.shape} as in Keras, got {got.shape}"
        )
    is_text = expected.dtype.kind in "OUS"
    dtype = np.dtype(np.float32) if expected.dtype.name == "bfloat16" else expected.dtype  # NumPy has none
    if kind == OUTPUT and not is_text and got.dtype != dtype:
        raise CheckError(f"output {name!r}: expected dtype {dtype} as in Keras, got {got.dtype}")


def _largest_difference(keras_output: np.ndarray, exact: np.ndarray) -> float:
    """How far Keras' own output is from the truth, where both are finite numbers; infinite where Keras' is not."""
    if exact.dtype.kind in "OUS":
        return 0.0
    k, t = keras_output.astype(np.float64), exact.astype(np.float64)
    finite = np.isfinite(t)
    error = np.abs(np.subtract(k, t, where=finite, out=np.zeros(t.shape)))
    return float(np.max(np.where(np.isnan(error), np.inf, error), initial=0))
