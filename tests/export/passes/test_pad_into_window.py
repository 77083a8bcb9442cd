"""pad_into_window: a Pad becomes the padding of the window that follows, where that is exact."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from export.onnx_graph import constant_array, ints
from export.passes.pad_into_window import NEXT_TO_ZERO, PadIntoWindowPass
from tests.export.helpers import random_array
from tests.export.passes.graphs import Graph, check_pass

BORDER = (0, 0, 1, 2, 0, 0, 0, 1)  # one row before, two columns before, one column after


def padded(
    window: str,
    *,
    first: str | None = "Relu",
    pads: tuple[int, ...] = BORDER,
    value: float | None = None,
    mode: str | None = None,
    other_user: bool = False,
    **attributes: Any,
) -> Callable[[], ir.Model]:
    """A model of a Pad and a window of 3x3."""

    def build() -> ir.Model:
        g = Graph(2, 7, 8)
        x = g.op("first", first, g.x) if first else g.x
        fill = [] if value is None else [np.array(value, np.float32)]
        kept: dict[str, Any] = {} if mode is None else {"mode": mode}
        x = g.op("pad", "Pad", x, np.array(pads, np.int64), *fill, **kept)
        weights = [random_array(3, 2, 3, 3)] if window == "Conv" else []
        y = g.op("window", window, x, *weights, kernel_shape=[3, 3], **attributes)
        return g.model(y, x) if other_user else g.model(y)

    return build


def check(build: Callable[[], ir.Model], nodes: list[str], modified: bool = True) -> None:
    check_pass(build, PadIntoWindowPass(), modified=modified, nodes=nodes)


def test_pad_before_convolution() -> None:
    build = padded("Conv", first="Tanh")
    check(build, ["Tanh", "Conv"])
    model = build()
    PadIntoWindowPass()(model)
    assert ints(list(model.graph)[-1], "pads") == [1, 2, 0, 1]


def test_pad_is_added_to_the_padding_of_the_convolution() -> None:
    check(padded("Conv", pads=BORDER, value=0.0), ["Relu", "Conv"])
    build = padded("Conv")
    model = build()
    list(model.graph)[-1].attributes["pads"] = ir.AttrInt64s("pads", [1, 1, 1, 1])
    PadIntoWindowPass()(model)
    assert ints(list(model.graph)[-1], "pads") == [2, 3, 1, 2]


def test_pad_before_average_pool_is_counted() -> None:
    build = padded("AveragePool", first="Tanh")
    check(build, ["Tanh", "AveragePool"])
    model = build()
    PadIntoWindowPass()(model)
    assert list(model.graph)[-1].attributes["count_include_pad"].as_int() == 1


@pytest.mark.parametrize("first", ["Relu", "Sigmoid"])
def test_pad_before_max_pool_of_values_that_are_never_negative(first: str) -> None:
    check(padded("MaxPool", first=first), [first, "MaxPool"])


@pytest.mark.parametrize(("low", "merges"), [(0.0, True), (0.5, True), (-1.0, False)])
def test_pad_before_max_pool_of_clipped_values(low: float, merges: bool) -> None:
    def build() -> ir.Model:
        g = Graph(2, 7, 8)
        x = g.op("clip", "Clip", g.x, np.array(low, np.float32), np.array(6.0, np.float32))
        x = g.op("pad", "Pad", x, np.array(BORDER, np.int64))
        return g.model(g.op("pool", "MaxPool", x, kernel_shape=[3, 3]))

    model = build()
    PadIntoWindowPass()(model)
    assert ("Pad" not in [node.op_type for node in model.graph]) == merges
    check(build, ["Clip", "MaxPool"] if merges else ["Clip", "Pad", "MaxPool"])


@pytest.mark.parametrize(
    ("window", "options"),
    [
        ("MaxPool", {"first": "Tanh"}),
        ("MaxPool", {"first": None}),
        ("MaxPool", {"pads": (0, 0, 3, 0, 0, 0, 0, 0)}),  # the first windows hold no position of the image
        ("AveragePool", {"pads": (0, 0, 0, 0, 0, 0, 3, 0)}),
        ("MaxPool", {"pads": (0, 0, 1, 1, 0, 0, 1, 1), "strides": [2, 2]} | {"first": "Tanh"}),
    ],
)
def test_pad_that_is_not_exact_for_a_pool_is_hidden_from_the_runtime(
    window: str, options: dict[str, Any]
) -> None:
    build = padded(window, **options)
    first = [] if "first" in options and options["first"] is None else [options.get("first", "Relu")]
    check(build, [*first, "Pad", window])
    model = build()
    PadIntoWindowPass()(model)
    [pad] = [node for node in model.graph if node.op_type == "Pad"]
    value = constant_array(pad.inputs[2])
    assert value is not None
    assert value == np.float32(NEXT_TO_ZERO)


@pytest.mark.parametrize(
    "options",
    [
        {"mode": "reflect"},
        {"mode": "edge"},
        {"value": 0.5},
        {"pads": (0, 1, 1, 1, 0, 0, 1, 1)},  # pads the channels
        {"pads": (0, 0, 1, -1, 0, 0, 1, 1)},  # crops
        {"other_user": True},
        {"auto_pad": "SAME_UPPER"},
    ],
    ids=str,
)
def test_other_pad_before_convolution_stays(options: dict[str, Any]) -> None:
    if "pads" in options and options["pads"][1]:

        def build() -> ir.Model:
            g = Graph(2, 7, 8)
            x = g.op("pad", "Pad", g.op("first", "Relu", g.x), np.array(options["pads"], np.int64))
            return g.model(g.op("window", "Conv", x, random_array(3, 3, 3, 3), kernel_shape=[3, 3]))

    else:
        build = padded("Conv", **options)
    check(build, ["Relu", "Pad", "Conv"], modified=False)


def test_window_without_pad_stays() -> None:
    def build() -> ir.Model:
        g = Graph(2, 7, 8)
        return g.model(g.op("pool", "MaxPool", g.x, kernel_shape=[3, 3]))

    check(build, ["MaxPool"], modified=False)
