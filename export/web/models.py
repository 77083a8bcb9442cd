"""A model as the page has it: the file, what it takes and returns, and its parity check.

The file may come from a stranger. `export.classifier` checks what its metadata say; names are text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx.external_data_helper import uses_external_data

from export.classifier import Classifier
from export.errors import UserError
from export.evidence import Example, evidence_path, read_evidence
from export.image_input import ImageInput
from export.layout import Layout, to_keras
from export.terminal import escape

INPUTS = ("float32", "float64", "uint8")
OUTPUTS = ("float32", "float64")
ANY_SIZE = 224  # pixels, where the model takes images of any size


@dataclass(frozen=True)
class PageModel:
    """A classifier of images.

    Attributes:
        name: what the page calls it.
        content: the ONNX file.
        images: its input.
        layout: the layout of the input in the graph.
        batch: the batch size, if it is fixed.
        output: name of the output with the classes.
        classes: names of the classes; their indices if the file has no names.
        examples: inputs and their true outputs; none if the model has no check.
        oracle: what the true outputs were computed by.
        source: what the inputs of the check are, as the exporter calls them; empty if it doesn't say.
    """

    name: str
    content: bytes = field(repr=False)
    images: ImageInput
    layout: Layout
    batch: int | None
    output: str
    classes: tuple[str, ...]
    examples: list[Example]
    oracle: str
    source: str

    def interface(self) -> dict[str, Any]:
        """What the page has to know of the input and the output."""
        images = self.images
        return {
            "name": self.name,
            "input": {
                "name": images.value.name,
                "dtype": images.value.dtype.name,
                "layout": self.layout,
                "batch": self.batch,
                "height": images.format.height,
                "width": images.format.width,
                "channels": images.format.channels,
                "low": images.low,
                "high": images.high,
                "smallAndGrey": images.format.is_small_and_grey,
            },
            "output": self.output,
            "classes": list(self.classes),
        }


def read_model(path: Path, name: str | None = None) -> PageModel:
    """Read a classifier and its check, MODEL.check.zip, if that is beside it.

    Args:
        path: an ONNX file.
        name: what the page calls it; None: the name of the file.

    Raises:
        UserError: the file is no classifier of images, or none that a page can run; or its check is damaged.
    """
    classifier = Classifier(path, threads=1)
    images, output = classifier.images, classifier.model.outputs[0]
    if images.value.dtype.name not in INPUTS or output.dtype.name not in OUTPUTS:
        raise UserError(
            f"{path}: expected an input of {', '.join(INPUTS)} and an output of {', '.join(OUTPUTS)}, got "
            f"{images.value} and {output}"
        )
    content = path.read_bytes()
    if any(uses_external_data(tensor) for tensor in onnx.load_from_string(content).graph.initializer):
        raise UserError(
            f"{path}: expected a model in one file, got one with weights in another; it is too large for a page"
        )
    check = evidence_path(path)
    examples, oracle = read_evidence(check) if check.exists() else ([], "")
    if not all(_is_of(example, classifier) for example in examples):
        raise UserError(
            f"{check}: expected the check of {path}, got that of another model; export the model again"
        )
    return PageModel(
        name=escape(name or path.stem),
        content=content,
        images=images,
        layout=classifier.model.input_layout,
        batch=classifier.model.batch,
        output=output.name,
        classes=tuple(map(escape, classifier.class_names or map(str, range(_count(classifier))))),
        examples=examples,
        oracle=oracle,
        source=_source(classifier.model.metadata),
    )


def _is_of(example: Example, classifier: Classifier) -> bool:
    """Whether a model takes the inputs of an example, and returns such outputs."""
    images, output = classifier.images, classifier.model.outputs[0]
    if set(example.inputs) != {images.value.name} or set(example.outputs) != {output.name}:
        return False
    given, returned = example.inputs[images.value.name], example.outputs[output.name]
    if given.dtype != images.value.dtype or given.ndim != 4 or returned.dtype.kind != "f" or not given.size:
        return False
    height, width, channels = to_keras(given, classifier.model.input_layout).shape[1:]
    size = images.format.height or height, images.format.width or width, images.format.channels
    return (height, width, channels) == size


def names_of(paths: Sequence[Path]) -> list[str]:
    """What the page calls the models of some files: by the file, or by its folder too where files are named alike."""
    stems = [path.stem for path in paths]
    return [
        path.stem if stems.count(path.stem) == 1 else f"{path.resolve().parent.name}/{path.stem}"
        for path in paths
    ]


def _count(classifier: Classifier) -> int:
    """The number of classes; a graph may not say, then a run of it does."""
    count = classifier.model.outputs[0].shape[1]
    if count is not None:
        return count
    height, width = classifier.height or ANY_SIZE, classifier.width or ANY_SIZE
    return classifier.predict(np.zeros((1, height, width, classifier.channels), np.uint8)).shape[1]


def _source(metadata: Mapping[str, str]) -> str:
    """What the parity check's inputs were; empty if the metadata don't say."""
    try:
        source = json.loads(metadata.get("parity", "{}"))["data"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return escape(source)[:80] if isinstance(source, str) else ""
