import keras
import numpy as np
from onnx import numpy_helper

from export.conversion import Conversion, Options
from export.convert import convert
from export.parity import check_parity
from export.parity.locate import first_layer_that_diverges
from tests.export.helpers import functional

L = keras.layers


def model_and_graph() -> tuple[keras.Model, Conversion]:
    inner = keras.Sequential(
        [keras.Input((6, 6, 4)), L.Conv2D(3, 3, name="two"), L.ReLU(name="three")], name="inner"
    )
    model = functional((8, 8, 1), L.Conv2D(4, 3, name="one"), inner, L.Flatten(), L.Dense(2, name="four"))
    return model, convert(model, Options(route="tf2onnx"))


def test_a_right_graph_of_tf2onnx() -> None:
    model, conversion = model_and_graph()
    assert check_parity(model, conversion).passed
    assert first_layer_that_diverges(model, conversion) is None


def test_the_layer_within_a_nested_model() -> None:
    model, conversion = model_and_graph()
    tensor = next(t for t in conversion.model.graph.initializer if list(t.dims) == [3, 4, 3, 3])
    array = numpy_helper.to_array(tensor) * np.float32(1.1)
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    assert not check_parity(model, conversion).passed
    assert first_layer_that_diverges(model, conversion) == "inner/two"
