"""Training batches, shuffled and augmented: each a pure function of the seed and the number of the step.

Nothing here keeps a state, so a run that is resumed at step k sees the same batches as one that was never
interrupted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from export.errors import UserError
from kerasnorm.hyperparameters import AT_LEAST_0, BELOW_1, check, number, up_to

if TYPE_CHECKING:
    import tensorflow as tf


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """How far training images are changed at random; the defaults are the reference's.

    Raises:
        UserError: a value is out of range.
    """

    rotation: float = number(7.0, up_to(180), "largest rotation, degrees")
    brightness: float = number(0.1, up_to(1), "largest relative change of brightness")
    contrast: float = number(0.1, up_to(1), "largest relative change of contrast")
    shift: float = number(0.0, AT_LEAST_0, "largest shift in height and width, pixels")
    zoom: float = number(0.0, BELOW_1, "largest relative change of size")
    shear: float = number(0.0, up_to(1), "largest shear, pixels in width per pixel in height")
    fill: float = number(1.0, up_to(255), "grey level, 0..255, of uncovered pixels")

    def __post_init__(self) -> None:
        """Check every range."""
        check(self)


REFERENCE = Augmentation()


def augment_images(
    images: tf.Tensor | np.ndarray,
    seed: tf.Tensor,
    augmentation: Augmentation = REFERENCE,
    *,
    white: float = 255.0,
) -> tf.Tensor:
    """Change a batch of images at random, each in its own way: brightness, contrast, then geometry.

    The defaults are the reference's ColorJitter and RandomRotation, with bilinear interpolation:

        x <- clip(b x),                        b ~ U(1 - brightness, 1 + brightness)
        x <- clip(mean(x) + c (x - mean(x))),  c ~ U(1 - contrast, 1 + contrast), mean over the image
        x <- x sheared, zoomed and rotated about its centre, then shifted; uncovered pixels get `fill`:
             angle ~ U(-rotation, rotation), size ~ U(1 - zoom, 1 + zoom), shear ~ U(-shear, shear),
             shift in height and width ~ U(-shift, shift)

    Args:
        images: (batch, height, width, channels), pixels 0..white.
        seed: (2,) int64; the same seed gives the same changes.
        augmentation: the largest changes. Its `fill` is a grey level of 0..255, whatever `white` is.
        white: the largest value of a pixel: 255, or 1.0 for images that are scaled to 0..1.

    Returns:
        (batch, height, width, channels) float32, pixels 0..white.

    Raises:
        UserError: `white` is not more than 0, or the images are no batch with known height and width.
    """
    import tensorflow as tf

    if not (math.isfinite(white) and white > 0):
        raise UserError(f"white: expected more than 0, got {white}")
    if len(images.shape) != 4 or None in images.shape[1:3]:
        raise UserError(f"images: expected (batch, height, width, channels), got {tuple(images.shape)}")

    images = tf.cast(images, tf.float32)
    batch = tf.shape(images)[0]
    draws = tf.random.stateless_uniform((7, batch), seed, -1.0, 1.0)
    if augmentation.brightness:
        factor = 1 + augmentation.brightness * draws[0][:, None, None, None]
        images = tf.clip_by_value(images * factor, 0.0, white)
    if augmentation.contrast:
        factor = 1 + augmentation.contrast * draws[1][:, None, None, None]
        mean = tf.reduce_mean(images, axis=(1, 2, 3), keepdims=True)
        images = tf.clip_by_value(mean + factor * (images - mean), 0.0, white)
    if augmentation.rotation or augmentation.shift or augmentation.zoom or augmentation.shear:
        height, width = images.shape[1:3]
        images = tf.raw_ops.ImageProjectiveTransformV3(
            images=images,
            transforms=affine_about_centre(
                draws[2] * (augmentation.rotation * math.pi / 180),
                1 + augmentation.zoom * draws[3],
                augmentation.shear * draws[4],
                augmentation.shift * draws[5],
                augmentation.shift * draws[6],
                height,
                width,
            ),
            output_shape=(height, width),
            fill_value=augmentation.fill * (white / 255),
            interpolation="BILINEAR",
            fill_mode="CONSTANT",
        )
    return images


def affine_about_centre(
    angle: tf.Tensor,
    size: tf.Tensor,
    shear: tf.Tensor,
    down: tf.Tensor,
    right: tf.Tensor,
    height: int,
    width: int,
) -> tf.Tensor:
    """Return the transforms that shear, zoom and rotate images about their centre, then shift them.

    A transform maps output pixels to input pixels, so it is the inverse of that change:

        in = centre + S^-1 R^-1 (out - centre - shift) / size

    where R^-1 is the rotation by `angle` in (x, y), and S^-1 is x <- x + shear * y.

    Args:
        angle: radians, (batch,).
        size: factor of the size, (batch,).
        shear: pixels in width per pixel in height, (batch,).
        down: shift in height, pixels, (batch,).
        right: shift in width, pixels, (batch,).
        height: height of the images, pixels.
        width: width of the images, pixels.

    Returns:
        (batch, 8), as `tf.raw_ops.ImageProjectiveTransformV3` takes them.
    """
    import tensorflow as tf

    cos, sin, zero = tf.cos(angle) / size, tf.sin(angle) / size, tf.zeros_like(angle)
    a, b = cos + shear * sin, -sin + shear * cos
    centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
    x, y = centre_x + right, centre_y + down
    return tf.stack(
        [
            *(a, b, centre_x - a * x - b * y),
            *(sin, cos, centre_y - sin * x - cos * y),
            *(zero, zero),
        ],
        axis=1,
    )


def steps_per_epoch(images: int, batch_size: int) -> int:
    """Return the number of steps in an epoch; the last batch may be smaller than the others."""
    return -(-images // batch_size)


def training_batches(
    x: np.ndarray,
    y: np.ndarray,
    batch_size: int,
    *,
    epochs: int,
    seed: int,
    initial_epoch: int = 0,
    augmentation: Augmentation = REFERENCE,
) -> tf.data.Dataset:
    """Return batches (images, labels) for `model.fit`, from epoch `initial_epoch` to the last.

    Each epoch has `steps_per_epoch(len(x), batch_size)` batches, which contain every image once. Give `fit` this
    number, `initial_epoch` and `epochs`.

    Args:
        x: images, (n, height, width, channels), pixels 0..255; held in memory.
        y: labels, (n,), or (n, classes) if they are probabilities.
        batch_size: images per batch, 1 to n.
        epochs: number of the last epoch.
        seed: determines the order of the images and their augmentation.
        initial_epoch: number of epochs that are already done.
        augmentation: the largest changes of the images.

    Raises:
        UserError: the batch size is larger than the number of images.
    """
    import tensorflow as tf

    if not 1 <= batch_size <= len(x):
        raise UserError(
            f"batch_size: expected 1 to {len(x)}, the number of training images, got {batch_size}"
        )
    images, labels = tf.constant(x), tf.constant(y)
    steps = steps_per_epoch(len(x), batch_size)

    def epoch_batches(epoch: tf.Tensor) -> tf.data.Dataset:
        order = tf.random.experimental.stateless_shuffle(tf.range(len(x)), tf.stack([seed, epoch]))
        numbers = tf.data.Dataset.range(epoch * steps, (epoch + 1) * steps)
        return tf.data.Dataset.zip(numbers, tf.data.Dataset.from_tensor_slices(order).batch(batch_size))

    def batch(step: tf.Tensor, indices: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        augmented = augment_images(tf.gather(images, indices), tf.stack([seed, step]), augmentation)
        return augmented, tf.gather(labels, indices)

    batches = tf.data.Dataset.range(initial_epoch, epochs).flat_map(epoch_batches)
    return batches.map(batch, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
