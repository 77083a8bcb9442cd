"""Models without inputs of their own: subclasses with a `call`, and those that were built by data."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import pytest
from keras import layers as L
from keras import ops

from export.convert import Conversion, Options, convert
from export.errors import UserError
from export.export import check_layerwise, export_model
from export.interface import parse_inputs, with_inputs
from export.parity import check_parity
from tests.export.helpers import kinds


class OneInput(keras.Model):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.hidden, self.head = L.Dense(6, activation="relu"), L.Dense(3, activation="softmax")

    def call(self, x: Any, training: bool = False) -> Any:
        return self.head(self.hidden(x))


class DictOfInputs(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.dense, self.embedding = L.Dense(2), L.Embedding(9, 2)

    def call(self, inputs: Any) -> Any:
        return {"scores": self.dense(inputs["numbers"]), "vectors": self.embedding(inputs["ids"])}


class TwoArguments(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = L.Dense(2), L.Dense(2)

    def call(self, query: Any, key: Any) -> Any:
        return self.one(query), [self.two(key)]


class ClassToken(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.dense, self.head = L.Dense(4), L.Dense(5, activation="softmax")

    def build(self, input_shape: Any) -> None:
        self.token = self.add_weight(shape=(1, 1, 4), name="token")
        self.dense.build(input_shape)
        self.head.build((None, 4))

    def call(self, x: Any) -> Any:
        x = self.dense(x)
        token = ops.broadcast_to(self.token, (ops.shape(x)[0], 1, 4))
        x = ops.concatenate([token, x], axis=1)
        half = ops.shape(x)[1] // 2
        x = ops.concatenate([x[:, half:], x[:, :half]], axis=1)
        return self.head(ops.mean(ops.reshape(x, (ops.shape(x)[0], -1, 4)), axis=1))


class ByTensorFlow(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.dense = L.Dense(2)

    def call(self, x: Any) -> Any:
        import tensorflow as tf

        return tf.nn.relu(self.dense(x))


class FunctionalWithCall(keras.Model):
    def __init__(self) -> None:
        inputs = keras.Input((4,))
        super().__init__(inputs, L.Dense(3)(inputs))

    def call(self, inputs: Any) -> Any:
        return 2 * super().call(inputs)


def called(model: keras.Model, *args: Any, **kwargs: Any) -> keras.Model:
    model(*args, **kwargs)
    return model


def after_predict() -> keras.Model:
    model = keras.Sequential([L.Dense(3)])
    model.predict(np.zeros((2, 5), "float32"), verbose=0)
    return model


NUMBERS, IDS = np.zeros((2, 4), "float32"), np.zeros((2, 3), "int32")
SPEC = keras.InputSpec
CASES: dict[str, tuple[Any, Any, str, list[str], list[str]]] = {
    # model, inputs, route, names of the inputs, names of the outputs
    "built by data": (lambda: called(OneInput(), NUMBERS), None, "direct", ["x"], ["probabilities"]),
    "built by a shape": (
        lambda: (m := OneInput(), m.build((None, 4)))[0],
        None,
        "direct",
        ["x"],
        ["probabilities"],
    ),
    "an array": (OneInput, NUMBERS, "direct", ["x"], ["probabilities"]),
    "a keras.Input": (OneInput, keras.Input((None, 4)), "direct", ["x"], ["probabilities"]),
    "a keras.InputSpec": (OneInput, SPEC(shape=(None, 6)), "direct", ["x"], ["probabilities"]),
    "dict": (
        DictOfInputs,
        {"numbers": NUMBERS, "ids": IDS},
        "direct",
        ["ids", "numbers"],
        ["scores", "vectors"],
    ),
    "dict, built by data": (
        lambda: called(DictOfInputs(), {"numbers": NUMBERS, "ids": IDS}),
        *(None, "direct", ["ids", "numbers"], ["scores", "vectors"]),
    ),
    "two arguments": (
        TwoArguments,
        *({"query": NUMBERS, "key": SPEC(shape=(None, 5))}, "direct", ["key", "query"], ["dense", "dense_1"]),
    ),
    "Sequential after predict": (after_predict, None, "direct", ["inputs"], ["dense"]),
    "Sequential": (lambda: keras.Sequential([L.Dense(3)]), NUMBERS, "direct", ["inputs"], ["dense"]),
    "dynamic sizes": (ClassToken, SPEC(shape=(None, None, 3)), "direct", ["x"], ["probabilities"]),
    "TensorFlow's functions": (ByTensorFlow, NUMBERS, "mixed", ["x"], ["by_tensor_flow"]),
    "Functional with a call": (FunctionalWithCall, None, "direct", ["inputs"], ["multiply"]),
}


def names(values: Any) -> list[str]:
    return [value.name for value in values]


def check(model: keras.Model, inputs: Any = None) -> Conversion:
    options = Options(inputs=inputs)
    conversion = convert(model, options)
    parity = check_parity(model, conversion, quick=True)
    assert parity.passed, parity.table()
    for value in (*conversion.model.graph.input, *conversion.model.graph.output):
        assert value.type.tensor_type.shape.dim[0].dim_param == "batch"
    return conversion


@pytest.mark.parametrize("case", CASES)
def test_model_without_inputs(case: str) -> None:
    keras.backend.clear_session()  # layers are numbered anew
    make, inputs, route, input_names, output_names = CASES[case]
    conversion = check(make(), inputs)
    assert conversion.route == route
    assert names(conversion.model.graph.input) == input_names
    assert names(conversion.model.graph.output) == output_names


def test_layers_of_a_subclass_form_the_graph() -> None:
    model = called(OneInput(), NUMBERS)
    conversion = check(model)
    assert kinds(conversion) == ["Gemm", "Relu", "Gemm", "Softmax"]
    parity = check_parity(model, conversion, quick=True)
    assert any("logits" in difference.name for difference in parity.differences)
    _, first = check_layerwise(model, Options(), quick=True)
    assert first is None


def test_call_that_its_layers_do_not_explain_is_the_truth() -> None:
    """A wrong record of `call` must not pass for the model."""

    class Undecided(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = L.Dense(2)

        def call(self, x: Any) -> Any:
            y = self.dense(x)
            return y if isinstance(y, keras.KerasTensor) else y + 1

    model = called(Undecided(), NUMBERS)
    parity = check_parity(model, convert(model), quick=True)
    assert not parity.passed


def test_subclass_with_a_call_within_a_model() -> None:
    inputs = keras.Input((4,))
    check(keras.Model(inputs, FunctionalWithCall()(inputs)))
    check(keras.Model(inputs, called(OneInput(), NUMBERS)(inputs)))


def test_structures_of_a_functional_model() -> None:
    one, two = keras.Input((4,), name="left"), keras.Input((4,), name="right")
    outputs = {"sum": L.Add()([one, two]), "parts": [L.Dense(2)(one), two], "pair": (one, two)}
    conversion = check(keras.Model({"images": {"a": one, "b": two}}, outputs))
    assert conversion.inputs == ["images_a", "images_b"] == names(conversion.model.graph.input)
    assert conversion.outputs == ["pair_0", "pair_1", "parts_0", "parts_1", "sum"]
    assert names(conversion.model.graph.output) == conversion.outputs


def test_a_saved_model_is_exported_by_its_file(tmp_path: Path) -> None:
    model = called(OneInput(), NUMBERS)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", custom_objects={"OneInput": OneInput})
    done = export_model(loaded, tmp_path / "model.onnx", quick=True)
    assert names(onnx.load(done.path).graph.input) == ["x"]


@pytest.mark.parametrize(
    ("make", "inputs", "message"),
    [
        (OneInput, None, r"\(OneInput\): expected a model with known inputs, got one that was never called"),
        (TwoArguments, None, r"as in --input-shape query=28,28,1"),
        (
            lambda: called(TwoArguments(), NUMBERS, NUMBERS),
            None,
            r"it can't be called on inputs of shape \(4,\)",
        ),
        (
            lambda: keras.Sequential([L.Conv2D(2, 3)]),
            NUMBERS,
            r"it can't be called on inputs of shape \(4,\): ",
        ),
        (
            lambda: keras.Sequential([keras.Input((4,)), L.Dense(2)]),
            IDS,
            r"its own inputs of shape \(4,\), got \(3,\)",
        ),
    ],
)
def test_unknown_or_wrong_inputs(make: Any, inputs: Any, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        with_inputs(make(), inputs)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("texts", "shapes", "dtypes"),
    [
        (["28,28,1"], {"": (None, 28, 28, 1)}, {"": "float32"}),
        (["?:int32"], {"": (None, None)}, {"": "int32"}),
        ([":string"], {"": (None,)}, {"": "string"}),
        (["a=3", "b=?,4:uint8"], {"a": (None, 3), "b": (None, None, 4)}, {"a": "float32", "b": "uint8"}),
    ],
)
def test_inputs_of_the_command_line(texts: list[str], shapes: Any, dtypes: Any) -> None:
    specs = parse_inputs(texts)
    specs = specs if isinstance(specs, dict) else {"": specs}
    assert {name: spec.shape for name, spec in specs.items()} == shapes
    assert {name: spec.dtype for name, spec in specs.items()} == dtypes


@pytest.mark.parametrize(
    "texts", [["28x28"], ["3", "4"], ["a=3", "a=4"], ["a=-3"], ["3:complex"], ["3:int12"]]
)
def test_wrong_inputs_of_the_command_line(texts: list[str]) -> None:
    with pytest.raises(UserError, match=r"^--input-shape .*: expected "):
        parse_inputs(texts)


def test_no_inputs_of_the_command_line() -> None:
    assert parse_inputs([]) is None
