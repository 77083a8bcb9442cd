"""`check_parity`: compare an ONNX graph in onnxruntime with its Keras model, number by number."""

from __future__ import annotations

import contextlib
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
from export.keras_values import same_dtype, without_gradients
from export.layout import to_graph, to_keras
from export.parity.compare import Tolerance, in_range
from export.parity.data import NUDGES, Source, graph_inputs
from export.parity.evaluate import Evaluator, ReferenceEvaluator
from export.parity.findings import Findings, Tensor
from export.parity.float64_sums import with_float64_sums
from export.parity.logits import with_logits
from export.parity.memory import peak_memory
from export.parity.oracle import Inputs, Oracle
from export.parity.plan import BATCHES, OUT_OF_RANGE, QUICK_BATCHES, Feed, computes, plan
from export.parity.quantized_rounding import rounding_as, rounds_inputs, with_rounded_values
from export.parity.random_numbers import random_outputs, with_fixed_numbers
from export.parity.report import LOGITS, OUTPUT, Parity
from export.precision import other_policies
from export.weights_file import open_graph

# Called after each batch: rows done, rows in all.
Progress = Callable[[int, int], None]
INDICES = (onnx.TensorProto.INT32, onnx.TensorProto.INT64)  # the types of what an ArgMax returns
EXAMPLES = 3  # how many batches are kept for a comparison elsewhere
# By how much inputs change, relatively, to see how far outputs of a quantized model move where it rounds otherwise.
OTHER_ROUNDING = 2.0**-12


@without_gradients()
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
        UserError: Keras can't run the model on these inputs, computes no finite number from them, or has no strings
            on this backend.
        CheckError: onnxruntime fails, or returns another shape or dtype than Keras.
    """
    start = time.monotonic()
    model = with_inputs(model, conversion.options.inputs)
    _check_backend(model)
    evaluator = Evaluator(model) if reference is None else ReferenceEvaluator(model, reference)
    source_of_inputs = Source(model, conversion, data)
    sizes = batches or (QUICK_BATCHES if quick else BATCHES)
    feeds = plan(model, source_of_inputs, evaluator, sizes, quick=quick)
    if data is not None:
        _run_keras(evaluator, feeds[0], model)  # tells whether the model has logits
    with with_fixed_numbers(conversion.proto):
        with with_logits(conversion.proto, evaluator.heads) as logits:
            with_logits_session = _open(model, conversion, optimize=False)
        optimized = _open(model, conversion, optimize=True)
    check = _Check(
        model,
        conversion,
        evaluator,
        Oracle(model, evaluator),
        Findings(Tolerance(atol, rtol, by_size=reference is not None)),
        {"off": (with_logits_session, logits), "on": (optimized, [])},
        _declared_dtypes(model, conversion) if reference is None else {},
    )
    if random_outputs(conversion.proto):
        check.findings.notes.append("random numbers were replaced by fixed ones, in Keras and in the graph")
    done, total = 0, sum(feed.rows for feed in feeds)
    policies = other_policies(model)
    for feed in feeds:
        check.compare(feed)
        if "float64" in policies and feed.is_regular:
            check.findings.refuse_what_needs_float64(model.name)
        done += feed.rows
        if progress is not None:
            progress(done, total)
    if (
        data is not None and reference is None
    ):  # a layer within the model may compute nothing but -inf, as for a mask
        check.findings.refuse_what_is_not_finite(len(data[0]))
    check.findings.notes += check.findings.not_finite()
    differences = check.findings.differences()
    if not all(difference.within for difference in differences):
        check.allow_for_movement({difference.data for difference in differences if not difference.within})
        differences = check.findings.differences()
    if not all(difference.is_exact for difference in differences):
        note = check.allow_for_sums(feeds)
        differences = check.findings.differences()
        if note is not None and all(difference.is_exact for difference in differences):
            check.findings.notes.append(note)
    return Parity(
        atol,
        rtol,
        source,
        differences,
        oracle=check.oracle.name,
        rows=sum(feed.rows for feed in feeds if feed.is_regular) if data is None else len(data[0]),
        notes=list(dict.fromkeys([*evaluator.notes, *check.findings.notes, *check.findings.not_judged()])),
        seconds=time.monotonic() - start,
        peak_memory=peak_memory(),
        examples=check.judged_examples(),
        keras_dtypes=policies,
        own_error=check.own_error,
    )


def _open(model: keras.Model, conversion: Conversion, *, optimize: bool) -> onnxruntime.InferenceSession:
    """A session whose last outputs are the rounded values of a quantized model."""
    with with_rounded_values(conversion.proto) if rounds_inputs(model) else contextlib.nullcontext():
        return open_graph(conversion.proto, conversion.weights, optimize=optimize)


def _check_backend(model: keras.Model) -> None:
    backend = keras.backend.backend()
    has_text = any(str(x.dtype) == "string" for x in keras.tree.flatten(model.inputs))
    if has_text and backend != "tensorflow":
        raise UserError(
            f"model {model.name!r}: expected Keras on TensorFlow, since its inputs are strings, got Keras on "
            f"{backend}; export it with KERAS_BACKEND=tensorflow"
        )


def _run_keras(evaluator: Evaluator | ReferenceEvaluator, feed: Feed, model: keras.Model) -> list[np.ndarray]:
    try:
        return evaluator(feed.make())
    except Exception as error:  # layers and backends raise anything
        raise UserError(
            f"model {model.name!r}: expected inputs that Keras can run, but it fails on {feed.kind} of the data: "
            f"{reason_of(error)}"
        ) from error


@dataclass(frozen=True)
class _Reference:
    """What the outputs of a graph are compared with on one batch.

    Attributes:
        keras: the outputs and logits of Keras in its own precision.
        in_float32: those of Keras in float32.
        exact: the true ones.
        errors: what is to be added to the errors of Keras.
        rounded: the rounded values of the graph that they follow.
    """

    keras: Inputs
    in_float32: Inputs
    exact: Inputs
    errors: list[float]
    rounded: Inputs


def _same(one: Inputs, other: Inputs) -> bool:
    return len(one) == len(other) and all(map(np.array_equal, one, other))


@dataclass
class _Check:
    """What is compared, and what has been found so far.

    Attributes:
        unusual: for inputs that the model wasn't made for, their kind, the inputs, and what outputs are compared with.
    """

    model: keras.Model
    conversion: Conversion
    evaluator: Evaluator | ReferenceEvaluator
    oracle: Oracle
    findings: Findings
    sessions: Mapping[str, tuple[onnxruntime.InferenceSession, list[int]]]
    declared: Mapping[Tensor, str]
    examples: list[Example] = field(default_factory=list)
    example_moves: list[list[float]] = field(default_factory=list)
    unusual: list[tuple[str, Inputs, _Reference]] = field(default_factory=list)
    dtypes: dict[Tensor, str] = field(default_factory=dict)
    own_error: float = 0.0

    def __post_init__(self) -> None:
        """Name the tensors that are compared, in the order in which the evaluator returns them."""
        names, heads = self.conversion.outputs, self.evaluator.heads
        self.tensors = [*((name, OUTPUT) for name in names), *((names[index], LOGITS) for index in heads)]
        graph_outputs = zip(names, self.conversion.proto.graph.output, strict=True)
        self.indices = {name for name, value in graph_outputs if value.type.tensor_type.elem_type in INDICES}
        _, logits = self.sessions["off"]
        self.findings.notes += [
            f"the logits of {names[index]!r} were not compared: the graph has none"
            for index in heads
            if index not in logits
        ]

    def compare(self, feed: Feed) -> None:
        """Run Keras, the oracle and the graph on some inputs."""
        arrays = feed.make()
        try:
            keras_outputs = self.evaluator(arrays)
        except Exception:
            if feed.optional:
                return
            _run_keras(self.evaluator, feed, self.model)
            raise
        if feed.optional and feed.is_regular and not computes(keras_outputs):
            return
        if not self.dtypes:  # logits have no dtype of their own
            names = (
                x.dtype.name if kind == OUTPUT else "float32"
                for x, (_, kind) in zip(keras_outputs, self.tensors, strict=True)
            )
            self.dtypes = dict(zip(self.tensors, names, strict=True))
        fed = dict(zip(self.conversion.inputs, graph_inputs(self.conversion, arrays), strict=True))
        references: list[_Reference] = []
        for optimizations, (session, logits) in self.sessions.items():
            got, rounded = self._run(session, fed, logits, feed)
            if not references or not _same(rounded, references[-1].rounded):
                with rounding_as(self.model, rounded):
                    references.append(self._reference(arrays, keras_outputs, rounded))
                    if len(references) == 1:
                        self._add_truths(feed, references[0])
            exact, in_float32 = references[-1].exact, references[-1].in_float32
            for tensor, t, k, own in zip(self.tensors, exact, in_float32, keras_outputs, strict=True):
                if tensor in got:
                    _check_type(tensor, got[tensor], own, self.declared.get(tensor))
                    self.findings.add_output(tensor, feed.kind, optimizations, got[tensor], t, k)
        if feed.kind in NUDGES or feed.kind == OUT_OF_RANGE:
            self.unusual.append((feed.kind, arrays, references[0]))
        if feed.is_regular and len(self.examples) < EXAMPLES:
            graph_names = [output.name for output in self.conversion.proto.graph.output]
            random = random_outputs(self.conversion.proto)
            exact, moves = references[0].exact, [0.0] * len(references[0].exact)
            if references[0].rounded:  # elsewhere, other numbers are rounded up or down
                moves = self.oracle.movement(arrays, exact, OTHER_ROUNDING)
            in_graph = [to_graph(x, self.conversion.options.output_layout) for x in exact]
            outputs = {name: x for name, x in zip(graph_names, in_graph, strict=False) if name not in random}
            if outputs:
                self.examples.append(Example(feed.kind, fed, outputs, {}))
                self.example_moves.append(moves)

    def allow_for_movement(self, kinds: set[str]) -> None:
        """Measure how far the truth moves on inputs of these kinds that the model wasn't made for, and allow for it."""
        for kind, arrays, reference in self.unusual:
            if kind in kinds:
                with rounding_as(self.model, reference.rounded):
                    nudge = NUDGES.get(kind, self.oracle.nudge)
                    moves = self.oracle.movement(arrays, reference.exact, nudge)
                for tensor, move in zip(self.tensors, moves, strict=True):
                    self.findings.add_movement(tensor, kind, move)

    def allow_for_sums(self, feeds: Sequence[Feed]) -> str | None:
        """Measure what the runtime's sums lose, and allow for it. Returns that in words; None if the graph has none."""
        proto = self.conversion.proto
        with with_fixed_numbers(proto), with_float64_sums(proto) as has_sums:
            if not has_sums:
                return None
            with with_logits(proto, self.evaluator.heads) as logits:
                in_float64 = _open(self.model, self.conversion, optimize=False)
        in_float32, _ = self.sessions["off"]
        largest = dict.fromkeys(self.tensors, 0.0)
        for feed in feeds:
            arrays = graph_inputs(self.conversion, feed.make())
            fed = dict(zip(self.conversion.inputs, arrays, strict=True))
            try:
                got, wide = (self._run(session, fed, logits, feed)[0] for session in (in_float32, in_float64))
            except CheckError:
                if feed.optional:  # Keras refuses it as well
                    continue
                raise
            for tensor, array in got.items():
                error = self.findings.add_sums(tensor, feed.kind, array, wide.get(tensor, array))
                largest[tensor] = max(largest[tensor], error)
        (name, _), error = max(largest.items(), key=lambda item: item[1])
        return f"onnxruntime's float32 sums over many numbers move {name!r} by up to {error:.1e}, which is allowed for"

    def _keras_output(self, tensor: Tensor, array: np.ndarray) -> np.ndarray:
        """An output of the graph, or its logits, in Keras' layout. What goes into an ArgMax has that layout."""
        name, kind = tensor
        is_index = kind == LOGITS and name in self.indices
        return array if is_index else to_keras(array, self.conversion.options.output_layout)

    def _reference(self, arrays: Inputs, keras_outputs: Inputs, rounded: Inputs) -> _Reference:
        if rounded:  # Keras rounds as the graph does, where either way is right
            keras_outputs = self.evaluator(arrays)
        in_float32 = self.oracle.in_float32(arrays, keras_outputs)
        exact, errors = self.oracle.truth(arrays, in_float32)
        exact, in_float32 = (
            [in_range(x, self.dtypes[tensor]) for tensor, x in zip(self.tensors, values, strict=True)]
            for values in (exact, in_float32)
        )
        return _Reference(keras_outputs, in_float32, exact, errors, rounded)

    def _add_truths(self, feed: Feed, reference: _Reference) -> None:
        """Note how large the true values of a batch are, and how far Keras' own are from them."""
        if feed.is_regular:
            errors = map(_largest_difference, reference.keras, reference.exact)
            self.own_error = max(self.own_error, *errors)
        batch = zip(self.tensors, reference.exact, reference.in_float32, reference.errors, strict=True)
        for tensor, t, k, error in batch:
            self.findings.add_truth(tensor, feed.kind, self.dtypes[tensor], t, k, error)

    def _run(
        self,
        session: onnxruntime.InferenceSession,
        fed: dict[str, np.ndarray],
        logits: list[int],
        feed: Feed,
    ) -> tuple[dict[Tensor, np.ndarray], Inputs]:
        """The outputs and logits of a graph, and its rounded values."""
        names = self.conversion.outputs
        tensors = [*((name, OUTPUT) for name in names), *((names[index], LOGITS) for index in logits)]
        try:
            values = session.run(None, fed)
            pairs = zip(tensors, values, strict=False)
            rounded = values[len(tensors) :]
            return {tensor: self._keras_output(tensor, array) for tensor, array in pairs}, rounded
        except Exception as error:  # onnxruntime's exceptions have no common base
            if feed.kind == OUT_OF_RANGE:  # where Keras takes an id that no embedding has, a runtime need not
                self.findings.notes.append(
                    f"onnxruntime refuses inputs that are out of range: {reason_of(error)}"
                )
                return {}, []
            raise CheckError(
                f"onnxruntime fails on {feed.kind} where Keras computes a result: {reason_of(error)}; nothing was "
                "written"
            ) from error

    def judged_examples(self) -> list[Example]:
        """The examples, with what each output may be off."""
        result = []
        names = [output.name for output in self.conversion.proto.graph.output]
        for example, moves in zip(self.examples, self.example_moves, strict=True):
            found = self.findings.allowances(example.kind, self.conversion.outputs, moves)
            allowed = dict(zip(names, found, strict=False))
            result.append(replace(example, allowances={name: allowed[name] for name in example.outputs}))
        return result


def _declared_dtypes(model: keras.Model, conversion: Conversion) -> dict[Tensor, str]:
    """The dtypes that Keras declares for the outputs; some layers return another."""
    symbols = keras.tree.flatten(model.outputs)
    return {(name, OUTPUT): str(x.dtype) for name, x in zip(conversion.outputs, symbols, strict=False)}


def _check_type(tensor: Tensor, got: np.ndarray, expected: np.ndarray, declared: str | None) -> None:
    """Compare shape and dtype; text is an object array in NumPy, and logits have no dtype of their own."""
    name, kind = tensor
    if got.shape != expected.shape:
        raise CheckError(
            f"output {name!r}: expected {kind} of shape {expected.shape} as in Keras, got {got.shape}"
        )
    is_text = expected.dtype.kind in "OUS"
    dtype = np.dtype(np.float32) if expected.dtype.name == "bfloat16" else expected.dtype  # NumPy has none
    if kind != OUTPUT or is_text or got.dtype.name == declared:
        return
    if not same_dtype(got.dtype, dtype):
        raise CheckError(f"output {name!r}: expected dtype {dtype} as in Keras, got {got.dtype}")


def _largest_difference(keras_output: np.ndarray, exact: np.ndarray) -> float:
    """How far Keras' own output is from the truth, where both are finite numbers; infinite where Keras' is not."""
    if exact.dtype.kind in "OUS":
        return 0.0
    k, t = keras_output.astype(np.float64), exact.astype(np.float64)
    finite = np.isfinite(t)
    error = np.abs(np.subtract(k, t, where=finite, out=np.zeros(t.shape)))
    return float(np.max(np.where(np.isnan(error), np.inf, error), initial=0))
