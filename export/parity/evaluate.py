"""What Keras computes: a model's outputs and its logits, in the model's own precision or in float64.

Logits are what goes into a final softmax, sigmoid or argmax. Probabilities that are all 0 or 1 say little about the
graph before them; logits still do.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from export.keras_graph import functional, graph_of, has_graph, interpret, masked_inputs
from export.parity.oracle import Inputs
from export.precision import NotExact, Weights, evaluate_in
from export.random_numbers import fixed_numbers, random_numbers_of

# A call within a model: the id of its first output, after those of the calls of the models that it is in.
Path = tuple[int, ...]

_SQUASHING = (keras.activations.softmax, keras.activations.log_softmax, keras.activations.sigmoid)
_SQUASHING_OPERATIONS = ("Softmax", "LogSoftmax", "Sigmoid", "Argmax")
# Layers whose activation is the last thing that they compute.
_LAST_IS_ACTIVATION = (
    *("Dense", "EinsumDense", "Conv1D", "Conv2D", "Conv3D", "DepthwiseConv1D", "DepthwiseConv2D"),
    *("SeparableConv1D", "SeparableConv2D", "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"),
)
_SHAPING = ("Reshape", "Flatten", "Permute", "Identity", "Dropout")


@dataclass(frozen=True)
class Head:
    """Where the logits of an output are.

    Attributes:
        path: the call that squashes them.
        is_activation: they are what a layer computes before its activation; otherwise the call's input.
        after: the layers from that call to the output; they change the shape alone.
    """

    path: Path
    is_activation: bool
    after: tuple[Any, ...]


def find_heads(model: keras.Model) -> dict[int, Head]:
    """The logits of each output that a softmax, sigmoid or argmax makes, by the output's index."""
    graph = functional(model)
    outputs = keras.tree.flatten(graph.outputs) if graph is not None else []
    heads = {index: _find_head(tensor, (), ()) for index, tensor in enumerate(outputs)}
    return {index: head for index, head in heads.items() if head is not None}


def _find_head(tensor: Any, path: Path, after: tuple[Any, ...]) -> Head | None:
    operation, node_index, tensor_index = tensor._keras_history
    node = operation._inbound_nodes[node_index]
    if node.is_input:
        return None
    here = (*path, id(node.outputs[0]))
    graph = _graph(operation)
    if graph is not None:
        return _find_head(keras.tree.flatten(graph.outputs)[tensor_index], here, after)
    kind = _keras_class(operation)
    if len(node.input_tensors) > 1:  # a mask is applied to the logits besides
        return None
    squashes = getattr(operation, "activation", None) in _SQUASHING
    of_one_axis = getattr(operation, "axis", None) is not None and "float" in node.input_tensors[0].dtype
    if kind == "Argmax" and not of_one_axis:  # the graph has other numbers before its ArgMax
        return None
    if kind in _LAST_IS_ACTIVATION and squashes:
        return Head(here, True, after)
    if kind in _SQUASHING_OPERATIONS or (kind == "Activation" and squashes):
        return Head(here, False, after)
    if kind in _SHAPING:
        return _find_head(node.input_tensors[0], path, (operation, *after))
    return None


def _keras_class(operation: Any) -> str:
    """The name of a class of Keras' own; empty for a custom one, also if its name is the same."""
    kind = type(operation)
    return kind.__name__ if kind.__module__.startswith("keras.") else ""


def _graph(operation: Any) -> Any | None:
    return functional(operation) if isinstance(operation, keras.Model) and has_graph(operation) else None


@dataclass
class Evaluator:
    """Evaluates a model on arrays: its outputs, then the logits of `heads`, as flat lists of arrays.

    The graph that Keras keeps is evaluated node by node where there is one. If that gives anything but what calling
    the model gives, which a subclass with a `call` of its own may do, the model is called and has no logits.

    Attributes:
        model: the model.
        heads: the logits that are evaluated, by output.
        notes: what could not be evaluated and why.
    """

    model: keras.Model
    heads: dict[int, Head] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    _by_nodes: bool | None = None

    def __post_init__(self) -> None:
        """Find the logits."""
        self.heads = find_heads(self.model)

    def __call__(self, arrays: Inputs, scope: keras.StatelessScope | None = None) -> list[np.ndarray]:
        """Evaluate in the model's own precision, without a change of its state."""
        with scope or keras.StatelessScope(), random_numbers_of(fixed_numbers()):
            return self._first(arrays) if self._by_nodes is None else self._again(arrays)

    def exactly(self, arrays: Inputs) -> list[np.ndarray]:
        """Evaluate in float64; after a call in the model's own precision.

        Raises:
            NotExact: a layer insists on another precision.
        """
        return evaluate_in("float64", self.model, lambda x: self._again(x, "float64"), arrays)

    def in_float32(self, arrays: Inputs, weights: Weights = ()) -> list[np.ndarray]:
        """Evaluate in float32, with other values of some variables; after a call in the model's own precision.

        Raises:
            NotExact: a layer insists on another precision.
        """
        return evaluate_in("float32", self.model, lambda x: self._again(x, "float32"), arrays, weights)

    def _again(self, arrays: Inputs, dtype: str | None = None) -> list[np.ndarray]:
        return _numpy(_Walk(self.heads, dtype)(self.model, arrays) if self._by_nodes else self._call(arrays))

    def _first(self, arrays: Inputs) -> list[np.ndarray]:
        """Call the model, and evaluate it node by node to see whether that gives the same."""
        called = _numpy(self._call(arrays))
        self._by_nodes = False
        if functional(self.model) is not None:
            walked = _numpy(_Walk(self.heads, None)(self.model, arrays))
            if all(map(_same, called, walked)):
                self._by_nodes = True
                return walked
            self.notes.append(
                "logits were not compared: the model's call computes something else than its layers"
            )
        self.heads = {}
        return called

    def _call(self, arrays: Inputs) -> list[Any]:
        structured = keras.tree.pack_sequence_as(graph_of(self.model).input, arrays)
        return keras.tree.flatten(self.model(structured, training=False))


class ReferenceEvaluator:
    """Evaluates a function of a model's layers, in the model's own precision or in float64; it has no logits."""

    def __init__(self, model: keras.Model, reference: Callable[[Inputs], list[np.ndarray]]) -> None:
        self.model = model
        self.reference = reference
        self.heads: dict[int, Head] = {}
        self.notes: list[str] = []

    def __call__(self, arrays: Inputs, scope: keras.StatelessScope | None = None) -> list[np.ndarray]:
        """Evaluate in the model's own precision, without a change of its state."""
        with scope or keras.StatelessScope(), random_numbers_of(fixed_numbers()):
            return self.reference(arrays)

    def exactly(self, arrays: Inputs) -> list[np.ndarray]:
        """Evaluate in float64.

        Raises:
            NotExact: a layer insists on another precision.
        """
        return evaluate_in("float64", self.model, self.reference, arrays)

    def in_float32(self, arrays: Inputs, weights: Weights = ()) -> list[np.ndarray]:
        """Evaluate in float32, with other values of some variables.

        Raises:
            NotExact: a layer insists on another precision.
        """
        return evaluate_in("float32", self.model, self.reference, arrays, weights)


class _Walk:
    """One evaluation of a model, node by node; in its own precision if `dtype` is None."""

    def __init__(self, heads: Mapping[int, Head], dtype: str | None) -> None:
        self.heads = heads
        self.dtype = dtype
        self.calls = {head.path: head for head in heads.values()}
        self.logits: dict[Path, Any] = {}

    def __call__(self, model: keras.Model, arrays: Inputs) -> list[Any]:
        graph = functional(model)
        symbolic = keras.tree.flatten(graph.inputs)  # type: ignore[union-attr]
        tensors = [self._input(array, x) for array, x in zip(arrays, symbolic, strict=True)]
        outputs = self._run(graph, tensors, ())
        for head in self.heads.values():
            value = self.logits[head.path]
            for layer in head.after:
                value = layer(value)
            outputs.append(value)
        return outputs

    def _input(self, array: np.ndarray, symbolic: Any) -> Any:
        if array.dtype.kind in "OUS":
            return keras.ops.convert_to_tensor(array.tolist(), dtype="string")
        dtype = self.dtype if self.dtype and "float" in str(symbolic.dtype) else symbolic.dtype
        return keras.ops.convert_to_tensor(array, dtype=dtype)

    def _run(self, graph: Any, inputs: Sequence[Any], path: Path) -> list[Any]:
        def evaluate(operation: Any, args: Any, kwargs: Any, symbolic: list[Any]) -> list[Any]:
            here = (*path, id(symbolic[0]))
            inner = _graph(operation)
            if inner is not None:
                return self._run(inner, masked_inputs(args, kwargs), here)
            if _takes_training(
                operation
            ):  # as Keras has it: what a call recorded gives way to the model's mode
                kwargs = {**kwargs, "training": False}
            outputs = self._evaluate(operation, args, kwargs, self.calls.get(here))
            if self.dtype is not None:
                _check_precision(operation, self.dtype, _tensors(args, kwargs), outputs)
            return outputs

        return interpret(graph, inputs, evaluate)

    def _evaluate(self, operation: Any, args: Any, kwargs: Any, head: Head | None) -> list[Any]:
        if head is not None and head.is_activation:
            activation = operation.activation
            with _without_activation(operation):
                self.logits[head.path] = operation(*args, **kwargs)
            return [activation(self.logits[head.path])]
        if head is not None:
            self.logits[head.path] = _tensors(args, kwargs)[0]
        if self.dtype and _keras_class(operation) == "Cast" and "float" in str(operation.dtype):
            return [keras.ops.cast(_tensors(args, kwargs)[0], self.dtype)]
        return keras.tree.flatten(operation(*args, **kwargs))


@contextlib.contextmanager
def _without_activation(layer: Any) -> Iterator[None]:
    activation = layer.activation
    layer.activation = keras.activations.linear
    try:
        yield
    finally:
        layer.activation = activation


def _takes_training(operation: Any) -> bool:
    return isinstance(operation, keras.Layer) and "training" in inspect.signature(operation.call).parameters


def _tensors(args: Any, kwargs: Any) -> list[Any]:
    return [x for x in keras.tree.flatten((args, kwargs)) if keras.ops.is_tensor(x)]


def _check_precision(operation: Any, dtype: str, inputs: list[Any], outputs: list[Any]) -> None:
    dtypes = [keras.backend.standardize_dtype(x.dtype) for x in (*inputs, *outputs)]
    given, returned = dtypes[: len(inputs)], dtypes[len(inputs) :]
    wrong = next((one for one in returned if "float" in one and one != dtype), None)
    if dtype in given and wrong is not None:
        raise NotExact(f"layer {operation.name!r} ({type(operation).__name__}) insists on {wrong}")


def _numpy(tensors: list[Any]) -> list[np.ndarray]:
    return [keras.ops.convert_to_numpy(tensor) for tensor in tensors]


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    if a.dtype.kind != "f":
        return bool(np.array_equal(a, b))
    size = float(np.max(np.abs(a[np.isfinite(a)]), initial=0))
    return a.shape == b.shape and np.allclose(a, b, rtol=1e-4, atol=1e-5 * size, equal_nan=True)
