"""The graph that Keras keeps of a model, and the trace of a custom layer's call."""

import threading
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from export.convert import Options, convert
from export.errors import Unsupported
from export.keras_graph import functional as functional_of
from export.keras_graph import graph_of, interpret, layer_outputs, nodes, traced_call
from tests.export.helpers import functional, random_array, run

L = keras.layers
OPERATORS = ("__add__", "__sub__", "__mul__", "__truediv__", "__matmul__", "__pow__")


class Gate(keras.layers.Layer):
    """A variable on the left of a symbolic tensor, which Keras' own operators can't multiply."""

    def build(self, shape: Any) -> None:
        self.gamma = self.add_weight(shape=(shape[-1],), name="gamma")

    def call(self, x: Any, training: bool = False) -> Any:
        y = self.gamma * ops.sigmoid(x) + 1.0
        return y + 100.0 if training else y


class Subclassed(keras.Model):
    def call(self, x: Any) -> Any:
        return x + 1


def nested_model() -> keras.Model:
    x = keras.Input((4,), name="x")
    inner = keras.Model(x, L.ReLU(name="relu")(L.Dense(3, name="dense")(x)), name="inner")
    return functional((4,), inner, L.Dense(2, name="end"))


# The graph


def test_functional_model_behind_a_sequential_model() -> None:
    model = functional((4,), L.Dense(3))
    assert functional_of(model) is model
    sequential = keras.Sequential([keras.Input((4,)), L.Dense(3)])
    assert functional_of(sequential) is not None
    assert functional_of(keras.Sequential([L.Dense(3)])) is None
    assert functional_of(Subclassed()) is None


def test_model_without_a_graph_is_unsupported() -> None:
    with pytest.raises(
        Unsupported, match="model 'empty' has not been built; give it an Input or call it once"
    ):
        graph_of(keras.Sequential([L.Dense(3)], name="empty"))
    with pytest.raises(
        Unsupported,
        match="model of class Subclassed is neither Functional nor Sequential, so Keras keeps no graph of it",
    ):
        graph_of(Subclassed())


def test_nodes_are_in_topological_order_without_inputs() -> None:
    x = keras.Input((4,), name="x")
    first = L.Dense(4, name="first")(x)
    model = keras.Model(x, L.Add(name="sum")([L.Dense(4, name="second")(first), first]))
    assert [node.operation.name for node in nodes(graph_of(model))] == ["first", "second", "sum"]


def test_interpret_evaluates_each_call_with_values_in_the_place_of_tensors() -> None:
    x = keras.Input((4,), name="x")
    layer = L.ReLU(name="relu")
    model = keras.Model(x, [L.Add(name="sum")([layer(x), layer(layer(x))]), x])
    calls: list[tuple[str, Any]] = []

    def evaluate(operation: Any, args: Any, kwargs: Any, symbolic: list[Any]) -> list[Any]:
        assert [tuple(one.shape) for one in symbolic] == [(None, 4)]
        calls.append((operation.name, args))
        return [f"{operation.name}({', '.join(map(str, keras.tree.flatten(args)))})"]

    outputs = interpret(graph_of(model), ["x"], evaluate)
    assert outputs == ["sum(relu(x), relu(relu(x)))", "x"]
    assert [name for name, _ in calls].count("relu") == 3


def test_layer_outputs_of_a_nested_model() -> None:
    model, x = nested_model(), ops.convert_to_tensor(random_array(3, 4))
    record = layer_outputs(model, [x])
    assert [name for name, _ in record] == ["inner/dense", "inner/relu", "inner", "end"]
    values = dict(record)
    np.testing.assert_array_equal(values["inner"], values["inner/relu"])
    np.testing.assert_array_equal(values["end"], model(x))


# The trace


def trace(layer: keras.layers.Layer) -> list[str]:
    """The operations that a layer's call consists of."""
    symbol = keras.Input((4,))
    with traced_call(layer, (symbol,), {}) as function:
        return [type(node.operation).__name__ for node in nodes(function)]


def gate() -> Gate:
    layer = Gate()
    layer.build((None, 4))
    return layer


def test_traced_call_records_operations_in_inference() -> None:
    assert trace(gate()) == ["Sigmoid", "Multiply", "Add"]


def test_traced_call_restores_the_operators_of_variables() -> None:
    original = {name: getattr(keras.Variable, name) for name in OPERATORS}
    trace(gate())
    assert {name: getattr(keras.Variable, name) for name in OPERATORS} == original


def test_traced_call_restores_the_operators_after_an_error() -> None:
    class Broken(Gate):
        def call(self, x: Any, training: bool = False) -> Any:
            raise RuntimeError("broken\nwith more lines")

    original = {name: getattr(keras.Variable, name) for name in OPERATORS}
    with pytest.raises(
        Unsupported, match=r"^its call can't be traced into keras\.ops: broken \(test_keras_graph\.py, line"
    ):
        trace(Broken())
    assert {name: getattr(keras.Variable, name) for name in OPERATORS} == original


def test_traced_calls_in_two_threads_restore_the_operators_of_variables() -> None:
    """The first trace is inside its call while the second one starts and while the second one waits."""
    first_is_tracing, second_has_started = threading.Event(), threading.Event()

    class Slow(Gate):
        def call(self, x: Any, training: bool = False) -> Any:
            first_is_tracing.set()
            assert second_has_started.wait(30)
            return super().call(x)

    slow, fast = Slow(), gate()
    slow.build((None, 4))
    original = {name: getattr(keras.Variable, name) for name in OPERATORS}
    found: dict[str, list[str]] = {}

    def second() -> None:
        assert first_is_tracing.wait(30)
        second_has_started.set()
        found["second"] = trace(fast)

    threads = [
        threading.Thread(target=lambda: found.update(first=trace(slow))),
        threading.Thread(target=second),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == {"first": ["Sigmoid", "Multiply", "Add"], "second": ["Sigmoid", "Multiply", "Add"]}
    assert {name: getattr(keras.Variable, name) for name in OPERATORS} == original


def test_traced_calls_in_many_threads() -> None:
    original = {name: getattr(keras.Variable, name) for name in OPERATORS}
    layers = [gate() for _ in range(8)]
    found: list[list[str]] = []
    start = threading.Barrier(len(layers))

    def work(layer: Gate) -> None:
        start.wait(30)
        found.extend(trace(layer) for _ in range(3))

    threads = [threading.Thread(target=work, args=(layer,)) for layer in layers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == [["Sigmoid", "Multiply", "Add"]] * 24
    assert {name: getattr(keras.Variable, name) for name in OPERATORS} == original


def test_traced_call_forgets_the_calls_of_inner_layers() -> None:
    class Outer(keras.layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.inner = L.Dense(4)

        def call(self, x: Any) -> Any:
            return self.inner(x)

    layer = Outer()
    symbol = keras.Input((4,))
    with traced_call(layer, (symbol,), {}):
        assert len(layer.inner._inbound_nodes) == 1
    assert layer.inner._inbound_nodes == []


def test_traced_call_with_a_dynamic_size_is_unsupported() -> None:
    class Repeats(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return ops.tile(x, (int(x.shape[0]), 1))

    with pytest.raises(Unsupported, match=r"its call can't be traced into keras\.ops: "):
        trace(Repeats())


class Brighten(keras.layers.Rescaling):
    """A custom preprocessing layer. Like Keras' own, it takes its functions from `self.backend`."""

    def call(self, x: Any) -> Any:
        return self.backend.numpy.clip(self.backend.cast(x, "float32") * self.scale, 0.0, 1.0)


def test_traced_call_of_a_layer_that_calls_its_backend() -> None:
    layer = Brighten(2.0)
    backend, symbol = layer.backend, keras.Input((3, 4, 2))
    with traced_call(layer, (symbol,), {}) as function:
        array = random_array(2, 3, 4, 2)
        [got] = interpret(function, [array], lambda operation, args, kwargs, _: [operation(*args, **kwargs)])
        np.testing.assert_allclose(got, np.clip(2 * array, 0, 1), rtol=1e-6, atol=0)
    assert layer.backend is backend


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("AutoContrast", {"value_range": (0, 1)}),
        (
            "ContrastLimitedAdaptiveHistogramEqualization",
            {"value_range": (0, 1), "tile_grid_size": (2, 3), "clip_limit": 2.0},
        ),
    ],
)
def test_preprocessing_layers_of_keras_are_traced(name: str, options: dict[str, Any]) -> None:
    if not hasattr(L, name):
        pytest.skip(f"this version of Keras has no {name}")
    x = keras.Input((7, 9, 3))
    model = keras.Model(x, getattr(L, name)(**options)(x))
    array = np.random.default_rng(0).uniform(0, 1, (2, 7, 9, 3)).astype("float32")
    array[0, :, :, 1] = 0.5  # nothing to stretch
    [got] = run(convert(model, Options(route="direct")), array)
    np.testing.assert_allclose(got, model(array, training=False), rtol=1e-4, atol=1e-5)


def test_bounding_boxes_are_cut_and_filled_up() -> None:
    images, boxes, labels = keras.Input((4, 4, 1)), keras.Input((5, 4)), keras.Input((5,), dtype="int32")
    data = {"images": images, "bounding_boxes": {"boxes": boxes, "labels": labels}}
    outputs = [
        L.MaxNumBoundingBoxes(number, bounding_box_format="xyxy")(keras.tree.map_structure(lambda x: x, data))
        for number in (3, 7)
    ]
    flat = [x["bounding_boxes"][name] for x in outputs for name in ("boxes", "labels")]
    model = keras.Model([images, boxes, labels], flat)
    arrays = random_array(2, 4, 4, 1), random_array(2, 5, 4), np.arange(10, dtype="int32").reshape(2, 5)
    for got, want in zip(
        run(convert(model, Options(route="direct")), *arrays),
        model(list(arrays), training=False),
        strict=True,
    ):
        np.testing.assert_array_equal(got, want)
