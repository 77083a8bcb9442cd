"""NORMS: the normalizations, one record each.

The reference's three (REFERENCE) compute, with a trained gamma and beta for each channel and epsilon 1e-5,

    (x - mean) / sqrt(variance + epsilon) * gamma + beta

and differ in which values share a mean and a variance:

- `bn`: a channel over the batch, H and W (Ioffe and Szegedy 2015, arXiv:1502.03167). Inference uses moving averages.
- `ln`: an image over H, W and all channels (Ba et al. 2016, arXiv:1607.06450), which is
  `GroupNormalization(groups=1)`. Keras' `LayerNormalization` is something else: by default it normalizes the channels
  of one pixel, and over axes (1, 2, 3) it has a gamma for each of the H*W*C values.
- `gn`: an image over H, W and one group of neighbouring channels (Wu and He 2018, arXiv:1803.08494).

The others:

- `none`: no normalization, for comparison.
- `in`: an image and a channel over H and W (Ulyanov et al. 2016, arXiv:1607.08022). The last block has none: it would
  leave every channel with the mean beta, and the global average pooling with nothing of the image.
- `rms`: `ln` without the mean (Zhang and Sennrich 2019, arXiv:1910.07467).
- `frn`: an image and a channel, without the mean, and with a trained threshold in the place of the network's ReLU
  (Singh and Krishnan 2019, arXiv:1911.09737).
- `dyt`: gamma * tanh(alpha * x) + beta (Zhu et al. 2025, arXiv:2503.10622).
- `gbn`: `bn` of ghost batches of 16 images (Hoffer et al. 2017, arXiv:1705.08741).
- `brn`: `bn` that is corrected towards its moving averages (Ioffe 2017, arXiv:1702.03275).
- `ws`: `gn` after convolutions with standardized kernels (Qiao et al. 2019, arXiv:1903.10520).

To add a normalization, add a record here and a test. The network, the recipes, the command lines, the tables, the
workbook and the PyTorch conversion read the records.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from export.errors import UserError
from kerasnorm import norm_layers
from kerasnorm.shared_values import (
    SharedValues,
    each_channel,
    each_channel_of_ghost_batch,
    each_image,
    each_image_and_channel,
    each_image_and_group,
)

if TYPE_CHECKING:
    import keras

REFERENCE = ("bn", "ln", "gn")  # the normalizations of the reference, which the study compares by default


@dataclass(frozen=True)
class Norm:
    """A normalization.

    Attributes:
        key: short name, as in `--norm` and in the names of files.
        name: full name, for tables and figures.
        description: which values share a mean and a variance, or what else it does, in one line.
        keras_layer: the Keras layer, as readers would write it.
        layer: returns the layer for `layer(groups, **options)`. The options are those of Keras' normalization layers
            (`gamma_regularizer`, `beta_regularizer`, `dtype`, `name`), and `steps` if `has_schedule`. None: there is
            no layer.
        l1: L1 factor for this normalization, the reference's for its three; see `regularizers.l1l2`.
        l2: L2 factor, likewise.
        pytorch: names of the weights, PyTorch's to Keras'; None: PyTorch has no such layer.
        shared_values: returns the sets of values that share a mean and a variance for
            `shared_values(images, channels, groups)`; None: the formula is another one.
        has_groups: whether it divides the channels into groups.
        has_activation: whether it has an activation of its own, which takes the place of the network's ReLU.
        removes_means: whether every channel of an image has the mean beta after it, so that a global average pooling
            would return the same for all images. The network leaves it out of its last block.
        has_schedule: whether it depends on the number of training steps.
        convolution: returns the convolution before it, for the arguments of `keras.layers.Conv2D`; None: that class.
    """

    key: str
    name: str
    description: str
    keras_layer: str
    layer: Callable[..., keras.layers.Layer] | None
    l1: float
    l2: float
    pytorch: Mapping[str, str] | None
    shared_values: Callable[[int, int, int], list[SharedValues]] | None
    has_groups: bool = False
    has_activation: bool = False
    removes_means: bool = False
    has_schedule: bool = False
    convolution: Callable[..., keras.layers.Layer] | None = None

    def count(self, blocks: int) -> int:
        """How many of a network's blocks it stands in, from the first on."""
        return 0 if self.layer is None else blocks - self.removes_means


_GAMMA_AND_BETA = {"weight": "gamma", "bias": "beta"}

NORMS: dict[str, Norm] = {
    norm.key: norm
    for norm in (
        Norm(
            key="bn",
            name="Batch Normalization",
            description="a mean and a variance for each channel, over all images",
            keras_layer="BatchNormalization()",
            layer=norm_layers.batch_normalization,
            l1=0.001,
            l2=0.0005,
            pytorch={
                **_GAMMA_AND_BETA,
                "running_mean": "moving_mean",
                "running_var": "moving_variance",
            },
            shared_values=each_channel,
        ),
        Norm(
            key="ln",
            name="Layer Normalization",
            description="a mean and a variance for each image, over all channels",
            keras_layer="GroupNormalization(groups=1)",
            layer=lambda groups, **options: norm_layers.group_normalization(1, **options),
            l1=0.0,
            l2=0.0005,
            pytorch=_GAMMA_AND_BETA,
            shared_values=each_image,
        ),
        Norm(
            key="gn",
            name="Group Normalization",
            description="a mean and a variance for each image and each group of channels",
            keras_layer="GroupNormalization(groups)",
            layer=norm_layers.group_normalization,
            l1=0.001,
            l2=0.0,
            pytorch=_GAMMA_AND_BETA,
            shared_values=each_image_and_group,
            has_groups=True,
        ),
        Norm(
            key="none",
            name="No Normalization",
            description="the network without normalization",
            keras_layer="no layer",
            layer=None,
            l1=0.0,
            l2=0.0005,
            pytorch={},
            shared_values=None,
        ),
        Norm(
            key="in",
            name="Instance Normalization",
            description="a mean and a variance for each image and channel",
            keras_layer="GroupNormalization(groups=-1)",
            layer=lambda groups, **options: norm_layers.group_normalization(-1, **options),
            l1=0.0,
            l2=0.0005,
            pytorch=_GAMMA_AND_BETA,
            shared_values=each_image_and_channel,
            removes_means=True,
        ),
        Norm(
            key="rms",
            name="RMS Normalization",
            description="a mean square for each image, over all channels",
            keras_layer="RootMeanSquareNormalization()",
            layer=norm_layers.root_mean_square,
            l1=0.0,
            l2=0.0005,
            pytorch=None,
            shared_values=None,
        ),
        Norm(
            key="frn",
            name="Filter Response Normalization",
            description="a mean square for each image and channel, then a trained threshold",
            keras_layer="ThresholdedFilterResponseNormalization()",
            layer=norm_layers.filter_response,
            l1=0.0,
            l2=0.0005,
            pytorch=None,
            shared_values=None,
            has_activation=True,
        ),
        Norm(
            key="dyt",
            name="Dynamic Tanh",
            description="a tanh with a trained slope, value by value",
            keras_layer="DynamicTanh()",
            layer=norm_layers.dynamic_tanh,
            l1=0.0,
            l2=0.0005,
            pytorch=None,
            shared_values=None,
        ),
        Norm(
            key="gbn",
            name="Ghost Batch Normalization",
            description="a mean and a variance for each channel, over 16 images",
            keras_layer="GhostBatchNormalization(16)",
            layer=norm_layers.ghost_batch,
            l1=0.0,
            l2=0.0005,
            pytorch=None,
            shared_values=each_channel_of_ghost_batch,
        ),
        Norm(
            key="brn",
            name="Batch Renormalization",
            description="batch normalization, corrected towards its moving averages",
            keras_layer="BatchRenormalization()",
            layer=norm_layers.batch_renormalization,
            l1=0.0,
            l2=0.0005,
            pytorch=None,
            shared_values=None,
            has_schedule=True,
        ),
        Norm(
            key="ws",
            name="Weight Standardization",
            description="group normalization after convolutions with standardized kernels",
            keras_layer="GroupNormalization(groups) after StandardizedConv2D()",
            layer=norm_layers.group_normalization,
            l1=0.0,
            l2=0.0005,
            pytorch=None,
            shared_values=each_image_and_group,
            has_groups=True,
            convolution=norm_layers.standardized_convolution,
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
