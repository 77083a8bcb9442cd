import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import onnx.parser
import pytest
from PIL import Image

from export.convert import Options
from export.errors import UserError
from export.export import export_model
from export.infer import Classifier, Prediction, are_probabilities, cli
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


SOFTMAX = "y = Softmax <axis = -1> (flat)"
LOGITS = "hundred = Constant <value_float = 100.0> ()  y = Mul(flat, hundred)"


def write_model(
    path: Path,
    ending: str = SOFTMAX,
    metadata: dict[str, str] | None = None,
    shape: str = "N, 1, 3, 1",
    out: str = "N, 3",
    dtype: str = "float",
) -> Path:
    """A classifier of three grey pixels into the brightest one, as a stranger may write it."""
    model = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["": 17]> stranger ({dtype}[{shape}] x) => (float[{out}] y)'
        f"{{ number = Cast <to = 1> (x)  flat = Flatten(number)  {ending} }}"
    )
    onnx.helper.set_model_props(model, metadata or {})
    onnx.save(model, path)
    return path


@pytest.fixture
def pixels(tmp_path: Path) -> Path:
    """One image of three pixels: 10, 0 and 20."""
    np.savez(tmp_path / "pixels.npz", x=np.array([[[10, 0, 20]]], np.uint8))
    return tmp_path / "pixels.npz"


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"input_range": "black to white"}, "expected input_range [LOW, HIGH] in the metadata, got"),
        ({"input_range": "[0, 1, 2]"}, "expected input_range [LOW, HIGH] in the metadata, got"),
        ({"input_range": "null"}, "expected input_range [LOW, HIGH] in the metadata, got"),
        ({"input_range": "[0, NaN]"}, "expected input_range [LOW, HIGH] in the metadata, got"),
        ({"input_layout": "\x1b[2J"}, r"expected input_layout nhwc or nchw in the metadata, got '\x1b[2J'"),
        ({"class_names": "cat, dog"}, "expected class_names, a list of texts, in the metadata, got"),
        ({"class_names": "5"}, "expected class_names, a list of texts, in the metadata, got"),
        ({"class_names": "[1, 2, 3]"}, "expected class_names, a list of texts, in the metadata, got"),
        ({"class_names": '["cat"]'}, "expected 3 class names in the metadata, got 1"),
    ],
)
def test_malformed_metadata_are_one_line_and_exit_code_2(
    metadata: dict[str, str], message: str, pixels: Path, infer: Callable[..., Any]
) -> None:
    path = write_model(pixels.with_name("model.onnx"), metadata=metadata)
    code, output, errors = infer(path, pixels)
    assert (code, output) == (2, "")
    assert errors.count("\n") == 1
    assert message in errors
    assert "\x1b" not in errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shape": "N, 60000, 60000, 1"}, "expected at most 100 times"),
        ({"shape": "N, 1, 3, 2"}, "expected a model of images of 1 or 3 channels, got 2"),
        ({"shape": "N, 0, 3, 1"}, "expected sizes of 1 or more, got an input of ['N', 0, 3, 1]"),
        ({"shape": "N, 1, 3"}, "expected a classifier of images, one input of 4 axes and an output of 2"),
        (
            {"ending": "spots = NonZero(flat)  y = Cast <to = 1> (spots)", "out": "N, C"},
            "expected a row of classes for each of 1 images, got (2, 2)",
        ),
        (
            {"ending": "y = MatMul(flat, flat)", "out": "N, C"},
            "expected a model that runs with inputs of float32 (1, 1, 3, 1)",
        ),
        ({"metadata": {"class_names": '["a"]'}, "out": "N, C"}, "expected 3 class names"),
    ],
)
def test_model_that_is_not_what_it_declares(
    options: dict[str, Any], message: str, pixels: Path, infer: Callable[..., Any]
) -> None:
    path = write_model(pixels.with_name("model.onnx"), **options)
    code, output, errors = infer(path, pixels)
    assert (code, output, errors.count("\n")) == (2, "", 1)
    assert message in errors


@pytest.mark.parametrize("dtype", ["float", "double", "float16", "uint8"])
def test_types_of_the_input(dtype: str, pixels: Path) -> None:
    classifier = Classifier(write_model(pixels.with_name("model.onnx"), dtype=dtype))
    exponentials = np.exp(np.array([10.0, 0.0, 20.0]))
    expected = [exponentials / exponentials.sum()]
    np.testing.assert_allclose(classifier.predict(np.array([[[10, 0, 20]]])), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("dtype", ["string", "int8", "bool"])
def test_other_types_of_the_input(dtype: str, pixels: Path) -> None:
    path = write_model(pixels.with_name("model.onnx"), dtype=dtype)
    with pytest.raises(
        UserError, match=rf"model\.onnx: expected 'x' of uint8, float, double, float16, got tensor\({dtype}\)"
    ):
        Classifier(path)


def test_names_cannot_forge_lines_or_reach_the_terminal(pixels: Path, infer: Callable[..., Any]) -> None:
    names = ["a", "b", "cat 1.00 %\nforged.png: dog\x1b[2J\x9b\u202e\x7f"]
    path = write_model(pixels.with_name("model.onnx"), metadata={"class_names": json.dumps(names)})
    forged = pixels.rename(pixels.with_name("one\ntwo\x1b[31m.npz"))
    code, output, errors = infer(path, forged)
    assert (code, errors) == (0, "")
    assert output.endswith(
        r"one\ntwo\x1b[31m.npz[0]: cat 1.00 %\nforged.png: dog\x1b[2J\x9b\u202e\x7f 100.00 %" + "\n"
    )
    assert output[:-1].isprintable()
    code, output, _ = infer(path, forged, "--json")
    row = json.loads(output)
    assert (row["name"], row["classes"][0]["class"]) == (f"{forged}[0]", names[2])
    assert output[:-1].isprintable()


def test_array_names_cannot_reach_the_terminal(pixels: Path, infer: Callable[..., Any]) -> None:
    path = write_model(pixels.with_name("model.onnx"))
    arrays: dict[str, Any] = {"a\x1b[2J": np.zeros(1), "b\nc": np.zeros(1)}
    np.savez(pixels, **arrays)
    code, output, errors = infer(path, pixels)
    assert (code, output, errors.count("\n")) == (2, "", 1)
    assert r"got a\x1b[2J, b c" in errors
    assert errors[:-1].isprintable()


def test_file_names_cannot_reach_the_terminal(
    folder: Path, tmp_path: Path, infer: Callable[..., Any]
) -> None:
    path = tmp_path / "one\x1b[31m\ntwo.png"
    Image.new("L", (56, 56)).save(path)
    code, output, errors = infer(folder / "grey.onnx", path)
    assert code == 0
    assert errors.endswith(r"one\x1b[31m\ntwo.png: 56x56 to 28x28 pixels" + "\n")
    assert (output.count("\n"), errors.count("\n")) == (1, 1)
    assert (output[:-1] + errors[:-1]).isprintable()


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_json_is_valid_with_nan_and_infinity(value: str, pixels: Path, infer: Callable[..., Any]) -> None:
    ending = "low = Constant <value_float = 0.0> ()  y = Mul(flat, low)"
    path = write_model(pixels.with_name("model.onnx"), ending)
    np.savez(pixels, x=np.array([[[float(value), 1, 2]]]))

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    code, output, _ = infer(path, pixels, "--json", "--top", 3)
    assert code == 0
    classes = json.loads(output, parse_constant=refuse)["classes"]
    assert [row["score"] for row in classes] == [0, 0, None]
    assert infer(path, pixels, "--top", 3)[:2] == (
        0,
        f"{pixels}[0]: 1 score 0, 2 score 0, 0 score nan\n",
    )


def test_logits_are_printed_as_scores(pixels: Path, infer: Callable[..., Any]) -> None:
    path = write_model(pixels.with_name("model.onnx"), LOGITS)
    code, output, errors = infer(path, pixels, "--top", 2)
    assert (code, output, errors) == (0, f"{pixels}[0]: 2 score 2000, 0 score 1000\n", "")
    code, output, _ = infer(path, pixels, "--json")
    assert json.loads(output)["classes"] == [{"class": "2", "score": 2000.0}]
    prediction = Classifier(path).classify(np.array([[[10, 0, 20]]]), ["image"])[0]
    assert prediction == Prediction("image", ("2",), (2000.0,), are_scores=True)


def test_probabilities_are_printed_as_percentages(pixels: Path, infer: Callable[..., Any]) -> None:
    path = write_model(pixels.with_name("model.onnx"))
    assert infer(path, pixels)[1] == f"{pixels}[0]: 2 100.00 %\n"
    (row,) = json.loads(infer(path, pixels, "--json")[1])["classes"]
    assert row == {"class": "2", "probability": pytest.approx(1, abs=1e-3)}
    assert not Classifier(path).classify(np.array([[[10, 0, 20]]]), ["image"])[0].are_scores


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


def ink(path: Path, paper: int, ink: int) -> Path:
    pixels = np.full((28, 28), paper, np.uint8)
    pixels[4:24, 12:16] = ink
    Image.fromarray(pixels).save(path)
    return path


def test_hint_for_dark_ink_on_light_paper(folder: Path, tmp_path: Path, infer: Callable[..., Any]) -> None:
    dark = [ink(tmp_path / f"dark{index}.png", 230, 20) for index in range(2)]
    light = ink(tmp_path / "light.png", 0, 255)
    text = "like dark ink on light paper; most models of small grey images are trained on light ink on a dark"
    code, output, errors = infer(folder / "grey.onnx", dark[0], light)
    assert (code, output.count("\n"), errors.count("\n")) == (0, 2, 1)
    assert errors.startswith(f"hint: {dark[0]} looks {text}")
    _, _, errors = infer(folder / "grey.onnx", *dark)
    assert errors.startswith(f"hint: {dark[0]} and 1 more look {text}")
    assert errors.endswith("use --invert\n")
    np.savez(tmp_path / "x.npz", x=np.stack([np.asarray(Image.open(path)) for path in dark]))
    _, _, errors = infer(folder / "grey.onnx", tmp_path / "x.npz")
    assert errors.startswith(f"hint: {tmp_path / 'x.npz'}[0] and 1 more look {text}")


def test_no_hint(folder: Path, tmp_path: Path, infer: Callable[..., Any]) -> None:
    dark, light = ink(tmp_path / "dark.png", 230, 20), ink(tmp_path / "light.png", 0, 255)
    assert infer(folder / "grey.onnx", light)[2] == ""
    assert infer(folder / "grey.onnx", light, "--invert")[2] == ""
    assert infer(folder / "grey.onnx", dark, "--invert")[2] == ""
    assert infer(folder / "rgb.onnx", dark)[2] == f"{dark}: L to RGB, 28x28 to 24x20 pixels\n"


def test_inverted_image_is_classified_as_its_negative(
    folder: Path, tmp_path: Path, infer: Callable[..., Any]
) -> None:
    ink(tmp_path / "image.png", 0, 255)
    _, expected, _ = infer(folder / "grey.onnx", tmp_path / "image.png", "--top", 10)
    ink(tmp_path / "image.png", 255, 0)
    assert infer(folder / "grey.onnx", tmp_path / "image.png", "--top", 10, "--invert") == (0, expected, "")


def test_photo_of_a_turned_camera(folder: Path, tmp_path: Path, infer: Callable[..., Any]) -> None:
    Image.fromarray(IMAGES[0, ..., 0]).save(tmp_path / "image.png")
    _, expected, _ = infer(folder / "grey.onnx", tmp_path / "image.png", "--top", 10)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn it clockwise
    Image.fromarray(np.rot90(IMAGES[0, ..., 0]).copy()).save(tmp_path / "image.png", exif=exif)
    code, output, errors = infer(folder / "grey.onnx", tmp_path / "image.png", "--top", 10)
    assert (code, output, errors) == (0, expected, f"{tmp_path / 'image.png'}: turned upright\n")
