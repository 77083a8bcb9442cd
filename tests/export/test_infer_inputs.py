from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest
from PIL import Image

from export.errors import UserError
from export.image_input import ImageInput
from export.infer_inputs import Reader, Rows
from export.served_model import ServedModel
from tests.export.serving import write_model

PIXELS = np.random.default_rng(0).integers(0, 200, (3, 4, 5, 1), np.uint8)


def reader(folder: Path, inputs: str = "", **options: Any) -> Reader:
    """A reader for a model of grey images, or of the inputs given in ONNX's syntax."""
    path = folder / "model.onnx"
    if inputs:
        text = f"g ({inputs}) => (float y) {{ y = Constant <value_float = 0.0> () }}"
        onnx.save(onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 17]> {text}'), path)
    else:
        write_model(path, shape="N, 4, 5, 1", metadata={"input_range": "[0, 1]"})
    model = ServedModel(path)
    return Reader(model, ImageInput.of(model), **options)


def read(found: Reader, *paths: object) -> list[Rows]:
    return list(found.read([str(path) for path in paths]))


def test_images_folders_and_arrays_hold_the_same_pixels(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for index, pixels in enumerate(PIXELS):
        Image.fromarray(pixels[..., 0]).save(tmp_path / "images" / f"{index}.png")
    np.savez(tmp_path / "a.npz", x_train=np.zeros(3), x_test=PIXELS)
    np.savez(tmp_path / "b.npz", other=PIXELS[..., 0].astype(float))
    np.save(tmp_path / "c.npy", PIXELS.astype(np.int16))
    grey, expected = reader(tmp_path), PIXELS.astype(np.float32) / 255
    names = ["a.npz", "b.npz", "c.npy"]
    for name, rows in zip(names, read(grey, *(tmp_path / name for name in names)), strict=True):
        np.testing.assert_allclose(rows.inputs["x"], expected, rtol=1e-6, atol=1e-7)
        assert rows.names == [f"{tmp_path / name}[{index}]" for index in range(3)]
    rows_of_images = read(grey, tmp_path / "images")
    assert [rows.names for rows in rows_of_images] == [
        [str(tmp_path / "images" / f"{i}.png")] for i in range(3)
    ]
    np.testing.assert_allclose(
        np.concatenate([rows.inputs["x"] for rows in rows_of_images]), expected, rtol=1e-6, atol=1e-7
    )


@pytest.mark.parametrize("dtype", ["uint8", "float64", "int16"])
def test_inverted_pixels(dtype: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=PIXELS.astype(dtype))
    (rows,) = read(reader(tmp_path, invert=True), tmp_path / "x.npz")
    np.testing.assert_allclose(rows.inputs["x"], (255 - PIXELS.astype(float)) / 255, rtol=1e-6, atol=1e-7)


def test_values_instead_of_pixels(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=PIXELS / 255)
    (rows,) = read(reader(tmp_path), tmp_path / "x.npz")
    assert rows.notes[0].startswith(f"hint: {tmp_path / 'x.npz'}: its values are read as pixels 0..255, but ")
    (rows,) = read(reader(tmp_path, as_values=True), tmp_path / "x.npz")
    np.testing.assert_array_equal(rows.inputs["x"], PIXELS / 255)
    assert rows.notes == []


def test_arrays_by_the_names_of_the_inputs(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", b=np.ones(2), c=np.zeros(9), a=np.array([[1.0], [np.nan]]))
    (rows,) = read(reader(tmp_path, "float[N, 1] a, float[N] b"), tmp_path / "x.npz")
    assert list(rows.inputs) == ["a", "b"]
    assert rows.names == [f"{tmp_path / 'x.npz'}[0]", f"{tmp_path / 'x.npz'}[1]"]
    assert rows.notes == [f"hint: {tmp_path / 'x.npz'}: input 'a' is NaN in 1 of 2 rows, the first is 1"]


def test_tables_and_texts(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("b,a\n1,2\n")
    (tmp_path / "t.txt").write_text("one\ntwo\n")
    (rows,) = read(reader(tmp_path, "float[N, 1] a, float[N] b"), tmp_path / "t.csv")
    assert {name: array.tolist() for name, array in rows.inputs.items()} == {"a": [[2.0]], "b": [1.0]}
    (rows,) = read(reader(tmp_path, "float[N, 1] a, float[N] b", columns=["b", "a"]), tmp_path / "t.csv")
    assert rows.inputs["a"].tolist() == [[1.0]]
    (rows,) = read(reader(tmp_path, "string[N] text"), tmp_path / "t.txt")
    assert rows.inputs["text"].tolist() == ["one", "two"]
    assert rows.names == [f"{tmp_path / 't.txt'}[0]", f"{tmp_path / 't.txt'}[1]"]


@pytest.mark.parametrize(
    ("inputs", "name", "message"),
    [
        ("", "none.npz", r"expected a \.npz file, found nothing"),
        ("", "none.npy", r"expected a \.npy file, found nothing"),
        ("", "folder.npy", r"expected a \.npy file, got a folder"),
        ("", "x.npy", r"expected 'x' of float32 \(n, 4, 5, 1\), got float64 \(2, 7\)"),
        ("", "text.npz", r"expected 'x' of float32 \(n, 4, 5, 1\), got <U1 \(1, 4, 5, 1\)"),
        ("", "two.npz", "expected an array named one of x, x_test, x, images, got a, b"),
        ("float[N] a, float[N] c", "two.npz", "expected an array 'c' for each row, got a, b"),
        ("float[N] a, float[N] c", "x.npy", r"expected a \.npz file with the arrays a, c, got one array"),
        (
            "float[N] a",
            "x.png",
            r"expected a \.csv or \.npz file, because the model takes 'a' of float32 \(n,\)",
        ),
        (
            "string[N] a",
            "x.png",
            r"expected a \.txt, \.csv, \.npz or \.npy file, because the model takes 'a'",
        ),
        (
            "float[N, 2, 2] a",
            "x.png",
            r"expected a \.npz file, because the model takes 'a' of float32 \(n, 2, 2\)",
        ),
    ],
)
def test_unusable_files(inputs: str, name: str, message: str, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones((2, 7)))
    np.savez(tmp_path / "two.npz", a=np.ones(2), b=np.ones(2))
    np.savez(tmp_path / "text.npz", x=np.full((1, 4, 5, 1), "a"))
    (tmp_path / "folder.npy").mkdir()
    with pytest.raises(UserError, match=message):
        read(reader(tmp_path, inputs), tmp_path / name)
