"""What the metadata of an ONNX file says about its inputs, its outputs and its classes.

`export.metadata` writes it, but the file may come from a stranger, so each value is checked when the model is opened.
A value that can't be used raises a UserError.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from export.errors import UserError
from export.layout import LAYOUTS, Layout

LARGEST = 1e38  # HIGH - LOW is a float32, too


def read_layout(path: str | Path, metadata: Mapping[str, str], key: str = "input_layout") -> Layout:
    """The layout of the inputs, or of the outputs by `output_layout`; 'nhwc' if the metadata doesn't say."""
    text = metadata.get(key, LAYOUTS[0])
    layout = next((known for known in LAYOUTS if known == text), None)
    if layout is None:
        raise UserError(f"{path}: expected {key} {' or '.join(LAYOUTS)} in the metadata, got {text!r:.80}")
    return layout


def read_input_range(path: str | Path, metadata: Mapping[str, str]) -> tuple[float, float]:
    """The values that black and white have in the input; (0, 255) if the metadata doesn't say."""
    text = metadata.get("input_range", "[0, 255]")
    value = _parse_json(text)
    are_numbers = isinstance(value, list) and all(type(item) in (int, float) for item in value)
    if not are_numbers or len(value) != 2 or not -LARGEST <= value[0] < value[1] <= LARGEST:
        raise UserError(f"{path}: expected input_range [LOW, HIGH] in the metadata, got {text!r:.80}")
    return float(value[0]), float(value[1])


def read_class_names(path: str | Path, metadata: Mapping[str, str], count: object) -> tuple[str, ...] | None:
    """The names of the classes; None if the metadata has none.

    Args:
        path: the file, for the error message.
        metadata: the metadata of the model.
        count: the number of classes, or the name of a dynamic dimension.
    """
    if "class_names" not in metadata:
        return None
    names = _parse_json(metadata["class_names"])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(
            f"{path}: expected class_names, a list of texts, in the metadata, got {metadata['class_names']!r:.80}"
        )
    if names and isinstance(count, int) and len(names) != count:
        raise UserError(f"{path}: expected {count} class names in the metadata, got {len(names)}")
    return tuple(names) or None


def _parse_json(text: str) -> Any:
    """The value of a JSON text; None if it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
