"""Architectures of keras.applications, with random weights and statistics, by the direct route."""

from typing import Any

import pytest

from export.convert import count_nodes
from scripts.bench_applications import TIMED, build, check

SMALL = 96  # pixels; the smallest that all of them take

# What a user may ask for: another input size, features in place of classes, a fixed batch.
WAYS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "classes": ({"input_shape": (SMALL, SMALL, 3), "classes": 10}, {}),
    "features of an oblong": ({"input_shape": (SMALL, 128, 3), "include_top": False}, {"batch": 2}),
}


def _check(name: str, way: str) -> None:
    built, converted = WAYS[way]
    conversion, parity = check(build(name, **built), (1, 3), **converted)
    assert parity.passed, parity.table()
    assert conversion.route == "direct"
    agreements = [d.argmax_agreement for d in parity.differences if d.data.startswith("batch")]
    if way == "classes":
        assert agreements == [1.0] * len(agreements)
    # A transpose at the input, one at the output if it is an image, and two around each layer
    # normalization of channels.
    normalizations = count_nodes(conversion.model).get("LayerNormalization", 0)
    assert count_nodes(conversion.model).get("Transpose", 0) <= 2 + 2 * normalizations


@pytest.mark.parametrize("way", WAYS)
def test_a_small_architecture(way: str) -> None:
    _check("MobileNetV3Small", way)


@pytest.mark.slow
@pytest.mark.parametrize("name", TIMED)
def test_every_architecture(name: str) -> None:
    for way in WAYS:
        _check(name, way)
