import io
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
from export.export import export_model
from export.infer import cli
from kerasnorm import build_cnn
from tests.export.helpers import randomize
from tests.export.serving import LOGITS, write_model

DIGITS = tuple("0123456789")
MODEL = randomize(build_cnn("bn"))
RGB = randomize(build_cnn("gn", (20, 24, 3), num_classes=3))
IMAGES = np.random.default_rng(0).integers(0, 256, (9, 28, 28, 1), np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    export_model(MODEL, folder / "grey.onnx", Options(class_names=DIGITS), quick=True)
    export_model(RGB, folder / "rgb.onnx", Options(input_layout="nchw", raw_pixels=True), quick=True)
    export_model(MODEL, folder / "fixed.onnx", Options(batch=4), quick=True)
    for index, image in enumerate(IMAGES):
        Image.fromarray(image[..., 0]).save(folder / f"image{index}.png")
    np.savez(folder / "images.npz", x_test=IMAGES)
    return folder


@pytest.fixture
def infer(here: Callable[..., Any]) -> Callable[..., Any]:
    return partial(here, cli)


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
        (["grey.onnx", "rgb.npz"], "expected 'image' of float32 (n, 28, 28, 1), got float64 (2, 8, 8, 3)"),
        (["grey.onnx", "image0.png", "--top", "0"], "top: expected 1 or more, got 0"),
        (["grey.onnx", "image0.png", "--threads", "-1"], "threads: expected 0 or more, got -1"),
        (["grey.onnx"], "the following arguments are required: FILE"),
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
        ({"shape": "N, 1, 3, 2"}, "expected 'x' of float32 (n, 1, 3, 2), got uint8 (1, 1, 3)"),
        ({"shape": "N, 0, 3, 1"}, "expected sizes of 1 or more, got an input 'x' of float32 (n, 0, 3, 1)"),
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


def test_probabilities_are_printed_as_percentages(pixels: Path, infer: Callable[..., Any]) -> None:
    path = write_model(pixels.with_name("model.onnx"))
    assert infer(path, pixels)[1] == f"{pixels}[0]: 2 100.00 %\n"
    (row,) = json.loads(infer(path, pixels, "--json")[1])["classes"]
    assert row == {"class": "2", "probability": pytest.approx(1, abs=1e-3)}


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


def test_command_serves_a_model_of_several_inputs(tmp_path: Path, infer: Callable[..., Any]) -> None:
    """A table with a number, a text and a code, from Keras to a file of results."""
    age, colour = keras.Input((1,), name="age"), keras.Input((1,), dtype="string", name="colour")
    words = keras.layers.StringLookup(vocabulary=["red", "green"], output_mode="one_hot")(colour)
    x = keras.layers.Concatenate()([keras.layers.Rescaling(0.1)(age), words])
    model = randomize(keras.Model([age, colour], keras.layers.Dense(1, name="price")(x)))
    export_model(model, tmp_path / "m.onnx", quick=True)
    (tmp_path / "t.csv").write_text('colour,note,age\nred,?,20\n"blue",!,3.5\n')
    expected = model(
        [keras.ops.array([[20.0], [3.5]]), keras.ops.convert_to_tensor([["red"], ["blue"]])]
    ).numpy()
    code, output, errors = infer(tmp_path / "m.onnx", tmp_path / "t.csv", "-o", tmp_path / "out.csv")
    assert (code, output, errors) == (0, f"{tmp_path / 'out.csv'}: 2 rows of price\n", "")
    header, *rows = (tmp_path / "out.csv").read_text().splitlines()
    assert header == "name,price"
    np.testing.assert_allclose(
        [float(row.split(",")[1]) for row in rows], expected[:, 0], rtol=1e-5, atol=1e-6
    )
    np.savez(tmp_path / "t.npz", age=[20.0, 3.5], colour=["red", "blue"])
    assert infer(tmp_path / "m.onnx", tmp_path / "t.npz", "--batch", 1)[1] == "".join(
        f"{tmp_path / 't.npz'}[{index}]: price [{value:.5g}]\n" for index, value in enumerate(expected[:, 0])
    )
    assert (
        infer(tmp_path / "m.onnx", tmp_path / "t.csv", tmp_path / "t.npz", "-o", tmp_path / "out.npz")[0] == 0
    )
    with np.load(tmp_path / "out.npz") as arrays:
        np.testing.assert_allclose(arrays["price"], [*expected, *expected], rtol=1e-5, atol=1e-6)
    code, output, errors = infer(tmp_path / "m.onnx", tmp_path / "m.png")
    assert (code, output, errors.count("\n")) == (2, "", 1)
    assert (
        "m.png: expected a .csv or .npz file, because the model takes 'age' of float32 (n, 1); 'colour'"
        in errors
    )


def test_command_writes_images_of_a_model_of_images(tmp_path: Path, infer: Callable[..., Any]) -> None:
    path = write_model(
        tmp_path / "m.onnx", "y = Identity(x)", {"input_range": "[-1, 1]"}, "N, 2, 2, 1", "N, 2, 2, 1"
    )
    pixels = np.array([[[0, 255], [51, 102]]], np.uint8)[..., np.newaxis]
    np.savez(tmp_path / "x.npz", x=pixels)
    assert (
        infer(path, tmp_path / "x.npz")[1] == f"{tmp_path / 'x.npz'}[0]: y [[[-1], [1]], [[-0.6], [-0.2]]]\n"
    )
    assert infer(path, tmp_path / "x.npz", "-o", tmp_path / "out.npz")[0] == 0
    with np.load(tmp_path / "out.npz") as arrays:
        np.testing.assert_allclose(arrays["y"], pixels / 127.5 - 1, rtol=1e-5, atol=1e-6)
    np.save(tmp_path / "values.npy", pixels / 127.5 - 1)
    assert (
        infer(path, tmp_path / "values.npy")[2].count("expected pixels 0..255, got values from -1 to 1") == 1
    )
    assert infer(path, tmp_path / "values.npy", "--values", "-o", tmp_path / "same.npz")[0] == 0
    code, _, errors = infer(path, tmp_path / "x.npz", "-o", tmp_path / "out.csv")
    assert (code, errors.count("\n")) == (2, 1)
    assert "got 'y' of shape (1, 2, 2, 1); write a .npz file" in errors
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize("name", ["out.txt", "none/out.npz", "."])
def test_output_that_cannot_be_written(name: str, pixels: Path, infer: Callable[..., Any]) -> None:
    path = write_model(pixels.with_name("model.onnx"))
    code, output, errors = infer(path, pixels, "-o", pixels.parent / name)
    assert (code, output, errors.count("\n")) == (2, "", 1)
    assert "expected a .npz or .csv file in an existing folder; choose another with -o" in errors


def test_texts_from_standard_input(
    tmp_path: Path, infer: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.onnx"
    text = "g (string[N] x) => (string[N] y) { y = Identity(x) }"
    onnx.save(onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 17]> {text}'), path)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("Red\r\nGR\u00dcN\n".encode())))
    assert infer(path, "-") == (0, '-[0]: y "Red"\n-[1]: y "GR\u00dcN"\n', "")
    (tmp_path / "t.txt").write_bytes(b"One\x1b[2J")
    assert infer(path, tmp_path / "t.txt", "--json")[1] == (
        json.dumps({"name": f"{tmp_path / 't.txt'}[0]", "outputs": {"y": "One\x1b[2J"}}) + "\n"
    )


def test_output_without_a_row_for_each_image(pixels: Path, infer: Callable[..., Any]) -> None:
    ending = "spots = NonZero(flat)  y = Cast <to = 1> (spots)"
    path = write_model(pixels.with_name("model.onnx"), ending, out="N, C")
    assert infer(path, pixels) == (0, "y [[0, 0], [0, 2]]\n", "")


def test_warnings_about_nan(pixels: Path, infer: Callable[..., Any]) -> None:
    path = write_model(pixels.with_name("model.onnx"))
    np.savez(pixels, x=np.array([[[0, 1, 2]], [[np.nan, 1, 2]]]))
    _, _, errors = infer(path, pixels)
    assert errors.splitlines() == [
        f"hint: {pixels}: input 'x' is NaN in 1 of 2 rows, the first is 1",
        f"warning: output 'y' is NaN for 1 row, first for {pixels}[1]",
    ]


def test_help_says_what_a_file_may_hold(infer: Callable[..., Any]) -> None:
    code, output, errors = infer("--help")
    assert (code, errors) == (0, "")
    assert "  .csv            a table; its first line names the columns" in output
