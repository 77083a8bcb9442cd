"""Which inputs are compared, in which batches: all that the user gives, or random ones of several sizes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np

from export.errors import UserError, reason_of
from export.keras_graph import functional, interpret, nodes
from export.parity.data import DEGENERATE, Source
from export.parity.domains import SMALLEST_SIZE
from export.parity.oracle import Inputs

BATCHES = (1, 2, 7, 32, 256)
QUICK_BATCHES = (1, 3)
OUT_OF_RANGE = "out of range"
HUGE = 1e37
SIZES = (16, 32, 64, 128, 256, 512, 8, 4, 2048)  # of dynamic dimensions; the first that Keras runs is taken
# Numbers in the largest tensor of a batch (64 MiB in float64) and, of random data, in its inputs.
TENSOR_LIMIT, INPUT_LIMIT = 2**23, 2**19
LARGE_TENSOR = 2**26  # numbers in the largest tensor of a batch of other sizes; more are left out


@dataclass(frozen=True)
class Feed:
    """Inputs that are compared.

    Attributes:
        kind: what they are; the inputs of one kind are reported together.
        rows: how many.
        make: makes the arrays.
        optional: leave them out if Keras refuses them.
    """

    kind: str
    rows: int
    make: Callable[[], Inputs]
    optional: bool = False

    @property
    def is_regular(self) -> bool:
        """Whether the model was made for such inputs."""
        return self.kind.startswith(("batch", "size"))


def plan(
    model: keras.Model,
    source: Source,
    run: Callable[[Inputs], Sequence[np.ndarray]],
    batches: Sequence[int] = BATCHES,
    *,
    quick: bool = False,
) -> list[Feed]:
    """What to compare.

    Args:
        model: the Keras model.
        source: makes its inputs.
        run: runs Keras; it raises where Keras refuses the inputs.
        batches: batch sizes; smaller ones are taken where the model's images are large.
        quick: only what is regular, of one size.

    Raises:
        UserError: Keras refuses all sizes of the dynamic dimensions that are tried.
    """
    fixed = source.options.batch or next(
        (x.shape[0] for x in source.symbolic if x.shape[0] is not None), None
    )
    sizes = _working_sizes(model, source, run, fixed or 1) if source.data is None else source.sizes_of_data
    limit = max(1, TENSOR_LIMIT // _largest_tensor(model, source, sizes))
    if source.data is None:
        # Never one row alone: the rows of a batch must not depend on each other.
        limit = max(2, min(limit, INPUT_LIMIT // source.numbers_in_a_row(sizes)))
    counts = [fixed] if fixed else list(dict.fromkeys(min(size, limit) for size in batches))
    if source.data is not None and not source.has_rows:
        rows = len(source.data[0])
        feeds = [Feed(f"batch {rows}", rows, lambda: source.whole)]
    elif source.data is not None:
        feeds = list(_rows_of_data(source, counts, len(source.data[0]), fixed or min(limit, BATCHES[-1])))
    else:
        feeds = [Feed(f"batch {n}", n, partial(source.random, n, sizes, 0)) for n in counts]
    if quick:
        return feeds
    if source.has_numbers:
        like = feeds[0].make()
        feeds += [Feed(kind, len(like[0]), partial(source.degenerate, kind, like)) for kind in DEGENERATE]
    count = fixed or min(2, limit)
    knows_shapes = _has_shapes(model, source, sizes)
    for other in _other_sizes(sizes):
        if knows_shapes and not _has_shapes(model, source, other):
            continue
        if count * _largest_tensor(model, source, other) > LARGE_TENSOR:
            continue
        name = " x ".join(map(str, other))
        feeds.append(Feed(f"size {name}", count, partial(source.random, count, other, 1), optional=True))
    feeds.append(Feed(OUT_OF_RANGE, count, partial(source.random, count, sizes, 2, wide=True), optional=True))
    return feeds


def computes(outputs: Sequence[np.ndarray]) -> bool:
    """Whether outputs hold numbers. The maximum over nothing, of inputs that are too small, is the lowest number."""
    return all(x.size > 0 and (x.dtype.kind != "f" or bool(np.all(np.abs(x) < _huge(x)))) for x in outputs)


def _huge(array: np.ndarray) -> float:
    return HUGE if float(np.finfo(array.dtype).max) > HUGE else np.inf


def _has_shapes(model: keras.Model, source: Source, sizes: tuple[int, ...]) -> bool:
    """Whether Keras can infer the shapes of all tensors at these sizes.

    It must be asked besides: TensorFlow's convolutions on a CPU run on inputs that are smaller than the kernel, and
    return what happens to be in memory.
    """
    graph = functional(model)
    if graph is None or not sizes:
        return True
    symbols = [keras.KerasTensor((1, *source.shape(x, sizes)), x.dtype) for x in source.symbolic]

    def infer(operation: Any, args: Any, kwargs: Any, symbolic: list[Any]) -> list[Any]:
        return keras.tree.flatten(operation.compute_output_spec(*args, **kwargs))

    try:
        interpret(graph, symbols, infer)
    except Exception:  # layers raise anything
        return False
    return True


def _rows_of_data(source: Source, counts: Sequence[int], total: int, most: int) -> Iterator[Feed]:
    """All rows, first in batches of the sizes in `counts`, then in the largest."""
    start = 0
    for index in itertools.count():
        count = counts[index] if index < len(counts) else most
        if index >= len(counts):
            if start >= total:
                return
            if len(counts) > 1:  # the batch size is free: the last batch has what is left
                count = min(count, total - start)
        yield Feed(
            f"batch {most if index >= len(counts) else count}", count, partial(source.rows, start, count)
        )
        start += count


def _other_sizes(sizes: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Smaller, odd and unequal sizes of dynamic dimensions, and larger ones that keep their powers of two."""
    if not sizes:
        return []
    small = tuple(max(SMALLEST_SIZE, size // 4) + axis for axis, size in enumerate(sizes))
    odd = tuple(size + 5 + 2 * axis for axis, size in enumerate(sizes))
    large = tuple(size * (2 + axis) for axis, size in enumerate(sizes))
    return [small, odd, large]


def _working_sizes(
    model: keras.Model, source: Source, run: Callable[[Inputs], Sequence[np.ndarray]], rows: int
) -> tuple[int, ...]:
    """The smallest sizes of the dynamic dimensions at which Keras computes something."""
    reason = "nothing is left of them"
    tried = [(size,) * len(source.dynamic) for size in (SIZES if source.dynamic else SIZES[:1])]
    with_shapes = [sizes for sizes in tried if _has_shapes(model, source, sizes)]
    for sizes in with_shapes or tried:
        try:
            if computes(run(source.random(rows, sizes, 0))) or not source.dynamic:
                return sizes
        except Exception as error:  # layers and backends raise anything
            reason = reason_of(error)
    which = f" of sizes {min(SIZES)} to {max(SIZES)}" if source.dynamic else ""
    raise UserError(
        f"model {model.name!r}: expected inputs that Keras can run, but it fails on random ones{which}: "
        f"{reason}; give some of your own with --check-data"
    )


def _largest_tensor(model: keras.Model, source: Source, sizes: tuple[int, ...]) -> int:
    """Numbers in the largest tensor of one row."""
    graph = functional(model)
    size = max(sizes, default=1)
    shapes = [tensor.shape for node in nodes(graph) for tensor in node.outputs] if graph is not None else []
    counts = [math.prod(size if axis is None else axis for axis in shape[1:]) for shape in shapes]
    if sizes:  # attention weights, which are not outputs of layers, and whose number is quadratic
        counts += [getattr(layer, "num_heads", 0) * size**2 for layer in model._flatten_layers()]
    return max(1, source.numbers_in_a_row(sizes), *counts)
