"""How many single faults in right graphs the parity check finds; recorded in docs/bench/parity_faults.json and .md.

usage: python -m benchmarks.parity_faults [--faults 45] [CASE ...]

Each case of benchmarks/parity_models.py is converted, checked (it has to pass) and then spoiled, one fault at a time: a
number of a weight, exchanged channels, a weight rounded to float16, an epsilon, a pad, an axis, an activation or a
residual connection left out, NaN for some inputs, images of a batch that depend on each other, and so on. A fault
*matters* if it moves what goes into the final softmax or sigmoid (else the output) by more than 1e-4 of its root mean
square, makes a NaN or flips a class, on inputs that the check doesn't draw: real images where there are any. The check
has to find all of them. It takes a quarter of an hour; MNIST has to be in $KERASNORM_DATA or Keras' cache.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from export.command import import_tensorflow_quietly
from export.errors import KerasnormError
from export.files import write_json, write_text
from export.runtime import open_session

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "docs/bench/parity_faults.json"
MATTERS = 1e-4
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


def outcome(
    conversion: Any, batches: list[list[np.ndarray]]
) -> tuple[list[np.ndarray], list[np.ndarray]] | None:
    """What goes into the final activation (else the outputs), and the outputs; None if the graph doesn't run."""
    from export.parity.logits import with_logits

    inner, outer = [], []
    try:
        count = len(conversion.outputs)
        with with_logits(conversion.model, range(count)):
            session = open_session(conversion.model.SerializeToString(), optimize=False)
            for batch in batches:
                values = session.run(None, dict(zip(conversion.inputs, batch, strict=True)))
                outer += values[:count]
                inner += values[count:] or values
    except Exception:  # onnxruntime's exceptions have no common base
        return None
    return inner, outer


def effect(right: Any, wrong: Any) -> float:
    """How far a fault moves what goes into the final activation, relative to its root mean square; inf: more."""
    largest = 0.0
    for pairs in (zip(right[0], wrong[0], strict=True), zip(right[1], wrong[1], strict=True)):
        for a, b in pairs:
            if a.shape != b.shape or np.any(np.isnan(b) & ~np.isnan(a)):
                return float("inf")
            if a.ndim > 1 and a.shape[-1] > 1 and np.any(a.argmax(-1) != b.argmax(-1)):
                return float("inf")
    for a, b in zip(right[0], wrong[0], strict=True):
        size = float(np.sqrt(np.mean(np.square(a.astype(np.float64)))))
        largest = max(largest, float(np.max(np.abs(a.astype(np.float64) - b))) / size)
    for a, b in zip(right[1], wrong[1], strict=True):  # a softmax that is gone leaves the logits as they are
        if float(np.max(np.abs(a - b))) > 1e-2:
            return float("inf")
    return largest


def measure(name: str, count: int) -> dict[str, Any]:
    """Spoil one case in many ways."""
    from benchmarks.parity_models import CASES
    from export.conversion import Options
    from export.convert import convert
    from export.parity import check_parity

    case = CASES[name]()
    conversion = convert(case.model, Options(input_range=case.input_range))
    parity = check_parity(case.model, conversion)
    if not parity.passed:
        raise SystemExit(f"{name}: the right graph is refused\n{parity.table()}")
    right_proto = onnx.ModelProto()
    right_proto.CopyFrom(conversion.model)
    right = outcome(conversion, case.inputs)
    rng = np.random.default_rng(0)
    kinds: dict[str, list[Fault]] = {}
    for fault in (
        *weight_faults(right_proto.graph, rng),
        *node_faults(right_proto.graph, rng),
        *value_faults(right_proto, case.inputs[-1]),
    ):
        kinds.setdefault(fault[0].split(":")[0], []).append(fault)
    chosen: list[Fault] = []
    while len(chosen) < count and any(kinds.values()):  # the kinds take turns
        for faults in kinds.values():
            if faults and len(chosen) < count:
                chosen.append(faults.pop(int(rng.integers(len(faults)))))
    rows = []
    for text, apply in chosen:
        conversion.model.CopyFrom(right_proto)
        apply(conversion.model.graph)
        wrong = outcome(conversion, case.inputs)
        if wrong is None:
            continue  # no runtime takes it, so nobody could be deceived
        size = effect(right, wrong)
        try:
            found = not check_parity(case.model, conversion).passed
        except KerasnormError:
            found = True
        row: dict[str, Any] = {"fault": text, "effect": size, "matters": size > MATTERS, "found": found}
        if row["matters"] and not found:
            row["found_with_data"] = not check_parity(case.model, conversion, data=case.data).passed
        rows.append(row)
    conversion.model.CopyFrom(right_proto)
    matter = [row for row in rows if row["matters"]]
    return {
        "faults": len(rows),
        "matter": len(matter),
        "found": sum(row["found"] for row in matter),
        "found_with_data": sum(row["found"] or row["found_with_data"] for row in matter),
        "missed": [row for row in matter if not row["found"]],
        "error": max(d.max_abs / d.size for d in parity.differences if d.data.startswith("batch") and d.size),
        "keras_error": max(
            d.keras_error / d.size for d in parity.differences if d.data.startswith("batch") and d.size
        ),
        "allowance": max(
            d.allowance / d.size for d in parity.differences if d.data.startswith("batch") and d.size
        ),
        "seconds": round(parity.seconds, 1),
        "rows": rows,
    }


def main() -> int:
    """Measure the cases named, or all, and record them."""
    import_tensorflow_quietly()
    from benchmarks.parity_models import CASES

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", choices=[[], *CASES], help="default: all")
    parser.add_argument("--faults", type=int, default=45, help="faults for each case (default: 45)")
    arguments = parser.parse_args()
    record: dict[str, Any] = {"matters_above": MATTERS, "cases": {}}
    for name in arguments.cases or CASES:
        start = time.monotonic()
        record["cases"][name] = result = measure(name, arguments.faults)
        print(
            f"{name}: {result['found']} of {result['matter']} found, {time.monotonic() - start:.0f} s",
            flush=True,
        )
        for row in result["missed"]:
            print(
                f"    missed: {row['fault']} ({row['effect']:.1e}); found with data: {row['found_with_data']}"
            )
    if not arguments.cases:
        write_json(RECORD, record)
        write_text(RECORD.with_suffix(".md"), table(record["cases"]))
    return 0


def table(cases: dict[str, Any]) -> str:
    """The record as a table for the documentation."""
    lines = [
        "| right graph | error of the graph | of Keras' float32 | allowed | faults that matter | found, random data "
        "| found, with data of the kind |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, case in cases.items():
        numbers = " | ".join(f"{case[key]:.0e}" for key in ("error", "keras_error", "allowance"))
        counts = " | ".join(str(case[key]) for key in ("matter", "found", "found_with_data"))
        lines.append(f"| {name} | {numbers} | {counts} |")
    total = {key: sum(case[key] for case in cases.values()) for key in ("matter", "found", "found_with_data")}
    shares = [f"{100 * total[key] / total['matter']:.1f} %" for key in ("found", "found_with_data")]
    lines.append(f"| together | | | | {total['matter']} | {total['found']}, {shares[0]} | {shares[1]} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
