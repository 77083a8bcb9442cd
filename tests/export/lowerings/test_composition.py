"""Operations lowered as what other operations compute."""

import keras
import numpy as np
from keras import ops

from export.convert import Options, convert
from export.lowerings import Registry
from export.lowerings.composition import composed
from tests.export.helpers import kinds, run


def test_composed_receives_the_operation_and_its_inputs() -> None:
    mine = Registry()
    mine.register_operation("round")(composed(lambda operation, x: ops.exp(x) * float(operation.decimals)))
    inputs = keras.Input((3,), name="x")
    conversion = convert(keras.Model(inputs, ops.round(inputs, 2)), Options(route="direct", lowerings=mine))
    assert kinds(conversion) == ["Exp", "Mul"]
    np.testing.assert_allclose(run(conversion, np.zeros((1, 3), "float32"))[0], 2, rtol=1e-6, atol=0)


def test_composed_casts_to_the_dtype_of_the_operation() -> None:
    mine = Registry()
    mine.register_operation("isfinite")(composed(lambda operation, x: ops.cast(x, "int32")))
    inputs = keras.Input((3,), name="x")
    conversion = convert(keras.Model(inputs, ops.isfinite(inputs)), Options(route="direct", lowerings=mine))
    [result] = run(conversion, np.array([[0, 1, -2]], "float32"))
    assert result.tolist() == [[False, True, True]]
