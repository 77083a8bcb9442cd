"""Labels from the scores of each step, against Keras."""

from typing import Any

import keras
import pytest
from keras import ops

from export.errors import UserError
from tests.export.helpers import converted

OPTIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "repetitions": {"merge_repeated": False},
    "blank last": {"mask_index": -1},
}


@pytest.mark.parametrize("steps", [9, None])
@pytest.mark.parametrize("name", OPTIONS)
def test_greedy(name: str, steps: int | None) -> None:
    x = keras.Input((steps, 3), name="x")
    lengths = ops.argmax(x[:, :, 0], axis=-1) + 1
    converted(keras.Model(x, ops.ctc_decode(x, lengths, **OPTIONS[name])))


def test_beam_search_is_unsupported() -> None:
    x = keras.Input((9, 3), name="x")
    labels, _ = ops.ctc_decode(x, ops.argmax(x[:, :, 0], axis=-1), strategy="beam_search")
    with pytest.raises(UserError, match="ctc_decode with strategy='beam_search'; ONNX has no beam search"):
        converted(keras.Model(x, labels))
