"""drop_lengths: recurrent operators go over all steps, where that gives the same."""

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import pytest

from export.onnx_graph import add_constant
from export.passes.drop_lengths import DropLengthsPass
from tests.export.helpers import random_array
from tests.export.passes.graphs import FLOAT, Graph, check_pass

UNITS, FEATURES, STEPS = 2, 3, 5
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
RECURRENT = tuple(GATES)
AFTER = [
    "Shape",
    "Squeeze",
    "Range",
    "Unsqueeze",
    "Cast",
    "Unsqueeze",
    "Less",
    "Where",
    "Sub",
    "Equal",
    "Where",
]


def recurrent(
    op_type: str,
    *,
    direction: str = "forward",
    outputs: tuple[int, ...] = (0, 1),
    with_lengths: bool = True,
    with_state: bool = False,
) -> Callable[[], ir.Model]:
    """A model of one operator over three sequences of 5, 0 and 2 steps, with some of its outputs."""

    def build() -> ir.Model:
        g = Graph(STEPS, FEATURES)
        x = g.op("x", "Transpose", g.x, perm=[1, 0, 2])
        size = GATES[op_type] * UNITS
        arrays: list[np.ndarray | None] = [
            random_array(1, size, FEATURES),
            random_array(1, size, UNITS, seed=1),
            None,
        ]
        arrays.append(np.array([5, 0, 2], np.int32) if with_lengths else None)
        arrays.append(random_array(1, 3, UNITS, seed=2) if with_state else None)
        values = [None if a is None else add_constant(g.graph, a, "constant") for a in arrays]
        while values[-1] is None:
            values.pop()
        node = ir.node(
            op_type,
            [x, *values],
            {"hidden_size": UNITS, "direction": direction},
            num_outputs=3 if op_type == "LSTM" else 2,
            name="layer/node",
        )
        for index, value in enumerate(node.outputs):
            value.name, value.type = f"y{index}", FLOAT
        g.graph.append(node)
        return g.model(*(node.outputs[index] for index in outputs))

    return build


@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("op_type", RECURRENT)
def test_operator_goes_over_all_steps(op_type: str, with_state: bool) -> None:
    nodes = ["Transpose", op_type, *AFTER, "ReduceSum"]
    check_pass(
        recurrent(op_type, with_state=with_state), DropLengthsPass(RECURRENT), modified=True, nodes=nodes
    )


@pytest.mark.parametrize(
    "build",
    [
        recurrent("LSTM", direction="reverse"),
        recurrent("LSTM", outputs=(0, 2)),
        recurrent("GRU", with_lengths=False),
        recurrent("RNN", with_lengths=False, with_state=True),
    ],
    ids=["backwards", "cell state", "no lengths", "no lengths but a state"],
)
def test_operators_that_stay(build: Callable[[], ir.Model]) -> None:
    op_type = list(build().graph)[1].op_type
    check_pass(build, DropLengthsPass(RECURRENT), modified=False, nodes=["Transpose", op_type])


def test_operators_that_are_not_named_stay() -> None:
    check_pass(recurrent("GRU"), DropLengthsPass(("LSTM",)), modified=False, nodes=["Transpose", "GRU"])
