"""A function applied to each row of tensors: ONNX's Scan, whose body is the function."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import onnx_ir as ir

from export.builder import Builder, Tensor, onnx_dtype
from export.errors import Unsupported
from export.lowerings.registry import register_operation


@register_operation("map")
def lower_map(g: Builder, operation: Any, f: Callable[[Any], Any], xs: Any) -> Any:
    """[f(x) for x in xs], stacked."""
    return _map(g, f, xs)


@register_operation("vectorized_map")
def lower_vectorized_map(g: Builder, operation: Any, elements: Any) -> Any:
    """[function(x) for x in elements], stacked."""
    return _map(g, operation.function, elements)


def _map(g: Builder, function: Callable[[Any], Any], xs: Any) -> Any:
    """Apply a function to each row of a structure of tensors."""
    tensors = [x for x in keras.tree.flatten(xs)]
    if not all(isinstance(x, Tensor) for x in tensors):
        raise Unsupported("a map over constants")
    graph = ir.Graph([], [], nodes=[], opset_imports=dict(g.graph.opset_imports), name=g.unique_name("body"))
    # A value of the body can't be used outside of it, so it has its own memory of transposed values.
    body = dataclasses.replace(g, graph=graph, _other_layout={})
    rows = []
    for x in tensors:
        value = ir.Value(name=body.unique_name("row"), type=ir.TensorType(onnx_dtype(x.dtype)))
        rows.append(Tensor(value, x.shape[1:], dtype=x.dtype))
    outputs = body.lower(function, keras.tree.pack_sequence_as(xs, rows))
    flat = [body.keras_layout(y) for y in keras.tree.flatten(outputs)]
    graph.inputs.extend(row.value for row in rows)
    for y in flat:
        value = body.op("Identity", y.value)
        value.type = ir.TensorType(onnx_dtype(y.dtype))
        graph.outputs.append(value)
    inputs = [g.keras_layout(x).value for x in tensors]
    values = g.op("Scan", *inputs, outputs=len(flat), body=graph, num_scan_inputs=len(inputs))
    values = values if isinstance(values, list) else [values]
    n = tensors[0].shape[0]
    return [g.tensor(value, (n, *y.shape), dtype=y.dtype) for value, y in zip(values, flat, strict=True)]
