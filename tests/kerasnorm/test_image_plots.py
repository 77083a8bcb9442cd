from io import BytesIO

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from kerasnorm import plot_misclassified, plot_shared, unnormalize
from kerasnorm.worked_example import Example


@pytest.mark.parametrize("count", [0, 1, 4, 7, 25, 30])
@pytest.mark.parametrize("channels", [(), (1,), (3,)])
def test_image_grid_of_any_number_of_images(count: int, channels: tuple[int, ...]) -> None:
    images = np.random.default_rng(0).integers(0, 256, (count, 28, 28, *channels), np.uint8)
    figure = plot_misclassified(images, np.full(count, 6), np.full(count, 5))
    captions = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert captions == ["pred=6 act=5"] * min(count, 25)
    if count == 0:
        assert figure.axes[0].texts[0].get_text() == "no misclassified images"
    else:
        shown = np.asarray(figure.axes[0].images[0].get_array())
        np.testing.assert_array_equal(shown, images[0].squeeze())
    figure.savefig(BytesIO(), format="png")


def test_image_grid_of_unusable_images() -> None:
    with pytest.raises(ValueError, match="2 images, 1 predictions and 2 labels"):
        plot_misclassified(np.zeros((2, 4, 4), np.uint8), [1], [1, 2])
    with pytest.raises(ValueError, match=r"expected pixels 0..255 or floats 0..1, got float64 in -1..1"):
        plot_misclassified(np.array([[[-1.0, 1.0]]]), [1], [1])
    with pytest.raises(ValueError, match=r"\(n, height, width, channels\), got \(2, 16\)"):
        plot_misclassified(np.zeros((2, 16), np.uint8), [1, 1], [1, 2])


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize(("channels", "shown"), [(2, [0]), (4, [0, 1, 2]), (5, [0, 1, 2, 3, 4])])
def test_image_grid_of_other_channels(channels: int, shown: list[int], dtype: str) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 7, 9, channels)).astype(dtype)
    figure = plot_misclassified(images, [1] * 3, [2] * 3)
    array = np.asarray(figure.axes[0].images[0].get_array(), np.float64)
    expected = images[0].astype("float64")[..., shown]
    expected = expected if channels == 4 else expected.mean(-1)
    np.testing.assert_allclose(array * (1 if dtype == "uint8" else 255), expected, rtol=1e-6, atol=1)
    figure.savefig(BytesIO())


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("dtype", "scale"), [("float32", 1), ("float64", 255), ("int64", 255), ("bool", 1)])
def test_image_grid_of_other_dtypes(dtype: str, scale: int, channels: int) -> None:
    fractions = np.random.default_rng(0).uniform(0, 1, (2, 5, 5, channels))
    images = (fractions > 0.5 if dtype == "bool" else scale * fractions).astype(dtype)
    figure = plot_misclassified(images, [1, 1], [2, 2])
    array = np.asarray(figure.axes[1].images[0].get_array())
    np.testing.assert_allclose(array, images[1].squeeze() / scale, rtol=1e-6, atol=1e-6)
    figure.savefig(BytesIO())


def test_class_names_of_any_length_and_script(recwarn: pytest.WarningsRecorder) -> None:
    names = ["$x_{", "a very long name of a class of images", "日本"]
    figure = plot_misclassified(
        np.zeros((3, 4, 4), np.uint8), [0, 1, 2], [1, 2, 7], class_names=names, title="$" * 200
    )
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[0] == "pred=$x_{\nact=a very … images"
    assert titles[2].endswith("act=7")
    figure.savefig(BytesIO())
    assert [str(warning.message) for warning in recwarn] == []


def test_unnormalize_inverts_normalization() -> None:
    rng = np.random.default_rng(0)
    grey = rng.uniform(0, 1, (3, 5, 5, 1))
    np.testing.assert_allclose(
        unnormalize((grey - 0.1307) / 0.3081, 0.1307, 0.3081), grey, rtol=0, atol=1e-12
    )
    mean, std = np.array([0.49, 0.48, 0.45]), np.array([0.25, 0.24, 0.26])
    rgb = rng.uniform(0, 1, (3, 5, 5, 3))
    np.testing.assert_allclose(unnormalize((rgb - mean) / std, mean, std), rgb, rtol=0, atol=1e-12)
    assert unnormalize(np.array([[9.0, -9.0]], np.float32), 0.5, 0.5).tolist() == [[1, 0]]
    with pytest.raises(ValueError, match="or one for each of the 1 channels"):
        unnormalize(grey, mean, std)


def test_shared_values_have_one_colour_per_set() -> None:
    example = Example(images=2, channels=4, groups=2)
    figure = plot_shared(example.values()[0], example.sets("gn"))
    axes = figure.axes[0]
    assert len(axes.patches) == 2 * 4 * 2 * 2
    squares = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    colours = {square.get_xy(): square.get_facecolor() for square in squares}
    assert len(set(colours.values())) == 4
    assert colours[0, 0] == colours[3.5, 1] != colours[5, 0]  # channels 1 and 2, then 3 of the first image
    assert axes.texts[0].get_text() == str(example.values()[0, 0, 0, 0, 0])
