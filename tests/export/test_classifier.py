from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

from export.classifier import Classifier, Prediction, are_probabilities, best_classes
from export.convert import Options
from export.errors import UserError
from export.export import export_model
from kerasnorm import build_cnn
from tests.export.helpers import randomize
from tests.export.serving import LOGITS, write_model

MODEL = randomize(build_cnn("bn"))
RGB = randomize(build_cnn("gn", (20, 24, 3), num_classes=3))
IMAGES = np.random.default_rng(0).integers(0, 256, (9, 28, 28, 1), np.uint8)
PIXELS = np.array([[[10, 0, 20]]])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    export_model(MODEL, folder / "grey.onnx", quick=True)
    export_model(RGB, folder / "rgb.onnx", Options(input_layout="nchw", raw_pixels=True), quick=True)
    export_model(MODEL, folder / "fixed.onnx", Options(batch=4), quick=True)
    Image.fromarray(IMAGES[0, ..., 0]).save(folder / "image0.png")
    return folder


@pytest.mark.parametrize("name", ["grey.onnx", "fixed.onnx"])
@pytest.mark.parametrize("count", [1, 4, 9])
def test_probabilities_equal_those_of_keras(folder: Path, name: str, count: int) -> None:
    classifier = Classifier(folder / name)
    assert (classifier.height, classifier.width, classifier.channels) == (28, 28, 1)
    expected = MODEL(IMAGES[:count].astype("float32"))
    np.testing.assert_allclose(classifier.predict(IMAGES[:count]), expected, rtol=1e-4, atol=1e-5)


def test_nchw_layout_and_raw_pixels(folder: Path) -> None:
    images = np.random.default_rng(1).integers(0, 256, (3, 20, 24, 3), np.uint8)
    expected = RGB(images.astype("float32"))
    np.testing.assert_allclose(
        Classifier(folder / "rgb.onnx").predict(images), expected, rtol=1e-3, atol=1e-4
    )


def test_input_range_of_0_to_1(tmp_path: Path) -> None:
    model = randomize(
        keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
    )
    export_model(model, tmp_path / "unit.onnx", quick=True)
    images = np.random.default_rng(1).integers(0, 256, (3, 8, 8, 1), np.uint8)
    expected = model(images.astype("float32") / 255)
    np.testing.assert_allclose(
        Classifier(tmp_path / "unit.onnx").predict(images), expected, rtol=1e-4, atol=1e-5
    )


def test_read_image(folder: Path) -> None:
    array, changes = Classifier(folder / "grey.onnx").read_image(folder / "image0.png")
    np.testing.assert_array_equal(array, IMAGES[:1])
    assert changes == ""


@pytest.mark.parametrize("dtype", ["float", "double", "float16", "uint8"])
def test_types_of_the_input(dtype: str, tmp_path: Path) -> None:
    classifier = Classifier(write_model(tmp_path / "model.onnx", dtype=dtype))
    exponentials = np.exp(np.array([10.0, 0.0, 20.0]))
    expected = [exponentials / exponentials.sum()]
    np.testing.assert_allclose(classifier.predict(PIXELS), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    "options",
    [
        {"dtype": "string"},
        {"dtype": "int8"},
        {"dtype": "bool"},
        {"shape": "N, 1, 3"},
        {"shape": "N, 1, 3, 2"},
        {"ending": "y = Unsqueeze(flat, one)", "out": "N, 1, 3"},
    ],
)
def test_other_models_are_no_classifiers_of_images(options: dict[str, Any], tmp_path: Path) -> None:
    path = write_model(tmp_path / "model.onnx", **options)
    with pytest.raises(UserError, match=r"model\.onnx: expected a classifier of images, .* got inputs 'x'"):
        Classifier(path)


def test_outputs_that_are_no_rows_of_classes(tmp_path: Path) -> None:
    ending = "spots = NonZero(flat)  y = Cast <to = 1> (spots)"
    classifier = Classifier(write_model(tmp_path / "model.onnx", ending, out="N, C"))
    with pytest.raises(UserError, match=r"expected a row of classes for each of 1 images, got \(2, 2\)"):
        classifier.predict(PIXELS)
    with pytest.raises(
        UserError, match=r"expected images of shape \(n, \(1, 3, 1\)\), got int64 \(1, 2, 3, 1\)"
    ):
        classifier.predict(np.ones((1, 2, 3), int))


def test_classes_with_the_largest_values(tmp_path: Path) -> None:
    prediction = Classifier(write_model(tmp_path / "model.onnx", LOGITS)).classify(PIXELS, ["image"])[0]
    assert prediction == Prediction("image", ("2",), (2000.0,), are_scores=True)
    assert not Classifier(write_model(tmp_path / "model.onnx")).classify(PIXELS, ["image"])[0].are_scores
    first, second = best_classes(np.array([[0.25, 0.75], [0.5, 0.5]]), ["a", "b"], ["cat", "dog"], 2)
    assert first == Prediction("a", ("dog", "cat"), (0.75, 0.25))
    assert second.classes == ("cat", "dog")
    with pytest.raises(UserError, match="expected 2 class names in the model's metadata, got 1"):
        best_classes(np.ones((1, 2)), ["a"], ["cat"], 1)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([[0.25, 0.75], [1.0, 0.0]], True),
        ([[1.0004, 0.0]], True),
        ([[0.25, 0.75], [0.5, 0.7]], False),
        ([[1.5, -0.5]], False),
        ([[-0.3, -1.4]], False),  # the logarithms of probabilities
        ([[0.9]], False),  # a sigmoid
        ([[np.nan, 1.0]], False),
        ([[np.inf, -np.inf]], False),
    ],
)
def test_are_probabilities(values: list[list[float]], expected: bool) -> None:
    assert are_probabilities(np.array(values, np.float32)) is expected


def test_probabilities_of_many_classes_in_float16() -> None:
    values = np.random.default_rng(0).dirichlet(np.ones(1000), 20).astype(np.float16)
    assert are_probabilities(values)
