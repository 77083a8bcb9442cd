"""ChannelAffine: gamma and beta of each channel, in their own precision."""

import keras
import numpy as np
import pytest

from kerasnorm.normalizations.channel_affine import ChannelAffine


def test_gamma_and_beta_start_as_the_identity_and_scale_each_channel() -> None:
    layer = ChannelAffine(dtype="float64")
    layer.build((None, 2, 3))
    x = np.arange(12.0).reshape(2, 2, 3)
    np.testing.assert_array_equal(layer.affine(x), x)
    layer.set_weights([np.array([1.0, 2, 3]), np.array([0.5, 0, -1])])
    np.testing.assert_allclose(layer.affine(x), x * [1, 2, 3] + [0.5, 0, -1], rtol=1e-15, atol=0)


def test_weights_and_sums_stay_precise_in_mixed_precision() -> None:
    layer = ChannelAffine(dtype="mixed_float16")
    layer.build((None, 3))
    assert layer.gamma.dtype == "float32"
    assert layer.precise(np.ones(3, np.float16)).dtype == "float32"


def test_regularizers_are_saved() -> None:
    layer = ChannelAffine(gamma_regularizer="l2", beta_regularizer=keras.regularizers.L1(0.25))
    copy = ChannelAffine.from_config(layer.get_config())
    copy.build((None, 3))
    assert copy.beta_regularizer.l1 == 0.25
    np.testing.assert_allclose(copy.losses[0], 0.01 * 3, rtol=1e-6, atol=0)  # gamma is 1


def test_an_unknown_number_of_channels() -> None:
    with pytest.raises(ValueError, match="expected a known number of channels, the last axis, got"):
        ChannelAffine().build((4, None))
