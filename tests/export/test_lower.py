"""lower_model: nested and shared models, custom layers, training."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from export.builder import Builder, Tensor
from export.convert import Options, convert
from export.errors import Unsupported, UserError
from export.lower import lower_model
from export.lowerings import DEFAULT, Registry
from export.runtime import open_session
from tests.export.helpers import converted, functional, kinds, random_array, randomize, run

L = keras.layers


def test_nested_and_shared_models() -> None:
    block = keras.Sequential([L.Conv2D(4, 3, padding="same"), L.BatchNormalization(), L.ReLU()], name="block")
    inner_input = keras.Input((6, 6, 4))
    inner = keras.Model(inner_input, block(L.GroupNormalization(2)(inner_input)), name="inner")
    x = keras.Input((6, 6, 4), name="x")
    y = inner(inner(x))  # shared with itself
    model = randomize(keras.Model(x, L.Dense(3)(L.GlobalAveragePooling2D()(L.Add()([y, inner(x)])))))
    converted(model)
    converted(randomize(keras.Sequential([keras.Input((6, 6, 4)), inner, L.Flatten(), L.Dense(2)])))


def test_layer_called_with_training_is_refused() -> None:
    x = keras.Input((6,))
    model = keras.Model(x, L.Dropout(0.5, name="always")(x, training=True))
    with pytest.raises(
        ValueError,
        match=r"layer 'always' \(Dropout\): expected a model for inference, got a layer that is called with",
    ):
        convert(model)


def test_lower_within_a_lowering() -> None:
    class Twice(keras.layers.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.inner = L.Dense(4, activation="relu")

        def call(self, x: Any) -> Any:
            raise NotImplementedError  # the lowering must do without

        def compute_output_spec(self, x: Any) -> Any:
            return keras.KerasTensor(x.shape, x.dtype)

    registry = Registry()

    @registry.register_lowering(Twice)
    def lower_twice(g: Builder, layer: Twice, x: Tensor) -> Any:
        once, both = g.lower(lambda t: (layer.inner(t), [layer.inner(t) + t]), x)
        return g.lower(ops.add, g.lower(layer.inner, once), both[0])

    x = keras.Input((4,), name="x")
    twice = Twice(name="twice")
    twice.inner.build((None, 4))
    model = keras.Model(x, twice(x))
    conversion = convert(model, Options(lowerings=registry))
    assert kinds(conversion).count("Relu") == 2
    data = random_array(3, 4)
    inner = twice.inner(data)
    expected = twice.inner(inner) + inner + data
    (got,) = open_session(conversion.model.SerializeToString()).run(None, {"x": data})
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


# Custom layers


class Scale(keras.layers.Layer):
    """What a user writes: weights, layers within, and the variable on either side."""

    def build(self, shape: Any) -> None:
        self.gamma = self.add_weight(shape=(shape[-1],), name="gamma")
        self.inner = keras.layers.Dense(shape[-1], activation="relu")
        self.inner.build(shape)

    def call(self, x: Any, training: bool = False) -> Any:
        if training:
            x = x + 100.0
        return self.gamma * self.inner(x) + ops.mean(x, axis=-1, keepdims=True) * self.gamma


def test_custom_layer_is_lowered_by_its_operations() -> None:
    model = functional((6, 6, 4), L.Conv2D(4, 3), Scale(), L.Conv2D(2, 3))
    calls = [len(layer._inbound_nodes) for layer in model._flatten_layers()]
    product = keras.Variable.__mul__
    conversion = converted(model)
    assert conversion.route == "direct"
    assert keras.Variable.__mul__ is product
    assert [len(layer._inbound_nodes) for layer in model._flatten_layers()] == calls
    assert converted(model).model.graph.node[0].op_type == conversion.model.graph.node[0].op_type


def test_subclassed_model_within_a_functional_model() -> None:
    class Block(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = L.Dense(4, activation="tanh"), L.Dense(4)

        def call(self, x: Any) -> Any:
            return x + self.second(self.first(x))

    assert converted(functional((4,), Block(), L.Dense(2))).route == "direct"


def test_attention_whose_query_has_one_row() -> None:
    """Keras declares one row for its output, and computes one for each row of the values."""

    class Latent(keras.layers.Layer):
        def build(self, shape: Any) -> None:
            self.latent = self.add_weight(shape=(3, 4), name="latent")
            self.attention, self.own = L.Attention(), L.MultiHeadAttention(2, 2)

        def call(self, x: Any) -> Any:
            latent = ops.expand_dims(self.latent, 0)
            x = self.attention([latent, x]) + latent
            return ops.reshape(self.own(x, x), (-1, 12))

    assert converted(functional((5, 4), Latent(), L.Dense(2))).route == "direct"


def test_custom_layer_that_does_nothing_in_inference_writes_no_nodes() -> None:
    class Noise(keras.layers.Layer):
        def call(self, x: Any, training: bool = False) -> Any:
            return x + keras.random.normal(ops.shape(x)) if training else x

    assert kinds(converted(functional((4,), L.Dense(4), Noise(), L.Dense(2)))) == ["Gemm", "Gemm"]


def test_custom_layer_that_trains_by_default_is_lowered_in_inference() -> None:
    class Noise(keras.layers.Layer):
        def call(self, x: Any, training: bool = True) -> Any:
            return x + keras.random.normal(ops.shape(x)) if training else x

    assert kinds(converted(functional((4,), L.Dense(4), Noise(), L.Dense(2)))) == ["Gemm", "Gemm"]


def test_operation_without_lowering_is_unsupported() -> None:
    inputs = keras.Input((4, 4))
    model = keras.Model(inputs, ops.svd(inputs, compute_uv=False))
    with pytest.raises(
        UserError,
        match=r"\(SVD\): unsupported operation; add a lowering with export\.lowerings\.register_operation",
    ):
        convert(model, Options(route="direct"))


# Names and the arguments of lowerings


def lower(
    model: keras.Model, *registries: Registry, observed: list[str] | None = None
) -> tuple[Builder, list[Tensor]]:
    g = Builder.of_new_graph(17)
    inputs = [
        g.tensor(g.op("Identity", 0.0), tuple(x.shape), dtype=str(x.dtype))
        for x in keras.tree.flatten(model.inputs)
    ]
    names = [] if observed is None else observed
    return g, lower_model(g, model, inputs, [*registries, DEFAULT], lambda name, outputs: names.append(name))


def test_observer_is_called_after_each_layer_of_nested_models() -> None:
    x = keras.Input((4,), name="x")
    inner = keras.Model(x, L.ReLU(name="relu")(L.Dense(3, name="dense")(x)), name="inner")
    observed: list[str] = []
    g, [output] = lower(functional((4,), inner, L.Dense(2, name="end")), observed=observed)
    assert observed == ["inner/dense", "inner/relu", "inner", "end"]
    assert [node.name for node in g.graph] == [
        "Identity",
        "inner/dense/Gemm",
        "inner/relu/Relu",
        "end/Gemm",
    ]
    assert (output.shape, output.dtype) == ((None, 2), "float32")


def test_lowering_receives_the_context_of_its_call() -> None:
    seen: list[tuple[Any, ...]] = []
    mine = Registry()

    @mine.register_lowering(L.ReLU)
    def lower_relu(g: Builder, layer: keras.layers.ReLU, x: Tensor) -> Tensor:
        seen.append((g.name, g.output_shapes, g.output_dtypes, layer.name, x.shape))
        return x

    lower(functional((5, 3), L.ReLU(name="one"), L.Flatten(), L.ReLU(name="two")), mine)
    assert seen == [
        ("one", ((None, 5, 3),), ("float32",), "one", (None, 5, 3)),
        ("two", ((None, 15),), ("float32",), "two", (None, 15)),
    ]


def test_lowering_that_returns_something_else_is_unsupported() -> None:
    mine = Registry()
    mine.register_lowering(L.ReLU)(lambda g, layer, x: x.value)
    with pytest.raises(
        Unsupported,
        match=r"layer 'one' \(ReLU\): its lowering returned .*, expected a Tensor of shape \(None, 3\)",
    ):
        lower(functional((3,), L.ReLU(name="one")), mine)


def test_lowering_with_the_wrong_number_of_outputs_is_unsupported() -> None:
    mine = Registry()
    mine.register_lowering(L.ReLU)(lambda g, layer, x: [x, x])
    with pytest.raises(
        Unsupported, match=r"layer 'one' \(ReLU\): its lowering returned 2 outputs, expected 1$"
    ):
        lower(functional((3,), L.ReLU(name="one")), mine)


def test_lowering_that_fails_is_unsupported() -> None:
    mine = Registry()

    @mine.register_lowering(L.ReLU)
    def lower_relu(g: Builder, layer: keras.Layer, x: Tensor) -> Tensor:
        raise KeyError("alpha")

    with pytest.raises(
        Unsupported, match=r"layer 'one' \(ReLU\): its lowering .*lower_relu fails: KeyError: 'alpha'$"
    ):
        lower(functional((3,), L.ReLU(name="one")), mine)


class OwnDense(L.Dense):  # type: ignore[name-defined]
    pass


def test_quantized_layer_of_an_own_class_is_unsupported() -> None:
    model = functional((8,), OwnDense(4, name="one"))
    model.layers[1].quantize("int8", type_check=False)
    with pytest.raises(
        Unsupported, match=r"layer 'one' \(OwnDense\): it is quantized to int8; export the model before"
    ):
        lower(model)


@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_output_of_a_custom_layer_that_depends_on_no_input(dtype: str) -> None:
    class Positions(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return x, keras.ops.arange(x.shape[1], dtype=dtype)

    x = keras.Input((3,), name="x")
    got = run(converted(keras.Model(x, Positions()(x))), np.ones((2, 3), "float32"))
    np.testing.assert_array_equal(got[1], np.arange(3, dtype=dtype), strict=True)


def test_layers_that_are_called_by_keywords() -> None:
    class Named(keras.layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.dense, self.norm = L.Dense(4), L.LayerNormalization()
            self.attention = L.MultiHeadAttention(2, 2)

        def build(self, shape: Any) -> None:
            self.dense.build(shape)
            self.norm.build(shape)
            self.attention.build(shape, shape)

        def call(self, inputs: Any) -> Any:
            return self.attention(value=self.norm(inputs=inputs), query=self.dense(inputs=inputs))

    x = keras.Input((3, 4), name="x")
    converted(randomize(keras.Model(x, Named()(inputs=x))))


def test_layer_that_declares_another_rank() -> None:
    class Flat(keras.layers.Layer):
        def compute_output_shape(self, shape: Any) -> Any:
            return shape[:1]

        def call(self, x: Any) -> Any:
            return x * 2.0

    x = keras.Input((3,), name="x")
    conversion = convert(keras.Model(x, Flat()(x) + 1.0), Options(route="direct"))
    np.testing.assert_array_equal(run(conversion, np.ones((2, 3), "float32"))[0], np.full((2, 3), 3.0))
