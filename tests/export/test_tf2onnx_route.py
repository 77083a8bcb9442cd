"""The tf2onnx route: the same options, and its own limits."""

from typing import Any

import keras
import pytest

from export.conversion import Options
from export.errors import UserError
from export.tf2onnx_route import convert_by_tf2onnx
from kerasnorm import build_cnn
from tests.export.helpers import converted, functional, randomize

L = keras.layers


@pytest.mark.parametrize("options", [{}, {"input_layout": "nchw"}, {"raw_pixels": True}, {"batch": 2}])
def test_options_are_those_of_the_direct_route(options: dict[str, Any]) -> None:
    conversion = converted(randomize(build_cnn("bn")), route="tf2onnx", input_range=(0.0, 255.0), **options)
    first = conversion.model.graph.input[0].type.tensor_type.shape.dim[0]
    assert (first.dim_value or first.dim_param) == options.get("batch", "batch")
    assert (conversion.route, conversion.reason) == ("tf2onnx", "requested")


def test_inputs_and_outputs_have_the_names_of_keras() -> None:
    model = functional((4,), L.Dense(3, name="dense"))
    proto, outputs = convert_by_tf2onnx(model, Options(), "requested")
    assert outputs == ["dense"]
    assert [value.name for value in (*proto.graph.input, *proto.graph.output)] == ["x", "dense"]


def test_opset_above_18_is_an_error() -> None:
    with pytest.raises(
        UserError, match=r"opset: expected at most 18 by the tf2onnx route, got 20; layer 'x' is unsupported"
    ):
        convert_by_tf2onnx(functional((4,), L.Dense(3)), Options(opset=20), "layer 'x' is unsupported")


def test_error_of_tf2onnx_names_both_routes() -> None:
    class Refuses(keras.layers.Layer):
        def call(self, x: Any, training: bool = True) -> Any:
            if not training:
                raise RuntimeError("no inference")
            return x

    with pytest.raises(
        UserError, match=r"(?s)neither route can convert the model: no lowering; tf2onnx: .*no inference"
    ):
        convert_by_tf2onnx(functional((4,), Refuses()), Options(), "no lowering")
