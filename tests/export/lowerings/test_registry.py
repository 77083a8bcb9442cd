"""The registry: which lowering a layer or an operation gets."""

import runpy
from typing import Any

import keras
import pytest

from export import lowerings
from export.builder import Builder, Tensor
from export.convert import Options, convert
from export.errors import UserError
from export.lowerings import DEFAULT, Registry, register_lowering, registry
from tests.export.helpers import converted, functional, kinds

L = keras.layers


@keras.saving.register_keras_serializable("tests")
class Swish2(keras.layers.Layer):
    def __init__(self, beta: float = 1.5, **options: Any) -> None:
        super().__init__(**options)
        self.beta = beta

    def call(self, x: Any) -> Any:
        return x * keras.ops.sigmoid(self.beta * x)


class Swish3(keras.layers.Layer):
    """Like Swish2, but nothing is registered for it in the default registry."""

    def call(self, x: Any) -> Any:
        return x * keras.ops.sigmoid(1.5 * x)


class DerivedSwish3(Swish3):
    pass


def lower_swish(g: Builder, layer: keras.layers.Layer, x: Tensor) -> Tensor:
    gate = g.op("Sigmoid", g.op("Mul", x.value, 1.5))
    return g.like(x, g.op("Mul", x.value, gate))


def lower_to_negative(g: Builder, layer: keras.Operation, x: Tensor) -> Tensor:
    return g.like(x, g.op("Neg", x.value))


def op_types(layer: Any, own: Registry | None = None) -> list[str]:
    """The operators of a model of one layer."""
    return kinds(convert(functional((4,), layer), Options(route="direct", lowerings=own)))


def test_register_lowering_in_the_default_registry() -> None:
    @register_lowering(Swish2, any_layout=True)
    def lower_swish2(g: Any, layer: Any, x: Any) -> Any:
        gate = g.op("Sigmoid", g.op("Mul", x.value, layer.beta))
        return g.like(x, g.op("Mul", x.value, gate))

    conversion = converted(functional((6, 6, 3), L.Conv2D(4, 3), Swish2(), L.Conv2D(2, 3)))
    assert conversion.route == "direct"
    assert kinds(conversion).count("Transpose") == 2


def test_subclass_of_a_keras_layer_is_not_lowered_as_its_parent() -> None:
    class Negative(keras.layers.ReLU):
        def call(self, x: Any) -> Any:
            return -super().call(x)

    assert kinds(converted(functional((4,), Negative()))) == ["Relu", "Neg"]
    assert DEFAULT.find(L.ReLU()) is not None
    assert DEFAULT.find(Negative()) is None


def test_subclass_of_a_custom_layer_is_lowered_as_its_parent() -> None:
    mine = Registry()
    mine.register_lowering(Swish3)(lower_swish)
    lowering = mine.find(DerivedSwish3())
    assert lowering is not None
    assert lowering.function is lower_swish
    assert op_types(DerivedSwish3(), mine) == ["Mul", "Sigmoid", "Mul"]


def test_options_lowerings_affect_one_conversion_only() -> None:
    mine = Registry()
    mine.register_lowering(Swish3)(lower_to_negative)
    traced = op_types(Swish3())
    assert op_types(Swish3(), mine) == ["Neg"]
    assert op_types(Swish3()) == traced != ["Neg"]
    assert DEFAULT.find(Swish3()) is None


def test_own_registry_comes_before_the_default_one() -> None:
    mine = Registry()
    mine.register_lowering(L.ReLU)(lower_to_negative)
    assert op_types(L.ReLU(), mine) == ["Neg"]
    assert op_types(L.ELU(), mine) == ["Elu"]  # from the default registry
    assert op_types(L.ReLU()) == ["Relu"]


def test_later_registration_replaces_an_earlier_one() -> None:
    mine = Registry()
    mine.register_lowering(Swish3)(lower_swish)
    mine.register_lowering(Swish3)(lower_to_negative)
    assert op_types(Swish3(), mine) == ["Neg"]


def test_register_lowering_returns_the_function() -> None:
    assert Registry().register_lowering(L.ReLU, L.ELU)(lower_to_negative) is lower_to_negative


@pytest.mark.parametrize("any_layout", [False, True])
def test_any_layout_saves_transposes(any_layout: bool) -> None:
    mine = Registry()
    mine.register_lowering(Swish3, any_layout=any_layout)(lower_swish)
    model = functional((6, 6, 3), L.Conv2D(4, 3), Swish3(), L.Conv2D(2, 3))
    assert kinds(converted(model, lowerings=mine)).count("Transpose") == (2 if any_layout else 4)


def test_register_operation_by_name() -> None:
    mine = Registry()
    mine.register_operation("square", "expand_dims")(lower_to_negative)
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.ops.square(inputs))
    assert kinds(convert(model, Options(route="direct", lowerings=mine))) == ["Neg"]
    for operation in (keras.ops.square, lambda x: keras.ops.expand_dims(x, 1)):
        lowering = mine.find(operation(inputs)._keras_history.operation)
        assert lowering is not None
        assert lowering.any_layout


def test_register_operation_registers_both_operations_named_relu() -> None:
    inputs = keras.Input((4,))
    mine = Registry()
    mine.register_operation("relu")(lower_to_negative)
    for relu in (keras.ops.relu, lambda x: keras.activations.relu(x, max_value=1.0)):
        assert mine.find(relu(inputs)._keras_history.operation) is not None


def test_register_operation_with_unknown_name() -> None:
    message = "register_operation: expected the name of an operation of keras.ops, got 'sqaure'"
    with pytest.raises(UserError, match=message):
        Registry().register_operation("sqaure")


def test_register_operation_with_unknown_optional_name() -> None:
    function = Registry().register_operation("sqaure", optional=True)(lower_to_negative)
    assert function is lower_to_negative


def test_registered_operations_exist_in_keras(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every name that a module of `export.lowerings` registers is a function of `keras.ops` or `keras.ops.image`."""
    names: dict[str, bool] = {}

    def record(*given: str, optional: bool = False) -> Any:
        names.update(dict.fromkeys(given, optional))
        return lambda function: function

    monkeypatch.setattr(registry, "register_operation", record)
    monkeypatch.setattr(registry, "register_lowering", lambda *kinds, **options: lambda function: function)
    modules = [vars(lowerings)[name] for name in lowerings.__all__ if name.islower()]
    for module in modules:
        if hasattr(module, "__file__"):
            runpy.run_path(module.__file__)
    assert len(names) > 100
    is_new = tuple(map(int, keras.__version__.split(".")[:2])) >= (3, 12)
    wanted = [name for name, optional in names.items() if is_new or not optional]
    missing = [name for name in wanted if not hasattr(keras.ops, name) and not hasattr(keras.ops.image, name)]
    assert missing == []
