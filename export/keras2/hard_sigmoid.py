"""hard_sigmoid as Keras 2 computes it; Keras 3 has another slope under this name."""

from __future__ import annotations

from typing import Any

import keras


@keras.saving.register_keras_serializable("kerasnorm")
def hard_sigmoid_of_keras_2(x: Any) -> Any:
    """min(max(0.2 x + 0.5, 0), 1)."""
    return keras.ops.clip(keras.ops.add(keras.ops.multiply(x, 0.2), 0.5), 0.0, 1.0)
