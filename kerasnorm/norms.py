"""NORMS: the normalizations of the study, one record each.

All compute, with a trained gamma and beta for each channel and epsilon 1e-5,

    (x - mean) / sqrt(variance + epsilon) * gamma + beta

and differ in which values share a mean and a variance:

- `bn`: a channel over the batch, H and W (Ioffe and Szegedy 2015, arXiv:1502.03167). Inference uses moving averages.
- `ln`: an image over H, W and all channels (Ba et al. 2016, arXiv:1607.06450), which is
  `GroupNormalization(groups=1)`. Keras' `LayerNormalization` is something else: by default it normalizes the channels
  of one pixel, and over axes (1, 2, 3) it has a gamma for each of the H*W*C values.
- `gn`: an image over H, W and one group of neighbouring channels (Wu and He 2018, arXiv:1803.08494).

To add a normalization, add a record here and a test. The network, the recipes, the command lines, the tables, the
workbook and the PyTorch conversion read the records.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from export.errors import UserError

if TYPE_CHECKING:
    import keras

EPSILON = 1e-5  # PyTorch's default for all three; Keras' default is 1e-3

# Values that share a mean and a variance: a label, their images and their channels.
SharedValues = tuple[str, range, range]


@dataclass(frozen=True)
class Norm:
    """A normalization.

    Attributes:
        key: short name, as in `--norm` and in the names of files.
        name: full name, for tables and figures.
        description: which values share a mean and a variance, in one line.
        keras_layer: the Keras layer, as readers would write it.
        layer: returns the layer for `layer(groups, **options)`. The options are those of Keras' normalization layers
            (`gamma_regularizer`, `beta_regularizer`, `dtype`, `name`).
        l1: the reference's L1 factor for this normalization; see `regularizers.l1l2`.
        l2: the reference's L2 factor, likewise.
        pytorch: names of the weights, PyTorch's to Keras'.
        shared_values: returns the sets of values that share a mean and a variance for
            `shared_values(images, channels, groups)`.
        has_groups: whether it divides the channels into groups.
    """

    key: str
    name: str
    description: str
    keras_layer: str
    layer: Callable[..., keras.layers.Layer]
    l1: float
    l2: float
    pytorch: Mapping[str, str]
    shared_values: Callable[[int, int, int], list[SharedValues]]
    has_groups: bool = False


def _batch_normalization(groups: int | None, **options: Any) -> keras.layers.Layer:
    import keras

    # PyTorch's momentum of 0.1 is the weight of the new value, Keras' that of the old one.
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=EPSILON, **options)


def _layer_normalization(groups: int | None, **options: Any) -> keras.layers.Layer:
    import keras

    return keras.layers.GroupNormalization(groups=1, epsilon=EPSILON, **options)


def _group_normalization(groups: int | None, **options: Any) -> keras.layers.Layer:
    import keras

    return keras.layers.GroupNormalization(groups=groups, epsilon=EPSILON, **options)


def _each_channel(images: int, channels: int, groups: int) -> list[SharedValues]:
    return [(f"channel {c + 1}", range(images), range(c, c + 1)) for c in range(channels)]


def _each_image(images: int, channels: int, groups: int) -> list[SharedValues]:
    return [(f"image {i + 1}", range(i, i + 1), range(channels)) for i in range(images)]


def _each_image_and_group(images: int, channels: int, groups: int) -> list[SharedValues]:
    size = channels // groups
    return [
        (f"image {i + 1}, group {g + 1}", range(i, i + 1), range(g * size, (g + 1) * size))
        for i in range(images)
        for g in range(groups)
    ]


_GAMMA_AND_BETA = {"weight": "gamma", "bias": "beta"}

NORMS: dict[str, Norm] = {
    norm.key: norm
    for norm in (
        Norm(
            key="bn",
            name="Batch Normalization",
            description="a mean and a variance for each channel, over all images",
            keras_layer="BatchNormalization()",
            layer=_batch_normalization,
            l1=0.001,
            l2=0.0005,
            pytorch={
                **_GAMMA_AND_BETA,
                "running_mean": "moving_mean",
                "running_var": "moving_variance",
            },
            shared_values=_each_channel,
        ),
        Norm(
            key="ln",
            name="Layer Normalization",
            description="a mean and a variance for each image, over all channels",
            keras_layer="GroupNormalization(groups=1)",
            layer=_layer_normalization,
            l1=0.0,
            l2=0.0005,
            pytorch=_GAMMA_AND_BETA,
            shared_values=_each_image,
        ),
        Norm(
            key="gn",
            name="Group Normalization",
            description="a mean and a variance for each image and each group of channels",
            keras_layer="GroupNormalization(groups)",
            layer=_group_normalization,
            l1=0.001,
            l2=0.0,
            pytorch=_GAMMA_AND_BETA,
            shared_values=_each_image_and_group,
            has_groups=True,
        ),
    )
}


def get_norm(key: str) -> Norm:
    """Return the record of a normalization.

    Raises:
        UserError: there is no such normalization.
    """
    if key not in NORMS:
        raise UserError(f"norm: expected one of {', '.join(NORMS)}, got {key!r}")
    return NORMS[key]


def with_groups() -> list[str]:
    """Return the keys of the normalizations that divide the channels into groups."""
    return [key for key, norm in NORMS.items() if norm.has_groups]


def check_groups(key: str, groups: int | None, filters: int) -> None:
    """Check the number of groups of a normalization.

    Args:
        key: a key of NORMS.
        groups: number of groups; None: groups of 4 channels, if the normalization has groups.
        filters: number of channels.

    Raises:
        UserError: the normalization has no groups, or their number does not divide `filters`.
    """
    norm = get_norm(key)
    if groups is not None and not norm.has_groups:
        raise UserError(
            f"groups: expected None for norm {norm.key!r}, got {groups}; "
            f"normalizations with groups: {', '.join(with_groups())}"
        )
    if norm.has_groups and groups is None and filters % 4:
        raise UserError(
            f"filters: expected a multiple of 4 (groups of 4 channels), got {filters}; or set groups"
        )
    if groups is not None and (groups < 1 or filters % groups):
        divisors = [number for number in range(1, filters + 1) if filters % number == 0]
        raise UserError(f"groups: expected a divisor of filters={filters} ({divisors}), got {groups}")
