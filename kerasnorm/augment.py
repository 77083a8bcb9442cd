"""The training batches: shuffled and augmented, each a pure function of the seed and the step's number.

Nothing here keeps a state, so a run that is resumed at step k sees the very batches that it would have
seen had it never stopped.
"""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from export.errors import UserError


def augment_images(
    images: tf.Tensor,
    seed: tf.Tensor,
    *,
    rotation: float = 7.0,
    brightness: float = 0.1,
    contrast: float = 0.1,
    shift: float = 0.0,
    zoom: float = 0.0,
    shear: float = 0.0,
    fill: float = 1.0,
) -> tf.Tensor:
    """Change a whole batch at random, each image in its own way: brightness, contrast, then its geometry.

    The defaults are the reference's ColorJitter and RandomRotation, with bilinear interpolation:

        x <- clip(b x),                      b ~ U(1 - brightness, 1 + brightness)
        x <- clip(mean(x) + c (x - mean(x))),  c ~ U(1 - contrast, 1 + contrast), mean over the image
        x <- x sheared, zoomed and rotated about its centre, then shifted, `fill` where nothing was:
             angle ~ U(-rotation, rotation), size ~ U(1 - zoom, 1 + zoom), shear ~ U(-shear, shear),
             shift in height and width ~ U(-shift, shift)

    Args:
        images: (batch, height, width, channels), pixels 0..255.
        seed: (2,) int64; the same seed gives the same changes.
        rotation: largest rotation, degrees.
        brightness: largest relative change of brightness, 0..1.
        contrast: largest relative change of contrast, 0..1.
        shift: largest shift, pixels.
        zoom: largest relative change of size, 0 <= zoom < 1.
        shear: largest shear, pixels in width per pixel in height.
        fill: grey level, 0..255, of what the changes uncover.

    Returns:
        (batch, height, width, channels) float32, pixels 0..255.
    """
    images = tf.cast(images, tf.float32)
    batch = tf.shape(images)[0]
    draws = tf.random.stateless_uniform((7, batch), seed, -1.0, 1.0)
    if brightness:
        factor = 1 + brightness * draws[0][:, None, None, None]
        images = tf.clip_by_value(images * factor, 0.0, 255.0)
    if contrast:
        factor = 1 + contrast * draws[1][:, None, None, None]
        mean = tf.reduce_mean(images, axis=(1, 2, 3), keepdims=True)
        images = tf.clip_by_value(mean + factor * (images - mean), 0.0, 255.0)
    if rotation or shift or zoom or shear:
        height, width = images.shape[1:3]
        images = tf.raw_ops.ImageProjectiveTransformV3(
            images=images,
            transforms=affine_about_centre(
                draws[2] * (rotation * math.pi / 180),
                1 + zoom * draws[3],
                shear * draws[4],
                shift * draws[5],
                shift * draws[6],
                height,
                width,
            ),
            output_shape=(height, width),
            fill_value=fill,
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
    """Projective transforms (batch, 8), output to input pixels, that shear, zoom, rotate, then shift an image.

    The inverse of that map: in = centre + S^-1 R^-1 (out - centre - shift) / size, with R^-1 the rotation by `angle`
    in (x, y), and S^-1: x <- x + shear * y.

    Args:
        angle: radians, (batch,), as all that follow.
        size: factor of the size.
        shear: pixels in width per pixel in height.
        down: shift, pixels.
        right: shift, pixels.
        height: of the images, pixels.
        width: likewise.
    """
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
    """Steps in an epoch; the last one has what is left."""
    return -(-images // batch_size)


def training_batches(
    x: np.ndarray,
    y: np.ndarray,
    batch_size: int,
    *,
    epochs: int,
    seed: int,
    initial_epoch: int = 0,
    rotation: float = 7.0,
    brightness: float = 0.1,
    contrast: float = 0.1,
    shift: float = 0.0,
    zoom: float = 0.0,
    shear: float = 0.0,
    fill: float = 1.0,
) -> tf.data.Dataset:
    """Batches (images, labels) for `model.fit`, from epoch `initial_epoch` to the last.

    Each epoch has `steps_per_epoch(len(x), batch_size)` batches, in which every image occurs once; give
    that number to `fit`, with `initial_epoch` and `epochs`.

    Args:
        x: images, (n, height, width, channels), pixels 0..255; held in memory.
        y: labels, (n,), or (n, classes) where they are shares.
        batch_size: images per batch, 1 to n.
        epochs: number of the last epoch.
        seed: order of the images and their augmentation follow from it.
        initial_epoch: number of epochs already done.
        rotation: see `augment_images`, as for the ones that follow.
        brightness: likewise.
        contrast: likewise.
        shift: likewise.
        zoom: likewise.
        shear: likewise.
        fill: likewise.

    Raises:
        UserError: the batch size is larger than the data.
    """
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

    def batch(step: tf.Tensor, places: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        augmented = augment_images(
            tf.gather(images, places),
            tf.stack([seed, step]),
            rotation=rotation,
            brightness=brightness,
            contrast=contrast,
            shift=shift,
            zoom=zoom,
            shear=shear,
            fill=fill,
        )
        return augmented, tf.gather(labels, places)

    batches = tf.data.Dataset.range(initial_epoch, epochs).flat_map(epoch_batches)
    return batches.map(batch, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
