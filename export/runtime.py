"""onnxruntime sessions on the CPU; onnxruntime is all it needs, so that inference can use it."""

from __future__ import annotations

from pathlib import Path

import onnxruntime

from export.errors import UserError


def open_session(
    model: bytes | str | Path, *, threads: int = 0, optimize: bool = True
) -> onnxruntime.InferenceSession:
    """Open an ONNX model for inference on the CPU.

    Args:
        model: the path of a file, or its content.
        threads: threads of one call; 0 uses all cores.
        optimize: let onnxruntime optimize the graph.

    Raises:
        UserError: the file is missing, or onnxruntime can't run it.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # errors are raised as exceptions, too
    if not optimize:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    if not isinstance(model, bytes):
        if not Path(model).is_file():
            raise UserError(f"{model}: expected an ONNX file, found no file of that name")
        model = str(model)
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no common base class
        name = "the graph" if isinstance(model, bytes) else model
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{name}: expected an ONNX model that onnxruntime can run: {reason}") from error
