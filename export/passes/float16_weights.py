"""float16_weights: keep large weights in float16, which halves the file; the graph still computes in float32.

    W (float32)   becomes   Cast(W16) to float32, where W16 is W rounded to the nearest float16

onnxruntime computes the Cast once, when it loads the file, so the graph is as fast as before. A weight stays in float32
if

- it is no kernel, matrix or embedding but a bias, a statistic or another constant. They are small;
- it has fewer than 64 numbers, since a node takes as many bytes;
- a number is above 65,504, the largest float16, or not finite;
- a row along some axis, such as the kernel of one output channel, loses more than 2^-10 of its size, because its
  numbers are below 6e-5, where float16 has fewer digits. Rows that are almost 0 beside the others don't count.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

LEAST = 64
LARGEST = 65504.0
LOSS = 2.0**-10
NEGLIGIBLE = 2.0**-10
# Where the weights are among the inputs of an operator.
WEIGHTS = {
    **{"Conv": (1,), "ConvTranspose": (1,), "Gemm": (0, 1), "MatMul": (0, 1), "Gather": (0,)},
    **{"LSTM": (1, 2), "GRU": (1, 2), "RNN": (1, 2), "Einsum": (0, 1)},
}


class Float16WeightsPass(ir.passes.InPlacePass):
    """Write the large weights of a graph in float16, each with a Cast to float32.

    Attributes:
        rounded: names of the weights that are in float16 after a call.
        kept: for each large weight that stays in float32, its name and the reason.
    """

    def __init__(self) -> None:
        super().__init__()
        self.rounded: list[str] = []
        self.kept: list[str] = []

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Look at each constant once."""
        for value in list(model.graph.initializers.values()):
            if value.const_value is None or value.dtype != ir.DataType.FLOAT or not _is_weight(value):
                continue
            array = value.const_value.numpy()
            reason = why_not(array)
            if reason is not None:
                self.kept.append(f"{value.name}: {reason}")
            elif array.size >= LEAST:
                _round(model.graph, value, array)
                self.rounded.append(str(value.name))
        return ir.passes.PassResult(model, bool(self.rounded))


def why_not(array: np.ndarray) -> str | None:
    """Why a weight can't be rounded to float16; None if it can."""
    largest = float(np.max(np.abs(array), initial=0))
    if not largest <= LARGEST:
        return f"it has numbers of up to {largest:.1e}, above the {LARGEST:,.0f} of float16"
    exact = array.astype(np.float64)
    error = exact - array.astype(np.float16)
    for axis in range(array.ndim):
        others = tuple(other for other in range(array.ndim) if other != axis)
        lost, size = (np.sqrt(np.sum(np.square(x), axis=others)) for x in (error, exact))
        if np.any(lost > LOSS * np.maximum(size, NEGLIGIBLE * np.sqrt(np.mean(np.square(size))))):
            return "it has rows of numbers that are too small for float16"
    return None


def _is_weight(value: ir.Value) -> bool:
    """Whether all users of a constant multiply by it, or take rows of it."""
    uses = value.uses()
    return (
        bool(uses)
        and not value.is_graph_output()
        and all(not use.node.domain and use.idx in WEIGHTS.get(use.node.op_type, ()) for use in uses)
    )


def _round(graph: ir.Graph, value: ir.Value, array: np.ndarray) -> None:
    """Put a weight in float16, with a Cast, in the place of a weight in float32."""
    name = str(value.name)
    users = tuple(value.uses())
    del graph.initializers[name]
    tensor = ir.tensor(array.astype(np.float16), name=name)
    rounded = ir.Value(
        name=name, type=ir.TensorType(ir.DataType.FLOAT16), shape=value.shape, const_value=tensor
    )
    graph.register_initializer(rounded)
    cast = ir.node("Cast", [rounded], {"to": int(ir.DataType.FLOAT)}, name=f"{name}/Cast")
    cast.outputs[0].name = f"{name}/float32"
    cast.outputs[0].type, cast.outputs[0].shape = ir.TensorType(ir.DataType.FLOAT), value.shape
    graph.insert_before(graph[0], cast)
    for node, index in users:
        node.replace_input_with(index, cast.outputs[0])
