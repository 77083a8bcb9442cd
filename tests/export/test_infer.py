import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

from export.convert import Options
from export.export import export_model
from export.infer import Classifier, cli
from kerasnorm import build_cnn
from tests.export.helpers import randomize

DIGITS = tuple("0123456789")
MODEL = randomize(build_cnn("bn"))
RGB = randomize(build_cnn("gn", (20, 24, 3), num_classes=3))
IMAGES = np.random.default_rng(0).integers(0, 256, (9, 28, 28, 1), np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    export_model(MODEL, folder / "grey.onnx", Options(class_names=DIGITS))
    export_model(RGB, folder / "rgb.onnx", Options(input_layout="nchw", raw_pixels=True))
    export_model(MODEL, folder / "fixed.onnx", Options(batch=4))
    for index, image in enumerate(IMAGES):
        Image.fromarray(image[..., 0]).save(folder / f"image{index}.png")
    np.savez(folder / "images.npz", x_test=IMAGES)
    return folder


@pytest.fixture
def infer(here: Callable[..., Any]) -> Callable[..., Any]:
    return partial(here, cli)


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
    export_model(model, tmp_path / "unit.onnx")
    images = np.random.default_rng(1).integers(0, 256, (3, 8, 8, 1), np.uint8)
    expected = model(images.astype("float32") / 255)
    np.testing.assert_allclose(
        Classifier(tmp_path / "unit.onnx").predict(images), expected, rtol=1e-4, atol=1e-5
    )


def test_command_classifies_files_folders_and_arrays(folder: Path, infer: Callable[..., Any]) -> None:
    classes = MODEL(IMAGES.astype("float32")).numpy().argmax(axis=1)
    code, output, errors = infer(folder / "grey.onnx", folder / "image3.png")
    assert (code, errors) == (0, "")
    assert output.startswith(f"{folder / 'image3.png'}: {classes[3]} ")
    for given in (folder, folder / "images.npz"):
        code, output, _ = infer(folder / "grey.onnx", given, "--json", "--top", 2, "--threads", 1)
        rows = [json.loads(line) for line in output.splitlines()]
        assert [row["classes"][0]["class"] for row in rows] == [DIGITS[c] for c in classes]
        assert all(len(row["classes"]) == 2 for row in rows)


def test_command_says_how_an_image_was_changed(
    folder: Path, tmp_path: Path, infer: Callable[..., Any]
) -> None:
    Image.fromarray(IMAGES[0, ..., 0]).resize((56, 70)).convert("RGB").save(tmp_path / "image.png")
    code, output, errors = infer(folder / "grey.onnx", tmp_path / "image.png")
    assert (code, errors) == (0, f"{tmp_path / 'image.png'}: RGB to grey, 56x70 to 28x28 pixels\n")
    assert output.count("\n") == 1


def test_read_image(folder: Path) -> None:
    array, changes = Classifier(folder / "grey.onnx").read_image(folder / "image0.png")
    np.testing.assert_array_equal(array, IMAGES[:1])
    assert changes == ""


def test_command_needs_numpy_onnxruntime_and_pillow_alone(folder: Path) -> None:
    blocked = ("tensorflow", "keras", "onnx", "onnx_ir", "matplotlib", "kerasnorm", "tf2onnx", "sklearn")
    program = (
        f"import sys\nfor name in {blocked!r}: sys.modules[name] = None\n"
        f"sys.argv = ['kerasnorm-infer', {str(folder / 'grey.onnx')!r}, {str(folder / 'image0.png')!r}]\n"
        "from export.infer import cli; sys.exit(cli())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "image0.png: " in done.stdout


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["none.onnx", "image0.png"], "none.onnx: expected an ONNX file, found no file of that name"),
        (["image0.png", "image0.png"], "image0.png: expected an ONNX model that onnxruntime can run"),
        (["grey.onnx", "none.png"], "none.png: expected an image, found nothing of that name"),
        (["grey.onnx", "grey.onnx"], "grey.onnx: expected an image (.png, "),
        (["grey.onnx", "empty"], "empty: expected a folder with images"),
        (["grey.onnx", "none.npz"], "none.npz: expected a .npz file, found nothing"),
        (["grey.onnx", "bad.npz"], "bad.npz: expected a readable .npz file"),
        (["grey.onnx", "rgb.npz"], "expected images of shape (n, (28, 28, 1)), got float64 (2, 8, 8, 3)"),
        (["grey.onnx", "image0.png", "--top", "0"], "top: expected 1 or more, got 0"),
        (["grey.onnx", "image0.png", "--threads", "-1"], "threads: expected 0 or more, got -1"),
        (["grey.onnx"], "the following arguments are required: IMAGE"),
    ],
)
def test_unusable_input_is_one_line_and_exit_code_2(
    folder: Path, infer: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, argv: list[str], message: str
) -> None:
    monkeypatch.chdir(folder)
    (folder / "empty").mkdir(exist_ok=True)
    (folder / "bad.npz").write_bytes(b"PK")
    np.savez(folder / "rgb.npz", x=np.zeros((2, 8, 8, 3)))
    code, output, errors = infer(*argv)
    assert (code, output) == (2, "")
    assert errors.count("\n") == 1
    assert message in errors


def test_model_that_is_not_a_classifier_of_images(tmp_path: Path) -> None:
    export_model(
        randomize(keras.Sequential([keras.Input((5,)), keras.layers.Dense(2)])), tmp_path / "dense.onnx"
    )
    with pytest.raises(
        ValueError, match=r"expected a classifier of images, one input of 4 axes .* got inputs"
    ):
        Classifier(tmp_path / "dense.onnx")
