"""The metadata of an ONNX model, and counts of its nodes."""

from __future__ import annotations

import json
from collections import Counter

import keras
import onnx

from export import __version__
from export.conversion import Conversion


def set_metadata(model: onnx.ModelProto, entries: dict[str, str]) -> None:
    """Add entries to a model's metadata, or replace them."""
    for key, value in entries.items():
        entry = next((e for e in model.metadata_props if e.key == key), None) or model.metadata_props.add()
        entry.key, entry.value = key, value


def describe(conversion: Conversion, name: str) -> None:
    """Write into an ONNX model how it was made, and what `export.infer` has to know."""
    options = conversion.options
    entries = {
        "model": name,
        "exporter": f"kerasnorm {__version__}",
        "keras": keras.__version__,
        "onnx": onnx.__version__,
        "target": options.target,
        "opset": str(conversion.opset),
        "route": conversion.route,
        "input_layout": options.input_layout,
        "output_layout": options.output_layout,
        "input_range": json.dumps(list(conversion.input_range)),
    }
    if options.class_names:
        entries["class_names"] = json.dumps(options.class_names)
    set_metadata(conversion.proto, entries)


def count_nodes(model: onnx.ModelProto) -> dict[str, int]:
    """How many nodes of each operator the graph has."""
    return dict(sorted(Counter(node.op_type for node in model.graph.node).items()))
