"""Random numbers that a traced `call` draws; see `export/random_numbers.py`."""

from __future__ import annotations

from collections.abc import Sequence

from export.builder import Builder, Tensor
from export.lowerings.registry import register_lowering
from export.lowerings.sizes import as_size, size_vector
from export.random_numbers import RandomNumbers

OPERATORS = {"normal": "RandomNormalLike", "uniform": "RandomUniformLike"}


@register_lowering(RandomNumbers)
def lower_random_numbers(
    g: Builder, operation: RandomNumbers, _: Tensor, sizes: Sequence[Tensor | int]
) -> Tensor:
    """New numbers in each run."""
    zeros = g.op("ConstantOfShape", size_vector(g, [as_size(g, size) for size in sizes]))
    return g.result(g.op(OPERATORS[operation.kind], zeros))
