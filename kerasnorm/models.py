"""build_cnn: the CNN of the study, as a functional model of stock Keras layers."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from export.errors import UserError
from kerasnorm.norms import Norm, check_groups, get_norm
from kerasnorm.regularizers import l1l2


def build_cnn(
    norm: str,
    input_shape: Sequence[int] = (28, 28, 1),
    num_classes: int = 10,
    filters: int = 16,
    blocks: int = 3,
    dropout: float = 0.05,
    groups: int | None = None,
    l1: float = 0.0,
    l2: float = 0.0,
    *,
    penalize: str = "kernels",
    pixel_mean: float | Sequence[float] = 0.1307,
    pixel_std: float | Sequence[float] = 0.3081,
    logits: bool = False,
    steps: int | None = None,
    dtype: str | None = None,
    name: str | None = None,
) -> keras.Model:
    """Build the study's CNN: raw pixels in, class probabilities out.

    Two blocks, a 2x2 max pooling, `blocks` more blocks, global average pooling and a linear classifier
    without bias. A block is: convolution 3x3, valid, without bias -> ReLU -> normalization -> dropout.
    With the defaults it has 9,680 trainable parameters for each normalization of the reference, and bn has another 160
    moving statistics. See `kerasnorm.norms` for what the normalizations compute. One with an activation of its own
    (frn) stands in the place of the ReLU, too. One that leaves each channel of an image with the same mean (in) is left
    out of the last block, because the global average pooling would remove the image.

    Args:
        norm: a key of `kerasnorm.norms.NORMS`, such as 'bn', 'ln' or 'gn'.
        input_shape: (height, width, channels) of the images.
        num_classes: number of outputs, 2 or more.
        filters: channels of each convolution.
        blocks: blocks after the max pooling.
        dropout: share of activations dropped in training, 0 <= dropout < 1.
        groups: number of groups, for a normalization that has groups (gn, ws); it must divide `filters`.
            None: groups of 4 channels.
        l1: factor on the mean absolute value of each penalized tensor; see `regularizers.l1l2`.
        l2: coupled weight decay of each penalized tensor; see `regularizers.l1l2`.
        penalize: 'kernels', or 'all' for gamma and beta as well; other weights of normalizations are not penalized.
        pixel_mean: mean of the pixels scaled to 0..1; a number, or one for each channel.
        pixel_std: standard deviation of the pixels scaled to 0..1; likewise.
        logits: return logits, without the softmax.
        steps: steps of the whole training, for a normalization with a schedule (brn). None: the schedule of its paper.
        dtype: dtype or dtype policy of the layers; None: Keras' default.
        name: the model's name; None: 'cnn_' + norm.

    Returns:
        A model from (batch, height, width, channels), pixels 0..255, to (batch, num_classes). The pixels
        are scaled and normalized by the model's first layer.

    Raises:
        UserError: an argument is out of range, or the images are too small for the convolutions.
    """
    record = get_norm(norm)
    shape = tuple(int(size) for size in input_shape)
    _check_arguments(record, shape, num_classes, filters, blocks, dropout, groups, penalize)
    if record.has_groups:
        groups = filters // 4 if groups is None else groups
    schedule = {"steps": steps} if record.has_schedule else {}

    def conv(x: keras.KerasTensor, index: int) -> keras.KerasTensor:
        kernel_shape = (3, 3, x.shape[-1], filters)
        convolution = record.convolution or keras.layers.Conv2D
        return convolution(
            filters,
            3,
            use_bias=False,
            data_format="channels_last",
            kernel_initializer=pytorch_uniform(),
            kernel_regularizer=l1l2(l1, l2, kernel_shape),
            dtype=dtype,
            name=f"conv{index}",
        )(x)

    def normalization(x: keras.KerasTensor, index: int) -> keras.KerasTensor:
        if record.layer is None or index >= record.count(2 + blocks):
            return x
        penalty = l1l2(l1, l2, (filters,)) if penalize == "all" else None
        return record.layer(
            groups,
            gamma_regularizer=penalty,
            beta_regularizer=penalty,
            dtype=dtype,
            name=f"norm{index}",
            **schedule,
        )(x)

    inputs = keras.Input(shape, name="image", dtype=dtype and keras.DTypePolicy(dtype).compute_dtype)
    x = _normalize_pixels(shape[-1], pixel_mean, pixel_std, dtype)(inputs)
    for index in range(2 + blocks):
        x = conv(x, index)
        if not record.has_activation:
            x = keras.layers.ReLU(dtype=dtype, name=f"relu{index}")(x)
        x = normalization(x, index)
        if dropout:
            x = keras.layers.Dropout(dropout, dtype=dtype, name=f"dropout{index}")(x)
        if index == 1:
            x = keras.layers.MaxPooling2D(2, data_format="channels_last", dtype=dtype, name="pool")(x)
    x = keras.layers.GlobalAveragePooling2D(data_format="channels_last", dtype=dtype, name="global_pool")(x)
    x = keras.layers.Dense(
        num_classes,
        use_bias=False,
        kernel_initializer=pytorch_uniform(),
        kernel_regularizer=l1l2(l1, l2, (filters, num_classes)),
        dtype=dtype,
        name="head",
    )(x)
    if not logits:
        x = keras.layers.Activation("softmax", dtype=dtype, name="probabilities")(x)
    return keras.Model(inputs, x, name=name or f"cnn_{norm}")


def pytorch_uniform() -> keras.initializers.Initializer:
    """Return PyTorch's initializer for the kernels of Conv2d and Linear: U(-1/sqrt(fan_in), 1/sqrt(fan_in))."""
    return keras.initializers.VarianceScaling(1 / 3, mode="fan_in", distribution="uniform")


def smallest_image(blocks: int) -> int:
    """Return the smallest height and width, in pixels, that leave one pixel after all convolutions."""
    return 2 * (1 + 2 * blocks) + 4


def _normalize_pixels(
    channels: int, mean: float | Sequence[float], std: float | Sequence[float], dtype: str | None
) -> keras.layers.Layer:
    means, stds = (np.atleast_1d(np.asarray(value, np.float64)) for value in (mean, std))
    for name, values in (("pixel_mean", means), ("pixel_std", stds)):
        if values.shape not in ((1,), (channels,)) or not np.all(np.isfinite(values)):
            raise UserError(
                f"{name}: expected one number, or {channels} for the channels, got {values.tolist()}"
            )
    if np.any(stds <= 0):
        raise UserError(f"pixel_std: expected more than 0, got {stds.tolist()}; are all the pixels equal?")
    scale, offset = 1 / (255 * stds), -means / stds
    scale, offset = np.broadcast_arrays(scale, offset)
    if scale.size == 1:
        # A NumPy scalar stays float64 in Keras' cast; a Python float would be rounded to float32.
        return keras.layers.Rescaling(scale[0], offset[0], dtype=dtype, name="normalize_pixels")
    return keras.layers.Rescaling(scale.tolist(), offset.tolist(), dtype=dtype, name="normalize_pixels")


def _check_arguments(
    norm: Norm,
    shape: tuple[int, ...],
    num_classes: int,
    filters: int,
    blocks: int,
    dropout: float,
    groups: int | None,
    penalize: str,
) -> None:
    for name, value, least in (
        ("num_classes", num_classes, 2),
        ("filters", filters, 1),
        ("blocks", blocks, 1),
    ):
        if value < least:
            raise UserError(f"{name}: expected {least} or more, got {value}")
    if len(shape) != 3 or shape[2] < 1:
        raise UserError(f"input_shape: expected (height, width, channels), got {shape}")
    if min(shape[:2]) < smallest_image(blocks):
        least = smallest_image(blocks)
        raise UserError(
            f"input_shape: expected images of {least}x{least} pixels or more for {blocks} blocks, "
            f"got {shape[0]}x{shape[1]}; use larger images or fewer blocks"
        )
    if not 0 <= dropout < 1:
        raise UserError(f"dropout: expected 0 <= dropout < 1, got {dropout}")
    if penalize not in ("kernels", "all"):
        raise UserError(f"penalize: expected 'kernels' or 'all', got {penalize!r}")
    check_groups(norm.key, groups, filters)
