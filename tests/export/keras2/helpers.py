"""The models that Keras 2.15 saved with tensorflow-addons 0.23 (tests/addons/save_models.py)."""

from pathlib import Path

import keras
import numpy as np

SCRIPT = Path(__file__).parents[2] / "addons/save_models.py"
MODELS = SCRIPT.parent / "models"
# The replaced layers of each model; each is there as .h5, .keras, and (not sequence) as a SavedModel.
REPLACED = {"cnn": 5, "nested": 3, "sequence": 3, "stock": 0}


def model_name(path: Path) -> str:
    """The name of the model in a file or folder."""
    return path.name.split(".")[0].removesuffix("-saved")


FILES = sorted(
    path.name for path in MODELS.iterdir() if model_name(path) in REPLACED and path.suffix != ".npz"
)


def check_outputs(path: Path, model: keras.Model) -> None:
    """Compare a model's outputs with those that tensorflow-addons computed for the one at `path`."""
    with np.load(path.with_name(f"{model_name(path)}.npz")) as file:
        inputs = [file[name] for name in file.files if name.startswith("input")]
        expected = [file[name] for name in file.files if name.startswith("output")]
    outputs = model(inputs if len(inputs) > 1 else inputs[0])
    outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
    for output, one in zip(outputs, expected, strict=True):
        assert np.ptp(one) > 0.01
        np.testing.assert_allclose(output, one, rtol=1e-5, atol=1e-5)
