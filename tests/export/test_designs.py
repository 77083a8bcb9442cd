"""Small models after common designs go by the direct route and compute what Keras computes."""

import importlib
from typing import Any

import keras
import numpy as np
import pytest

from benchmarks.designs import DESIGNS
from export.convert import convert
from export.parity import check_parity

# Quick ones, which have most of what is special: patches, windows, masks, dict inputs, strings, losses, graphs.
DEFAULT = (
    *("ViT", "Swin", "mini GPT", "translation, transformer", "structured data", "VQ-VAE", "message passing"),
    "detector with its boxes",
)


def build(reference: str) -> tuple[keras.Model, Any]:
    """A design and a batch of inputs for it, None for random ones."""
    module, function = reference.split(":")
    keras.utils.set_random_seed(0)
    made = getattr(importlib.import_module(module), function)()
    return made if isinstance(made, tuple) else (made, None)


@pytest.mark.parametrize(
    "name", [name if name in DEFAULT else pytest.param(name, marks=pytest.mark.slow) for name in DESIGNS]
)
def test_design_is_direct_and_right(name: str) -> None:
    model, data = build(DESIGNS[name])
    conversion = convert(model)
    assert (conversion.route, conversion.reason) == ("direct", "")
    arrays = None if data is None else [np.asarray(x) for x in keras.tree.flatten(data)]
    parity = check_parity(model, conversion, data=arrays, quick=True)
    assert parity.passed, parity.table()
