import keras
import numpy as np

from export.keras2.hard_sigmoid import hard_sigmoid_of_keras_2
from tests.export.helpers import converted, functional, kinds


def test_hard_sigmoid_follows_the_formula() -> None:
    x = np.linspace(-4, 4, 17, dtype=np.float32)
    np.testing.assert_allclose(hard_sigmoid_of_keras_2(x), np.clip(0.2 * x + 0.5, 0, 1), rtol=1e-6, atol=1e-6)


def test_recurrent_operator_has_it() -> None:
    layer = keras.layers.LSTM(3, recurrent_activation=hard_sigmoid_of_keras_2)
    conversion = converted(functional((5, 4), layer))
    assert "LSTM" in kinds(conversion)
    (node,) = [one for one in conversion.model.graph.node if one.op_type == "LSTM"]
    assert next(a.strings for a in node.attribute if a.name == "activations")[0] == b"HardSigmoid"
    assert abs(next(a.floats for a in node.attribute if a.name == "activation_alpha")[0] - 0.2) < 1e-7
