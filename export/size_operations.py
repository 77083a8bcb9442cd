"""The operations that a traced `call` records where it calculates with dynamic sizes; see `export/dynamic_sizes.py`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

ops = keras.ops


class DynamicSize(keras.KerasTensor):
    """A size that is not known, so that `if size == 1` fails; any other symbol is just not equal to a number."""

    __hash__ = keras.KerasTensor.__hash__

    def __eq__(self, other: object) -> Any:
        """A symbol, which has no truth value, for a number. Keras looks symbols up in lists, by identity."""
        return ops.equal(self, other) if isinstance(other, int) else NotImplemented


class SizeOf(keras.Operation):
    """The size of an axis of `source`, as an int32 scalar."""

    def __init__(self, source: keras.KerasTensor, axis: int) -> None:
        super().__init__()
        self.source = source
        self.axis = axis

    def compute_output_spec(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """A scalar."""
        return DynamicSize((), "int32")


class _OfKnownShape(keras.Operation):
    """An operation whose output has a shape and a dtype that its caller knows; None for a dynamic dimension."""

    def __init__(self, shape: Sequence[int | None], dtype: str) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.dtype = dtype

    def compute_output_spec(self, *args: Any) -> keras.KerasTensor:
        """The shape and dtype that were given."""
        return keras.KerasTensor(self.shape, self.dtype)


class Reshape(_OfKnownShape):
    """(x, sizes): reshape to sizes. 0 copies the size at the same position, -1 is what remains."""


class BroadcastTo(_OfKnownShape):
    """(x, sizes): axes of size 1 repeated to sizes. 1 leaves an axis as it is."""


class Tile(_OfKnownShape):
    """(x, repeats): the whole tensor repeated along each axis."""


class Arange(_OfKnownShape):
    """(start, stop, step): the numbers from start to stop."""


class GetItem(_OfKnownShape):
    """(x, key): x[key], where a tuple (start, stop, step) stands for a slice."""


class Pad(_OfKnownShape):
    """(x, before, after, value): axes made longer at both ends."""

    def __init__(self, shape: Sequence[int | None], dtype: str, mode: str) -> None:
        super().__init__(shape, dtype)
        self.mode = mode


class Segments(_OfKnownShape):
    """(data, segment_ids, number): rows combined by the number of their segment, as `kind` does."""

    def __init__(self, shape: Sequence[int | None], dtype: str, kind: str) -> None:
        super().__init__(shape, dtype)
        self.kind = kind
