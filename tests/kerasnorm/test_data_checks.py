import numpy as np
import pytest

from kerasnorm.data_checks import check_arrays, pixel_statistics

X = np.random.default_rng(0).integers(0, 256, (12, 28, 28), np.uint8)
Y: np.ndarray = np.arange(12, dtype=np.uint8) % 3
GOOD = {"x_train": X, "y_train": Y, "x_test": X[:4], "y_test": np.array([0, 1, 2, 0])}


def with_nan(x: np.ndarray) -> np.ndarray:
    x = x.astype(np.float32)
    x[1, 2, 3] = np.nan
    return x


def test_arrays_get_one_format() -> None:
    checked = check_arrays("here", {**GOOD, "y_train": Y[:, None], "x_test": X[:4].astype(int)}, None)
    assert {name: (array.shape, array.dtype.name) for name, array in checked.items()} == {
        "x_train": ((12, 28, 28, 1), "uint8"),
        "y_train": ((12,), "int64"),
        "x_test": ((4, 28, 28, 1), "uint8"),
        "y_test": ((4,), "int64"),
    }
    np.testing.assert_array_equal(checked["y_train"], Y)
    np.testing.assert_array_equal(checked["x_train"][..., 0], X)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_train": with_nan(X)}, "x_train: expected finite pixels, got 1 that are NaN"),
        ({"x_train": X / 255}, r"x_train: expected pixels 0..255, got .*multiply them by 255"),
        ({"x_train": X.astype(int) - 100}, r"x_train: expected pixels 0..255, got -100..155"),
        ({"x_train": X.astype(str)}, "x_train: expected pixels 0..255 as numbers, got dtype <U3"),
        ({"x_train": X[0, 0]}, r"x_train: expected images .* got shape \(28,\)"),
        ({"x_train": X[:0], "y_train": Y[:0]}, r"x_train: expected images .* got shape \(0, 28, 28, 1\)"),
        ({"x_test": X[:4, :20]}, "training and test images of one shape"),
        ({"y_train": Y[:5]}, r"y_train: expected 12 labels, one for each image, got shape \(5,\)"),
        ({"y_train": Y.astype(float)}, "y_train: expected whole numbers, got dtype float64"),
        ({"y_train": Y.astype(int) - 1}, "y_train: expected labels from 0, got -1"),
        (
            {"y_train": Y.astype(np.uint64) + np.uint64(2**63)},
            "y_train: expected labels from 0 without gaps, got 9223372036854775810; renumber the labels",
        ),
        (
            {"y_test": np.array([2**64 - 2, 0, 1, 2], np.uint64)},
            "y_test: .* got 18446744073709551614; renumber",
        ),
        ({"y_train": Y * 0}, "expected two classes or more"),
        (
            {"y_train": Y.astype(int) * 2},
            r"y_train: expected labels 0..4 without gaps, got no image with label 1",
        ),
        ({"y_train": Y.astype(int) * 10**9}, "without gaps, got no image with label 1;"),
        ({"y_test": np.array([0, 1, 2, 7])}, r"y_test: expected labels 0..2 as in training, got 7"),
    ],
)
def test_unusable_arrays(changes: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(ValueError, match=f"^here: .*{message}") as caught:
        check_arrays("here", {**GOOD, **changes}, None)
    assert "\n" not in str(caught.value)


def test_known_number_of_classes() -> None:
    check_arrays("here", GOOD, 3)
    with pytest.raises(ValueError, match=r"here: expected labels 0..9, got 0..2"):
        check_arrays("here", GOOD, 10)


def test_pixel_statistics_of_each_channel() -> None:
    images = np.stack([X, 255 - X, X // 2], axis=-1)
    mean, std = pixel_statistics("images", images)
    np.testing.assert_allclose(mean, (images / 255).mean(axis=(0, 1, 2)), atol=5e-5, rtol=0)
    np.testing.assert_allclose(std, (images / 255).std(axis=(0, 1, 2)), atol=5e-5, rtol=0)
    with pytest.raises(ValueError, match="images: expected pixels that vary in each channel, got a constant"):
        pixel_statistics("images", np.stack([X, X * 0], axis=-1))
