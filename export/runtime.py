"""onnxruntime sessions on the CPU; onnxruntime alone is needed, so that inference can use it."""

from __future__ import annotations

from pathlib import Path

import onnxruntime

from export.errors import UserError


def open_session(
    model: bytes | str | Path, *, threads: int = 0, optimize: bool = True
) -> onnxruntime.InferenceSession:
    """Open an ONNX model, from a file or from its bytes, on the CPU provider.

    Args:
        model: path of a file, or the content of one.
        threads: threads of one call; 0: as many as cores.
        optimize: let the runtime optimize the graph.

    Raises:
        UserError: the file is missing, or nothing that onnxruntime can run.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # what is wrong comes as an exception too
    if not optimize:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    if not isinstance(model, bytes):
        if not Path(model).is_file():
            raise UserError(f"{model}: expected an ONNX file, found no file of that name")
        model = str(model)
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no common base
        name = "the graph" if isinstance(model, bytes) else model
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{name}: expected an ONNX model that onnxruntime can run: {reason}") from error
