from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest

from export.errors import UserError
from export.served_model import TEXT, ServedModel, Value, fit


def model(path: Path, text: str, metadata: dict[str, str] | None = None) -> Path:
    proto = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 17]> {text}')
    onnx.helper.set_model_props(proto, metadata or {})
    onnx.save(proto, path)
    return path


TWO = (
    "g (float[N, 3] x, string[N, 1] word) => (float[N, 3] y, string[N, 1] z)"
    "{ y = Add(x, x)  z = Identity(word) }"
)


@pytest.mark.parametrize("batch", [1, 2, 5, 100])
def test_several_inputs_and_outputs_in_batches(batch: int, tmp_path: Path) -> None:
    served = ServedModel(model(tmp_path / "two.onnx", TWO))
    x, word = np.arange(15.0).reshape(5, 3), np.array(list("abcde"))
    outputs = served.predict({"x": x, "word": word, "other": x}, batch)
    np.testing.assert_array_equal(outputs["y"], 2 * x.astype("float32"))
    assert outputs["z"].tolist() == word[:, np.newaxis].tolist()
    assert [str(value) for value in served.inputs] == ["'x' of float32 (n, 3)", "'word' of strings (n, 1)"]


@pytest.mark.parametrize("count", [0, 1, 3, 4, 9])
def test_fixed_batch_is_filled_up(count: int, tmp_path: Path) -> None:
    served = ServedModel(
        model(tmp_path / "fixed.onnx", "g (int64[4, 2] x) => (int64[4, 2] y) { y = Neg(x) }")
    )
    x = np.arange(2 * count).reshape(count, 2)
    assert served.batch == 4
    np.testing.assert_array_equal(served.predict(x)["y"], -x)


def test_arrays_are_in_the_layout_that_keras_has(tmp_path: Path) -> None:
    path = model(
        tmp_path / "nchw.onnx",
        "g (float[N, 3, 4, 5] x) => (float[N, 3, 4, 5] y) <float[3, 1, 1] scale = {1., 2., 3.}> { y = Mul(x, scale) }",
        {"input_layout": "nchw", "output_layout": "nchw"},
    )
    served, x = ServedModel(path), np.random.default_rng(0).normal(size=(2, 4, 5, 3))
    assert str(served.inputs[0]) == "'x' of float32 (n, 4, 5, 3)"
    np.testing.assert_allclose(served.predict(x)["y"], x * [1, 2, 3], rtol=1e-6, atol=0)


def test_output_without_rows(tmp_path: Path) -> None:
    text = "g (float[N, 2] x) => (float s) { s = ReduceSum <keepdims = 0> (x) }"
    served = ServedModel(model(tmp_path / "sum.onnx", text))
    assert served.predict(np.ones((3, 2)))["s"] == 6
    with pytest.raises(
        UserError, match=r"output 's' to have a row .* for each of 3 rows.*; raise --batch to 3"
    ):
        served.predict(np.ones((3, 2)), batch=2)
    fixed = ServedModel(model(tmp_path / "fixed.onnx", text.replace("N, 2", "4, 2")))
    with pytest.raises(UserError, match=r"for each of the 4 rows of the fixed batch, got shape \(\)"):
        fixed.predict(np.ones((3, 2)))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (np.ones((2, 3)), r"expected an array for each input \(x, word\), got a single one"),
        ({"x": np.ones((2, 3))}, r"expected an array for input 'word' of strings \(n, 1\), got x"),
        (
            {"x": np.ones((2, 3)), "word": np.array(["a"])},
            "expected as many rows of each input, got 2 of 'x', 1 of 'word'",
        ),
        (
            {"x": np.ones((2, 4)), "word": np.array(["a", "b"])},
            r"expected 'x' of float32 \(n, 3\), got float64 \(2, 4\)",
        ),
        ({"x": np.ones((2, 3)), "word": np.ones(2)}, r"expected 'word' of strings \(n, 1\), got float64"),
    ],
)
def test_unusable_arrays(inputs: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        ServedModel(model(tmp_path / "two.onnx", TWO)).predict(inputs)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "g (float x) => (float y) { y = Neg(x) }",
            r"expected inputs with a batch axis, got 'x' of float32 \(\)",
        ),
        (
            "g (float[2] a, float[3] b) => (float[2] y) { y = Neg(a)  z = Neg(b) }",
            "expected one batch size, got 2, 3",
        ),
        ("g (bfloat16[N] x) => (bfloat16[N] y) { y = Identity(x) }", r"got 'x' of tensor\(bfloat16\)"),
        (
            "g (seq(float[N]) x) => (float[N] y) { i = Constant <value_int = 0> ()  y = SequenceAt(x, i) }",
            "got 'x' of seq",
        ),
    ],
)
def test_unusable_models(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        ServedModel(model(tmp_path / "model.onnx", text))


FIT = [
    ("float32", [1, 2], [1.0, 2.0]),
    ("float32", [True, False], [1.0, 0.0]),
    ("float16", [0.5, np.nan], [0.5, np.nan]),
    ("int32", [1.0, -3.0], [1, -3]),
    ("uint8", [0, 255], [0, 255]),
    ("bool", [0, 1], [False, True]),
    ("int64", [2**62, -(2**62)], [2**62, -(2**62)]),
    ("object", ["a", "é"], ["a", "é"]),
    ("object", ["é".encode()], ["é"]),
]


@pytest.mark.parametrize(("dtype", "given", "expected"), FIT)
def test_values_that_fit(dtype: str, given: list[Any], expected: list[Any]) -> None:
    array = fit(Value("x", np.dtype(dtype), (None,)), np.array(given), "file")
    assert array.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(array, np.array(expected, dtype))


@pytest.mark.parametrize(
    ("dtype", "given", "got"),
    [
        ("float32", [1.0, 1e300], "1e[+]300"),
        ("float16", [1e5], "100000.0"),
        ("int32", [0.5], "0.5"),
        ("int32", [np.nan], "nan"),
        ("int32", [2**31], "2147483648"),
        ("int64", [2.0**63], "9223372036854775808"),
        ("uint8", [-1], "-1"),
        ("bool", [2], "2"),
        ("float32", ["a"], "<U1"),
        ("float32", [1j], "complex128"),
        ("object", [b"\xff"], "other bytes"),
    ],
)
def test_values_that_do_not_fit(dtype: str, given: list[Any], got: str) -> None:
    with pytest.raises(UserError, match=f"^file: expected 'x' of .*, got {got}"):
        fit(Value("x", np.dtype(dtype), (None,)), np.array(given), "file")


def test_an_axis_of_size_1_may_be_left_out_or_given() -> None:
    one, none = Value("x", TEXT, (None, 1)), Value("x", np.dtype("float32"), (None,))
    assert fit(one, np.array(["a", "b"]), "file").shape == (2, 1)
    assert fit(none, np.ones((2, 1)), "file").shape == (2,)
