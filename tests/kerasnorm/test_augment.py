from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from kerasnorm import Augmentation, augment_images, training_batches
from kerasnorm.augment import affine_about_centre, steps_per_epoch

SEED = tf.constant([1, 2], tf.int64)
NONE = Augmentation(rotation=0, brightness=0, contrast=0)
IMAGES = np.random.default_rng(0).integers(0, 256, (6, 20, 24, 1), np.uint8)


def test_zeros_change_nothing() -> None:
    same = augment_images(IMAGES, SEED, NONE)
    np.testing.assert_array_equal(same, IMAGES.astype(np.float32))


def test_brightness_is_a_factor_within_its_range() -> None:
    images: np.ndarray = np.full((2000, 4, 4, 1), 100, np.uint8)
    out = augment_images(images, SEED, replace(NONE, brightness=0.1)).numpy() / 100
    assert np.ptp(out, axis=(1, 2, 3)).max() == 0  # one factor for an image
    factors = out[:, 0, 0, 0]
    assert 0.9 <= factors.min() < 0.901
    assert 1.099 < factors.max() <= 1.1 + 1e-6
    np.testing.assert_allclose(factors.mean(), 1, atol=5 * 0.2 / np.sqrt(12 * 2000), rtol=0)


def test_contrast_scales_the_difference_from_the_mean_of_the_image() -> None:
    images: np.ndarray = np.tile(np.array([100, 140], np.uint8)[:, None, None], (500, 1, 3, 2, 1)).reshape(
        500, 3, 4, 1
    )
    out = augment_images(images, SEED, replace(NONE, contrast=0.1)).numpy()
    np.testing.assert_allclose(out.mean(axis=(1, 2, 3)), 120, rtol=1e-5)
    spread = np.ptp(out, axis=(1, 2, 3)) / 40
    assert 0.9 - 1e-5 <= spread.min() < 0.905
    assert 1.095 < spread.max() <= 1.1 + 1e-5


def test_pixels_stay_within_0_and_255() -> None:
    out = augment_images(IMAGES, SEED, Augmentation(rotation=30, brightness=0.9, contrast=0.9)).numpy()
    assert out.min() >= 0
    assert out.max() <= 255


def test_images_scaled_to_0_and_1_are_changed_alike() -> None:
    settings = Augmentation(rotation=30, brightness=0.9, contrast=0.9, shift=3, fill=51)
    ours = augment_images(IMAGES / np.float32(255), SEED, settings, white=1.0)
    theirs = augment_images(IMAGES, SEED, settings)
    np.testing.assert_allclose(255 * ours, theirs, rtol=0, atol=2e-3)
    assert np.max(ours) <= 1
    with pytest.raises(ValueError, match="white: expected more than 0, got 0"):
        augment_images(IMAGES, SEED, settings, white=0)
    with pytest.raises(
        ValueError, match=r"images: expected \(batch, height, width, channels\), got \(6, 20, 24\)"
    ):
        augment_images(IMAGES[..., 0], SEED, settings)


@pytest.mark.parametrize(
    ("degrees", "size", "shear", "down", "right"),
    [
        (-7.0, 1.0, 0.0, 0.0, 0.0),
        (30.0, 1.0, 0.0, 0.0, 0.0),
        (4.0, 1.2, 0.2, 1.5, -2.0),
        (-15.0, 0.8, -0.3, -2.0, 1.0),
    ],
)
def test_geometry_agrees_with_pillow(
    degrees: float, size: float, shear: float, down: float, right: float
) -> None:
    yy, xx = np.mgrid[:28, :28]
    smooth = (120 + 60 * np.sin(xx / 4) + 60 * np.cos(yy / 5)).astype(np.float32)
    numbers = (np.deg2rad(degrees), size, shear, down, right)
    ours = tf.raw_ops.ImageProjectiveTransformV3(
        images=smooth[None, :, :, None],
        transforms=partial(affine_about_centre, height=28, width=28)(
            *tf.constant(numbers, tf.float32, (5, 1))
        ),
        output_shape=(28, 28),
        fill_value=1.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    ).numpy()[0, :, :, 0]

    # The image is sheared and zoomed about its centre, then rotated, then shifted; Pillow takes the inverse.
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    about_centre = np.array([[cos, sin], [-sin, cos]]) @ (size * np.array([[1, -shear], [0, 1]]))
    inverse = np.linalg.inv(about_centre)
    centre = np.array([14, 14])  # Pillow's origin is the corner of the first pixel
    offset = centre - inverse @ (centre + np.array([right, down]))
    coefficients = (*inverse[0], offset[0], *inverse[1], offset[1])
    theirs = np.asarray(
        Image.fromarray(smooth).transform(
            (28, 28), Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR, fillcolor=1
        )
    )
    if (size, shear, down, right) == (1, 0, 0, 0):
        rotated = Image.fromarray(smooth).rotate(degrees, Image.Resampling.BILINEAR, fillcolor=1)
        np.testing.assert_allclose(theirs[6:22, 6:22], np.asarray(rotated)[6:22, 6:22], atol=1e-3, rtol=0)
    inside = np.s_[8:20, 8:20]  # the two treat the border differently
    np.testing.assert_allclose(ours[inside], theirs[inside], atol=0.5, rtol=0)


def test_shift_zoom_and_shear_stay_within_their_ranges() -> None:
    point: np.ndarray = np.zeros((3000, 21, 21, 1), np.uint8)
    point[:, 10, 10] = 200  # the centre, which a shift alone moves
    black = replace(NONE, fill=0)
    yy, xx = np.mgrid[:21, :21]
    out = augment_images(point, SEED, replace(black, shift=2.0)).numpy()[..., 0] / 200
    for axis in (yy, xx):
        moved = (out * axis).sum((1, 2)) - 10
        assert -2 <= moved.min() < -1.98
        assert 1.98 < moved.max() <= 2
    stay = augment_images(point, SEED, replace(black, zoom=0.2, shear=0.3)).numpy()
    np.testing.assert_allclose(stay[:, 10, 10, 0], 200, rtol=1e-4)

    square: np.ndarray = np.zeros((3000, 41, 41, 1), np.uint8)
    square[:, 15:26, 15:26] = 200
    area = augment_images(square, SEED, replace(black, zoom=0.2)).numpy().sum((1, 2, 3)) / square[0].sum()
    assert 0.64 - 0.02 < area.min() < 0.64 + 0.04  # bilinear sampling is coarse
    assert 1.44 - 0.04 < area.max() < 1.44 + 0.04
    sheared = augment_images(square, SEED, replace(black, shear=0.3)).numpy()[..., 0]
    yy, xx = np.mgrid[:41, :41]
    slopes = (sheared * (yy - 20) * (xx - 20)).sum((1, 2)) / (sheared * (yy - 20) ** 2).sum((1, 2))
    assert -0.31 < slopes.min() < -0.29
    assert 0.29 < slopes.max() < 0.31


def test_rotation_fills_uncovered_corners() -> None:
    images: np.ndarray = np.full((50, 28, 28, 1), 200, np.uint8)
    out = augment_images(images, SEED, replace(NONE, rotation=45, fill=1)).numpy()
    assert out[:, 0, 0].min() == 1
    np.testing.assert_allclose(out[:, 10:18, 10:18], 200, rtol=1e-5)


def test_each_image_changes_in_its_own_way_determined_by_the_seed() -> None:
    images: np.ndarray = np.tile(IMAGES[:1], (4, 1, 1, 1))
    out = augment_images(images, SEED).numpy()
    assert all(np.abs(out[0] - out[index]).max() > 1 for index in range(1, 4))
    np.testing.assert_array_equal(augment_images(images, SEED), out)
    other = augment_images(images, tf.constant([1, 3], tf.int64)).numpy()
    assert np.abs(out - other).max() > 1


def collect(seed: int = 5, initial_epoch: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    x = np.random.default_rng(0).integers(0, 256, (50, 8, 8, 1), np.uint8)
    batches = training_batches(x, np.arange(50), 16, epochs=3, seed=seed, initial_epoch=initial_epoch)
    return [(a.numpy(), b.numpy()) for a, b in batches]


def test_an_epoch_has_every_image_once_in_its_own_order() -> None:
    batches = collect()
    steps = steps_per_epoch(50, 16)
    assert steps == 4
    assert [len(labels) for _, labels in batches] == [16, 16, 16, 2] * 3
    orders = [
        np.concatenate([labels for _, labels in batches[e * steps : (e + 1) * steps]]) for e in range(3)
    ]
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), np.arange(50))
    for one, two in ((0, 1), (0, 2), (1, 2)):
        assert (orders[one] == orders[two]).mean() < 0.2
    other_seed = np.concatenate([labels for _, labels in collect(seed=6)[:steps]])
    assert (other_seed == orders[0]).mean() < 0.2


def test_a_resumed_run_has_the_batches_of_the_whole_run() -> None:
    whole, resumed = collect(), collect(initial_epoch=1)
    assert len(resumed) == 8
    for (x, y), (x_whole, y_whole) in zip(resumed, whole[4:], strict=True):
        np.testing.assert_array_equal(x, x_whole)
        np.testing.assert_array_equal(y, y_whole)


def test_a_batch_larger_than_the_data_raises() -> None:
    with pytest.raises(
        ValueError, match="batch_size: expected 1 to 50, the number of training images, got 51"
    ):
        training_batches(np.zeros((50, 8, 8, 1), np.uint8), np.zeros(50), 51, epochs=1, seed=0)


def test_batches_are_augmented_as_told() -> None:
    x = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 1), np.uint8)
    y = np.arange(4)
    plain = next(iter(training_batches(x, y, 4, epochs=1, seed=0, augmentation=NONE)))
    np.testing.assert_array_equal(plain[0], x[plain[1].numpy()].astype(np.float32))
    default = next(iter(training_batches(x, y, 4, epochs=1, seed=0)))[0].numpy()
    explicit = next(iter(training_batches(x, y, 4, epochs=1, seed=0, augmentation=Augmentation())))[0].numpy()
    np.testing.assert_array_equal(default, explicit)
    assert np.abs(default - plain[0].numpy()).max() > 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rotation": 181}, r"rotation: expected 0\.\.180, got 181"),
        ({"brightness": 1.5}, r"brightness: expected 0\.\.1, got 1\.5"),
        ({"contrast": -0.1}, r"contrast: expected 0\.\.1, got -0\.1"),
        ({"shift": -1}, "shift: expected 0 or more, got -1"),
        ({"zoom": 1}, "zoom: expected 0 <= value < 1, got 1"),
        ({"shear": 2}, r"shear: expected 0\.\.1, got 2"),
        ({"fill": 256}, r"fill: expected 0\.\.255, got 256"),
    ],
)
def test_values_out_of_range_raise(values: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Augmentation(**values)
