"""A small ONNX model, as a stranger may write it, for the tests of what serves models."""

from pathlib import Path

import onnx
import onnx.parser

SOFTMAX = "y = Softmax <axis = -1> (flat)"
LOGITS = "hundred = Constant <value_float = 100.0> ()  y = Mul(flat, hundred)"


def write_model(
    path: Path,
    ending: str = SOFTMAX,
    metadata: dict[str, str] | None = None,
    shape: str = "N, 1, 3, 1",
    out: str = "N, 3",
    dtype: str = "float",
) -> Path:
    """A classifier of three grey pixels into the brightest one, as a stranger may write it."""
    model = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["": 17]> stranger ({dtype}[{shape}] x) => (float[{out}] y)'
        f"<int64[1] one = {{1}}> {{ number = Cast <to = 1> (x)  flat = Flatten(number)  {ending} }}"
    )
    onnx.helper.set_model_props(model, metadata or {})
    onnx.save(model, path)
    return path
