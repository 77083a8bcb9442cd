"""What a bug report leaves out of a model: words, arrays and code, but not what makes the model fail.

A vocabulary becomes as many made-up words, a long list of numbers as many made-up ones of the same type, so that the
configuration still builds a model of the same layers and shapes. Names of layers, inputs and arguments stay.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable
from typing import Any

import onnx

SHORT = 16  # numbers or strings of a list that is kept: sizes, axes, strides, permutations
LONGEST = 200  # characters of a text that is kept
VOCABULARY = "vocabulary"
LAMBDA = "__lambda__"
BYTES = "__bytes__"


def redacted_config(config: Any) -> Any:
    """Return a copy of a Keras configuration without the data in it, and without what `compile` was given."""
    if isinstance(config, dict):
        if config.get("class_name") == LAMBDA:
            return {**config, "config": {"code": "left out", "defaults": None, "closure": None}}
        if config.get("class_name") == BYTES:
            return {**config, "config": {"value": ""}}
        copy = {key: redacted_config(value) for key, value in config.items() if key != "compile_config"}
        if VOCABULARY in config:
            copy[VOCABULARY] = _vocabulary(config)
        return copy
    if isinstance(config, (list, tuple)):
        return _list(list(config))
    if isinstance(config, str):
        return config if len(config) <= LONGEST else f"left out: {len(config):,} characters"
    return config


def _list(values: list[Any]) -> list[Any]:
    flat = _flat(values)
    if len(flat) > SHORT:
        if all(isinstance(value, str) for value in flat):
            return _words(len(values)) if flat == values else [redacted_config(value) for value in values]
        if all(isinstance(value, (int, float)) for value in flat):
            return _numbers(values, flat)
    return [redacted_config(value) for value in values]


def _flat(values: list[Any]) -> list[Any]:
    """The items of nested lists."""
    return [item for value in values for item in (_flat(value) if isinstance(value, list) else [value])]


def _numbers(values: list[Any], flat: list[Any]) -> list[Any]:
    """Nested lists of the same lengths. The floats rise, as boundaries must; integers stay in the range of indices."""
    highest = max((value for value in flat if isinstance(value, int)), default=0)
    counter = iter(range(len(flat)))

    def made_up(value: Any) -> Any:
        if isinstance(value, list):
            return [made_up(item) for item in value]
        index = next(counter)
        if isinstance(value, bool):
            return value
        return index % max(highest + 1, 1) if isinstance(value, int) else float(index + 1)

    return [made_up(value) for value in values]


def _words(count: int) -> list[str]:
    return [f"word{index}" for index in range(count)]


def _vocabulary(config: dict[str, Any]) -> Any:
    """As many made-up words, or numbers, as a lookup has in its configuration or, if it was adapted, besides."""
    words = config[VOCABULARY]
    if isinstance(words, list):
        return (
            _words(len(words))
            if any(isinstance(word, str) for word in words)
            else list(range(1, len(words) + 1))
        )
    size = config.get("vocabulary_size")
    if not isinstance(size, int):  # a layer of some other kind
        return None
    special = config.get("num_oov_indices", 1) if isinstance(config.get("num_oov_indices", 1), int) else 1
    count = min(max(size - special - (config.get("mask_token") is not None), 1), 10**6)
    return list(range(1, count + 1)) if "int" in str(config.get("vocabulary_dtype", "")) else _words(count)


def redacted_graph(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the structure of a graph: nodes, names, types and shapes, without weights, words and metadata.

    Short lists of integers stay: they are sizes and axes. What is left is for people and viewers; it can't run.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.metadata_props[:]
    copy.doc_string = ""
    _redact_graph(copy.graph)
    for function in copy.functions:
        _redact_nodes(function.node)
    return copy


def _redact_graph(graph: onnx.GraphProto) -> None:
    del graph.sparse_initializer[:]
    for tensor in graph.initializer:
        _redact_tensor(tensor)
    _redact_nodes(graph.node)


def _redact_nodes(nodes: Iterable[onnx.NodeProto]) -> None:
    for node in nodes:
        node.doc_string = ""
        for attribute in node.attribute:
            is_table = node.domain == "ai.onnx.ml"  # lookups: short ones have words and numbers, too
            del attribute.strings[:]
            if is_table or len(attribute.floats) > SHORT:
                del attribute.floats[:]
            if is_table or len(attribute.ints) > SHORT:
                del attribute.ints[:]
            if len(attribute.s) > LONGEST:
                attribute.s = b""
            attribute.ClearField("sparse_tensor")
            for tensor in (*([attribute.t] if attribute.HasField("t") else []), *attribute.tensors):
                _redact_tensor(tensor, is_table)
            for graph in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                _redact_graph(graph)


def _redact_tensor(tensor: onnx.TensorProto, is_table: bool = False) -> None:
    """Clear all values but those of a short integer tensor."""
    is_size = tensor.data_type in (onnx.TensorProto.INT64, onnx.TensorProto.INT32, onnx.TensorProto.BOOL)
    if is_size and not is_table and math.prod(tensor.dims) <= SHORT:
        return
    for field, _ in tensor.ListFields():
        if field.name not in ("name", "dims", "data_type"):
            tensor.ClearField(field.name)


def without_home(text: str) -> str:
    """The text with `~` for the user's home folder, also where JSON or Python have escaped its path."""
    home = os.path.expanduser("~")
    for path in (home, json.dumps(home)[1:-1]):
        text = text.replace(path, "~") if len(path) > 1 else text
    return text
