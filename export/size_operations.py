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

    def call(self, x: Any) -> Any:
        """The size."""
        return ops.shape(x)[self.axis]


class OfKnownShape(keras.Operation):
    """An operation whose output has a shape and a dtype that its caller knows; None for a dynamic dimension."""

    def __init__(self, shape: Sequence[int | None], dtype: str) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.dtype = dtype

    def compute_output_spec(self, *args: Any) -> keras.KerasTensor:
        """The shape and dtype that were given."""
        return keras.KerasTensor(self.shape, self.dtype)


class Reshape(OfKnownShape):
    """(x, sizes): reshape to sizes. 0 copies the size at the same position, -1 is what remains."""

    def call(self, x: Any, sizes: Sequence[Any]) -> Any:
        """The tensor of another shape."""
        return ops.reshape(
            x, [ops.shape(x)[axis] if _is(size, 0) else size for axis, size in enumerate(_numbers(sizes))]
        )


class BroadcastTo(OfKnownShape):
    """(x, sizes): axes of size 1 repeated to sizes. 1 leaves an axis as it is."""

    def call(self, x: Any, sizes: Sequence[Any]) -> Any:
        """The larger tensor."""
        sizes = _numbers(sizes)
        own = [1] * (len(sizes) - len(x.shape)) + list(ops.shape(x))
        return ops.broadcast_to(x, [old if _is(new, 1) else new for old, new in zip(own, sizes, strict=True)])


class Tile(OfKnownShape):
    """(x, repeats): the whole tensor repeated along each axis."""

    def call(self, x: Any, repeats: Sequence[Any]) -> Any:
        """The longer tensor."""
        return ops.tile(x, _numbers(repeats))


class Arange(OfKnownShape):
    """(start, stop, step): the numbers from start to stop."""

    def call(self, start: Any, stop: Any, step: Any) -> Any:
        """The vector."""
        return ops.arange(*_numbers((start, stop, step)), dtype=self.dtype)


class GetItem(OfKnownShape):
    """(x, key): x[key], where a tuple (start, stop, step) stands for a slice."""

    def call(self, x: Any, key: Sequence[Any]) -> Any:
        """The part of the tensor."""
        return x[tuple(slice(*_numbers(one)) if isinstance(one, tuple) else _number(one) for one in key)]


class Pad(OfKnownShape):
    """(x, before, after, value): axes made longer at both ends."""

    def __init__(self, shape: Sequence[int | None], dtype: str, mode: str) -> None:
        super().__init__(shape, dtype)
        self.mode = mode

    def call(self, x: Any, before: Sequence[Any], after: Sequence[Any], value: Any) -> Any:
        """The longer tensor."""
        width = list(zip(_numbers(before), _numbers(after), strict=True))
        return ops.pad(x, width, self.mode, **({"constant_values": value} if self.mode == "constant" else {}))


class Resize(OfKnownShape):
    """(images, sizes): images in another height and width."""

    crop_to_aspect_ratio = pad_to_aspect_ratio = False

    def __init__(
        self,
        shape: Sequence[int | None],
        dtype: str,
        interpolation: str,
        antialias: bool,
        data_format: str | None,
    ) -> None:
        super().__init__(shape, dtype)
        self.interpolation = interpolation
        self.antialias = antialias
        self.data_format = data_format

    def call(self, images: Any, sizes: Sequence[Any]) -> Any:
        """The images in the other size."""
        size = tuple(_numbers(sizes))
        return ops.image.resize(
            images, size, self.interpolation, self.antialias, data_format=self.data_format
        )


class Select(OfKnownShape):
    """(condition, x, other): one of two tensors, which may differ in their sizes."""

    def call(self, condition: Any, x: Any, other: Any) -> Any:
        """The tensor."""
        return ops.cond(condition, lambda: x, lambda: other)


class Segments(OfKnownShape):
    """(data, segment_ids, number): rows combined by the number of their segment, as `kind` does."""

    def __init__(self, shape: Sequence[int | None], dtype: str, kind: str) -> None:
        super().__init__(shape, dtype)
        self.kind = kind

    def call(self, data: Any, segment_ids: Any, number: Any) -> Any:
        """The combined rows."""
        function = ops.segment_sum if self.kind == "SegmentSum" else ops.segment_max
        return function(data, segment_ids, None if number is None else _number(number))


def _numbers(sizes: Sequence[Any]) -> list[Any]:
    return [_number(size) for size in sizes]


def _number(size: Any) -> Any:
    """A size as an int, unless it is a tensor of which only a compiled function knows the value."""
    if size is None or isinstance(size, (int, slice, type(Ellipsis))):
        return size
    try:
        return int(size)
    except (TypeError, ValueError):
        return size


def _is(size: Any, number: int) -> bool:
    return isinstance(size, int) and size == number
