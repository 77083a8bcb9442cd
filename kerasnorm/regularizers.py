"""l1l2: the reference's L1 and L2 as a stock Keras regularizer."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras

from export.errors import UserError


def l1l2(l1: float, l2: float, shape: Sequence[int]) -> keras.regularizers.L1L2 | None:
    """Return a stock `keras.regularizers.L1L2` with the reference's meaning of l1 and l2.

    The reference adds, for a tensor w of n elements,

        l1 * mean(|w|)  +  l2/2 * sum(w^2)

    where the second term is SGD's coupled weight decay, gradient += l2 * w. Keras' L1L2(a, b) adds

        a * sum(|w|)  +  b * sum(w^2)

    Hence a = l1/n and b = l2/2.

    Args:
        l1: factor on the mean absolute value, 0 or more.
        l2: coupled weight decay, 0 or more.
        shape: shape of the penalized tensor.

    Returns:
        The regularizer, or None if both factors are 0.

    Raises:
        UserError: a factor is negative or not finite.
    """
    for name, value in (("l1", l1), ("l2", l2)):
        if not math.isfinite(value) or value < 0:
            raise UserError(f"{name}: expected 0 or more, got {value!r}")
    if l1 == 0 and l2 == 0:
        return None
    return keras.regularizers.L1L2(l1=l1 / math.prod(shape), l2=l2 / 2)
