"""Architectures of keras.applications with random weights, moving statistics too, by the direct route."""

from typing import Any

import pytest

from export.convert import count_nodes
from scripts.bench_applications import TIMED, build, check

SMALL = 96  # pixels; the smallest image that all of them support

# How users build and convert them: another input size, features instead of classes, a fixed batch size.
VARIANTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "classes": ({"input_shape": (SMALL, SMALL, 3), "classes": 10}, {}),
    "features of an oblong image": ({"input_shape": (SMALL, 128, 3), "include_top": False}, {"batch": 2}),
}


def _check(name: str, variant: str) -> None:
    built, converted = VARIANTS[variant]
    conversion, parity = check(build(name, **built), (1, 3), **converted)
    assert parity.passed, parity.table()
    assert conversion.route == "direct"
    agreements = [d.argmax_agreement for d in parity.differences if d.data.startswith("batch")]
    if variant == "classes":
        assert agreements == [1.0] * len(agreements)
    # One transpose at the input, one at the output if it is an image, and two around each LayerNormalization
    # over the channels.
    normalizations = count_nodes(conversion.model).get("LayerNormalization", 0)
    assert count_nodes(conversion.model).get("Transpose", 0) <= 2 + 2 * normalizations


@pytest.mark.parametrize("variant", VARIANTS)
def test_small_architecture(variant: str) -> None:
    _check("MobileNetV3Small", variant)


@pytest.mark.slow
@pytest.mark.parametrize("name", TIMED)
def test_every_architecture(name: str) -> None:
    for variant in VARIANTS:
        _check(name, variant)
