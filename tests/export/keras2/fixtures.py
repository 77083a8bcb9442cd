"""The models that tf_keras saved (tests/keras2/save_models.py), and what it computed."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np

SAVED = Path(__file__).parents[2] / "keras2/models"


def arrays_of(name: str) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The inputs and outputs of a model."""
    with np.load(SAVED / f"{name}.npz") as file:
        inputs = [file[key] for key in file.files if key.startswith("input")]
        shapes, values = json.loads(file["shapes"].tobytes()), file["outputs"]
    ends = np.cumsum([int(np.prod(shape[1:])) for shape in shapes])
    parts = np.split(values, ends[:-1])
    return inputs, [
        part.reshape(shape[1:]).astype(shape[0]) for part, shape in zip(parts, shapes, strict=True)
    ]


def config_of(name: str) -> dict[str, Any]:
    """The configuration of a model of functions of TensorFlow."""
    with np.load(SAVED / f"{name}.npz") as file:
        return json.loads(file["config"].tobytes())


def outputs_of(model: keras.Model, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """What a model computes, in the order in which the fixtures have the outputs."""
    outputs = model(inputs if len(inputs) > 1 else inputs[0])
    if isinstance(outputs, dict):
        outputs = [outputs[key] for key in sorted(outputs)]
    return [np.asarray(output) for output in keras.tree.flatten(outputs)]
