"""onnxruntime sessions; onnxruntime and NumPy are all they need, so that inference can use them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime

from export.errors import UserError, one_line
from export.limits import check_size

# The types that an input or output of a model may have here. The model says which; NumPy has no bfloat16 or strings.
DTYPES = {
    "tensor(bool)": np.dtype(bool),
    "tensor(double)": np.dtype(np.float64),
    "tensor(float)": np.dtype(np.float32),
    "tensor(float16)": np.dtype(np.float16),
    "tensor(int8)": np.dtype(np.int8),
    "tensor(int16)": np.dtype(np.int16),
    "tensor(int32)": np.dtype(np.int32),
    "tensor(int64)": np.dtype(np.int64),
    "tensor(uint8)": np.dtype(np.uint8),
    "tensor(uint16)": np.dtype(np.uint16),
    "tensor(uint32)": np.dtype(np.uint32),
    "tensor(uint64)": np.dtype(np.uint64),
}


def open_session(
    model: bytes | str | Path, *, threads: int = 0, optimize: bool = True, provider: str = "cpu"
) -> onnxruntime.InferenceSession:
    """Open an ONNX model for inference.

    The declared sizes of a file's inputs and outputs are checked (`export.limits`), with 1 for each dynamic
    dimension. The content of a file, which this process has made itself, may declare what it likes.

    Args:
        model: the path of a file, or its content.
        threads: threads of one call; 0 uses all cores.
        optimize: let onnxruntime optimize the graph.
        provider: the execution provider, as onnxruntime names it, with or without its ending `ExecutionProvider`.

    Raises:
        UserError: the file is missing, onnxruntime can't run it, it declares huge inputs or outputs, or the provider
            is not available.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # errors are raised as exceptions, too
    if not optimize:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.add_session_config_entry("session.disable_prepacking", "1")  # which copies the weights
    if not isinstance(model, bytes):
        if not Path(model).is_file():
            raise UserError(f"{model}: expected an ONNX file, found no file of that name")
        model = str(model)
    chosen = _provider(provider)
    try:
        session = onnxruntime.InferenceSession(model, options, providers=[chosen])
    except Exception as error:  # onnxruntime's exceptions have no common base class
        name = "the graph" if isinstance(model, bytes) else model
        raise UserError(
            f"{name}: expected an ONNX model that onnxruntime can run: {one_line(error, 200)}"
        ) from error
    if session.get_providers()[0] != chosen:  # onnxruntime falls back to the CPU without an error
        raise UserError(f"provider: expected one that starts on this machine, got {provider!r}")
    if not isinstance(model, bytes):
        values = [*session.get_inputs(), *session.get_outputs()]
        check_size(model, "inputs and outputs", sum(_declared_size(value) for value in values))
    return session


def _declared_size(value: onnxruntime.NodeArg) -> int:
    """Bytes of an input or output, with 1 for each dynamic dimension."""
    dtype = DTYPES.get(value.type, np.dtype(np.float64))
    return dtype.itemsize * math.prod(size for size in value.shape if isinstance(size, int))


def run_session(
    session: onnxruntime.InferenceSession, feeds: Mapping[str, np.ndarray], name: str | Path
) -> Sequence[np.ndarray]:
    """Run a model that may fail, because it doesn't say all that it needs.

    Args:
        session: the session.
        feeds: an array for each input.
        name: the file, for the error message.

    Raises:
        UserError: the model can't be run with these inputs.
    """
    try:
        return session.run(None, dict(feeds))
    except Exception as error:  # onnxruntime's exceptions have no common base class
        shapes = ", ".join(f"{array.dtype} {array.shape}" for array in feeds.values())
        raise UserError(
            f"{name}: expected a model that runs with inputs of {shapes}: {one_line(error, 200)}"
        ) from error


def _provider(name: str) -> str:
    ending = "executionprovider"
    available = {known.lower().removesuffix(ending): known for known in onnxruntime.get_available_providers()}
    wanted = name.lower().removesuffix(ending)
    if wanted not in available:
        raise UserError(f"provider: expected one of this machine's ({', '.join(available)}), got {name!r}")
    return available[wanted]
