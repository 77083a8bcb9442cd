"""Single faults for the graphs of benchmarks/parity_models.py: wrong numbers, nodes, and values for some inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from export.runtime import open_session

Rng = np.random.Generator
# A description, and what makes the fault in a copy of the graph.
Fault = tuple[str, Callable[[onnx.GraphProto], None]]


def weight_faults(graph: onnx.GraphProto, rng: Rng) -> Iterator[Fault]:
    """Wrong numbers."""

    def change(
        name: str, edit: Callable[[np.ndarray], np.ndarray | None]
    ) -> Callable[[onnx.GraphProto], None]:
        def apply(graph: onnx.GraphProto) -> None:
            tensor = next(t for t in graph.initializer if t.name == name)
            array = numpy_helper.to_array(tensor).copy()
            result = edit(array)
            tensor.CopyFrom(numpy_helper.from_array(array if result is None else result, name))

        return apply

    def entry(place: int, factor: float, term: float = 0.0) -> Callable[[np.ndarray], None]:
        def edit(array: np.ndarray) -> None:
            array.flat[place] = array.flat[place] * factor + term

        return edit

    def exchange(i: int, j: int) -> Callable[[np.ndarray], None]:
        def edit(array: np.ndarray) -> None:
            array[[i, j]] = array[[j, i]]

        return edit

    def spoil(rows: slice) -> Callable[[np.ndarray], None]:
        def edit(array: np.ndarray) -> None:
            array[rows] = 0.5

        return edit

    tables = {node.input[0] for node in graph.node if node.op_type == "Gather"}
    for tensor in graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.dtype != np.float32 or array.size < 2:
            continue
        place = int(rng.integers(array.size))
        for text, edit in (
            ("one number by 1 %", entry(place, 1.01)),
            ("one number negated", entry(place, -1.0)),
            ("one number by 1e-3", entry(place, 1.0, 1e-3)),
        ):
            yield f"{text}: {tensor.name}", change(tensor.name, edit)
        yield (
            f"rounded to float16: {tensor.name}",
            change(tensor.name, lambda array: array.astype(np.float16).astype(np.float32)),
        )
        if len(array) > 1:
            i, j = rng.choice(len(array), 2, replace=False)
            yield f"exchanged: {tensor.name}", change(tensor.name, exchange(int(i), int(j)))
        if array.ndim > 1 and array.shape[-1] == array.shape[-2] > 1:
            yield (
                f"transposed: {tensor.name}",
                change(tensor.name, lambda array: array.swapaxes(-1, -2).copy()),
            )
        if tensor.name in tables and len(array) > 10:
            yield f"from row 2 on: {tensor.name}", change(tensor.name, spoil(slice(2, None)))
            yield f"last row: {tensor.name}", change(tensor.name, spoil(slice(-1, None)))


def node_faults(graph: onnx.GraphProto, rng: Rng) -> Iterator[Fault]:
    """Wrong attributes and operators."""
    constants = {tensor.name for tensor in graph.initializer}

    def at(index: int, edit: Callable[[onnx.NodeProto], None]) -> Callable[[onnx.GraphProto], None]:
        return lambda graph: edit(graph.node[index])

    def replace(operator: str, **attributes: Any) -> Callable[[onnx.NodeProto], None]:
        def edit(node: onnx.NodeProto) -> None:
            new = helper.make_node(operator, [node.input[0]], list(node.output), node.name, **attributes)
            node.CopyFrom(new)

        return edit

    def attribute(name: str, change: Callable[[Any], Any]) -> Callable[[onnx.NodeProto], None]:
        def edit(node: onnx.NodeProto) -> None:
            old = next(a for a in node.attribute if a.name == name)
            old.CopyFrom(helper.make_attribute(name, change(helper.get_attribute_value(old))))

        return edit

    def reverse(node: onnx.NodeProto) -> None:
        node.input[:] = list(node.input)[::-1]

    for index, node in enumerate(graph.node):
        kind = node.op_type
        names = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        if "epsilon" in names:
            yield f"epsilon by 10: {node.name}", at(index, attribute("epsilon", lambda e: 10 * e))
            yield f"epsilon by 1.5: {node.name}", at(index, attribute("epsilon", lambda e: 1.5 * e))
        pads = names.get("pads", [])
        if len(pads) == 4 and any(pads):
            yield (
                f"pads moved: {node.name}",
                at(index, attribute("pads", lambda p: [p[0] + p[2], p[1] + p[3], 0, 0])),
            )
        if kind in ("Relu", "Sigmoid", "Tanh", "Softmax", "LogSoftmax", "Erf", "LeakyRelu"):
            yield f"activation left out: {node.name}", at(index, replace("Identity"))
        if kind == "Relu":
            yield f"leaky: {node.name}", at(index, replace("LeakyRelu", alpha=0.01))
        if kind == "Softmax":
            yield f"axis 0: {node.name}", at(index, replace("Softmax", axis=0))
        if kind == "MaxPool":
            kept = {key: value for key, value in names.items() if key in ("kernel_shape", "strides", "pads")}
            yield f"average for maximum: {node.name}", at(index, replace("AveragePool", **kept))
        if kind == "AveragePool":
            kept = {key: value for key, value in names.items() if key in ("kernel_shape", "strides", "pads")}
            yield f"maximum for average: {node.name}", at(index, replace("MaxPool", **kept))
        if kind == "Add" and not constants & set(node.input):
            yield f"summand left out: {node.name}", at(index, replace("Identity"))
        if kind in ("Sub", "Div", "Concat"):
            yield f"reversed: {node.name}", at(index, reverse)


def value_faults(proto: onnx.ModelProto, inputs: list[np.ndarray]) -> Iterator[Fault]:
    """Wrong for some inputs, batches or sizes."""
    graph = proto.graph
    names = [value.name for value in graph.input]
    floats = [
        value.name for value in graph.input if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    ]
    ids = [value.name for value in graph.input if value.type.tensor_type.elem_type == onnx.TensorProto.INT32]

    def after_input(name: str, *nodes: onnx.NodeProto) -> Callable[[onnx.GraphProto], None]:
        return lambda graph: _insert(graph, name, nodes)

    for name in floats:
        yield f"negative inputs are 0: {name}", after_input(name, helper.make_node("Relu", ["IN"], ["OUT"]))
        yield (
            f"images of a batch mixed: {name}",
            after_input(
                name,
                helper.make_node("ReduceMean", ["IN"], ["MEAN"], axes=[0], keepdims=1),
                helper.make_node("Constant", [], ["PART"], value_float=0.01),
                helper.make_node("Mul", ["MEAN", "PART"], ["SOME"]),
                helper.make_node("Add", ["IN", "SOME"], ["OUT"]),
            ),
        )
        dimensions = next(v for v in graph.input if v.name == name).type.tensor_type.shape.dim
        if any(d.dim_param for d in list(dimensions)[1:]):
            yield (
                f"one size alone: {name}",
                after_input(
                    name,
                    helper.make_node("Shape", ["IN"], ["SHAPE"], start=1, end=2),
                    helper.make_node("Cast", ["SHAPE"], ["SIZE"], to=onnx.TensorProto.FLOAT),
                    helper.make_node("Constant", [], ["SIXTEEN"], value_float=16.0),
                    helper.make_node("Div", ["SIXTEEN", "SIZE"], ["RATIO"]),
                    helper.make_node("Mul", ["IN", "RATIO"], ["OUT"]),
                ),
            )
    for name in ids:
        yield (
            f"ids up to 499: {name}",
            after_input(
                name,
                helper.make_node("Constant", [], ["MOST"], value=numpy_helper.from_array(np.int32(499))),
                helper.make_node("Min", ["IN", "MOST"], ["OUT"]),
            ),
        )
    inner = [
        node.output[0] for node in graph.node if node.op_type in ("Relu", "Conv", "MatMul", "Gemm", "Add")
    ]
    values = _values(proto, inner, dict(zip(names, inputs, strict=True)))
    for name, value in zip(inner, values, strict=True):
        if value.dtype != np.float32 or name in {output.name for output in graph.output}:
            continue
        high = float(np.quantile(value, 0.999))
        if high >= float(value.max()):
            continue
        limit = helper.make_node("Constant", [], ["HIGH"], value_float=high)
        yield (
            f"clipped at the top 0.1 %: {name}",
            after_input(name, limit, helper.make_node("Min", ["IN", "HIGH"], ["OUT"])),
        )
        yield (
            f"NaN for the top 0.1 %: {name}",
            after_input(
                name,
                limit,
                helper.make_node("Constant", [], ["NONE"], value_float=0.0),
                helper.make_node("Sub", ["HIGH", "IN"], ["LEFT"]),
                helper.make_node("Sqrt", ["LEFT"], ["ROOT"]),
                helper.make_node("Mul", ["ROOT", "NONE"], ["ZERO"]),
                helper.make_node("Add", ["IN", "ZERO"], ["OUT"]),
            ),
        )


def _insert(graph: onnx.GraphProto, name: str, nodes: tuple[onnx.NodeProto, ...]) -> None:
    """Put nodes after a value: they read IN and write OUT, which all that read the value now read."""
    index = next((i + 1 for i, node in enumerate(graph.node) if name in node.output), 0)
    for node in graph.node:
        node.input[:] = [f"{name}/OUT" if x == name else x for x in node.input]
    for offset, node in enumerate(nodes):
        new = onnx.NodeProto()
        new.CopyFrom(node)
        new.input[:] = [name if x == "IN" else f"{name}/{x}" for x in node.input]
        new.output[:] = [f"{name}/{x}" for x in node.output]
        graph.node.insert(index + offset, new)


def _values(proto: onnx.ModelProto, names: list[str], feed: dict[str, np.ndarray]) -> list[np.ndarray]:
    tapped = onnx.ModelProto()
    tapped.CopyFrom(proto)
    tapped.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    results: list[np.ndarray] = open_session(tapped.SerializeToString(), optimize=False).run(names, feed)
    return results
