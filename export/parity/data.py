"""The inputs of the parity check; `plan.py` says which of them are compared.

- *batch n*: batches of several sizes: the user's data, all of it, or seeded random inputs of each input's domain. Every
  other random image is made of blocks with a little noise: averages of noise alone are all alike.
- *constant* and *large mean*: inputs that a normalization divides by almost nothing; a variance that is computed in one
  pass loses its digits there. Only rounding is left of them, so that they are judged by how far they move when they
  change in their last places.
- *out of range*: numbers from outside the domain, ids that no embedding has, wherever Keras computes something of them.
- *size h x w*: other sizes of dynamic dimensions, wherever Keras runs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import ml_dtypes
import numpy as np

from export.conversion import Conversion, Options
from export.errors import UserError
from export.layout import to_graph
from export.parity.domains import PIXELS, Domain, domain_of
from export.parity.oracle import Inputs

# Units in a float32's last place by which inputs are moved to see how rounding errors grow. Of the constant input
# nothing but rounding is left after a normalization; in the one of large mean, the errors that are looked for are
# only a few hundred units themselves.
NUDGES = {"constant": 64 * 2.0**-23, "large mean": 16 * 2.0**-23}
DEGENERATE = tuple(NUDGES)


class Source:
    """Makes the inputs of a model.

    Raises:
        UserError: the data have numbers that an input can't hold.
    """

    def __init__(self, model: keras.Model, conversion: Conversion, data: Inputs | None) -> None:
        self.symbolic = keras.tree.flatten(model.inputs)
        self.options: Options = conversion.options
        self.data = data
        for index, array in enumerate(data or []):
            self._check_held(array, index)
        asked_for = self.options.input_range
        self.domains = [domain_of(model, i, conversion.input_range) for i in range(len(self.symbolic))]
        if asked_for is not None:
            self.domains = [_replaced(domain, asked_for) for domain in self.domains]
        if data is not None:
            self.domains = [_seen(domain, array) for domain, array in zip(self.domains, data, strict=True)]
        if self.options.raw_pixels:
            self.domains = [
                Domain("numbers", *(asked_for or PIXELS)) if self._is_image(i) else domain
                for i, domain in enumerate(self.domains)
            ]
        # Other inputs share the size of their dynamic dimensions: (sequence, mask), (image, image).
        self.dynamic = sorted(
            {axis for x in self.symbolic for axis, size in enumerate(x.shape[1:], 1) if size is None}
        )

    def _is_image(self, index: int) -> bool:
        return "float" in str(self.symbolic[index].dtype)

    def random(self, rows: int, sizes: Sequence[int], seed: int, *, wide: bool = False) -> Inputs:
        """Random inputs; `sizes` are those of the dynamic dimensions, in order; `wide`: from outside the domains."""
        rng = np.random.default_rng([seed, rows, *sizes])
        arrays = []
        for index, (tensor, domain) in enumerate(zip(self.symbolic, self.domains, strict=True)):
            shape = [tensor.shape[0] or rows, *self.shape(tensor, sizes)]
            array = _draw(
                rng, domain, shape, wide and not (self.options.raw_pixels and self._is_image(index))
            )
            arrays.append(self._cast(array, index))
        return arrays

    def rows(self, start: int, count: int) -> Inputs:
        """Rows of the user's data, from the beginning again after the last."""
        result = []
        for index, (tensor, array) in enumerate(zip(self.symbolic, self.data or [], strict=True)):
            first, number = start, count
            if tensor.shape[0] is not None:
                first, number = start // count * tensor.shape[0], tensor.shape[0]
            result.append(self._cast(array[np.arange(first, first + number) % len(array)], index))
        return result

    @property
    def whole(self) -> Inputs:
        """All of the user's data at once."""
        return [self._cast(array, index) for index, array in enumerate(self.data or [])]

    @property
    def has_rows(self) -> bool:
        """Whether each row of the user's data has one of every input. A graph has other numbers of nodes and edges."""
        pairs = zip(self.symbolic, self.data or [], strict=True)
        return len({len(array) for tensor, array in pairs if tensor.shape[0] is None}) <= 1

    def degenerate(self, kind: str, like: Inputs) -> Inputs:
        """Constant inputs, or such of large mean and small variance, in place of floating-point numbers."""
        rng = np.random.default_rng(0)
        arrays = []
        for index, (array, domain) in enumerate(zip(like, self.domains, strict=True)):
            if self._is_image(index) and domain.kind == "numbers":
                low, high = np.asarray(domain.low, np.float64), np.asarray(domain.high, np.float64)
                constant = np.broadcast_to((low + high) / 2, array.shape)
                near = high - (high - low) / 255 * rng.integers(0, 3, array.shape)
                array = self._cast(constant if kind == "constant" else near, index)
            arrays.append(array)
        return arrays

    @property
    def sizes_of_data(self) -> tuple[int, ...]:
        """The sizes of the dynamic dimensions in the user's data."""
        pairs = list(zip(self.symbolic, self.data or [], strict=True))
        return tuple(
            next(array.shape[axis] for x, array in pairs if len(x.shape) > axis and x.shape[axis] is None)
            for axis in self.dynamic
        )

    def numbers_in_a_row(self, sizes: Sequence[int]) -> int:
        """How many numbers one row of all inputs has."""
        return max(1, sum(math.prod(self.shape(x, sizes)) for x in self.symbolic))

    def shape(self, tensor: Any, sizes: Sequence[int]) -> list[int]:
        """The shape of one row of an input."""
        by_axis = dict(zip(self.dynamic, sizes, strict=True))
        return [by_axis[axis] if size is None else size for axis, size in enumerate(tensor.shape[1:], 1)]

    @property
    def has_numbers(self) -> bool:
        """Whether any input takes floating-point numbers."""
        return any(self._is_image(i) and domain.kind == "numbers" for i, domain in enumerate(self.domains))

    def _dtype(self, index: int) -> str:
        """The type of an input of the graph."""
        raw = self.options.raw_pixels and self._is_image(index)
        return "uint8" if raw else str(self.symbolic[index].dtype)

    def _check_held(self, array: np.ndarray, index: int) -> None:
        """Check that an integer input can hold the numbers of the user's data."""
        dtype = self._dtype(index)
        if "int" not in dtype or array.dtype.kind not in "fiu":
            return
        limits = np.iinfo(dtype)
        wrong = array[~((array >= limits.min) & (array <= limits.max) & (array == np.round(array)))]
        advice = f"change them, or leave out --{'raw-pixels' if self._is_image(index) else 'check-data'}"
        if self._is_image(index) and array.dtype.kind == "f" and array.size and array.max() <= 1:
            wrong, advice = array[array == array.max()], "multiply them by 255"
        if wrong.size:
            raise UserError(
                f"check-data: expected whole numbers from {limits.min} to {limits.max} for input "
                f"{self.symbolic[index].name!r}, got {wrong.flat[0]}; {advice}"
            )

    def _cast(self, array: np.ndarray, index: int) -> np.ndarray:
        dtype = self._dtype(index)
        if dtype == "string":
            return array.astype(object)
        if "int" in dtype and array.dtype.kind in "fiu":
            limits = np.iinfo(dtype)
            array = np.clip(np.round(array), limits.min, limits.max)
        if dtype == "bfloat16":  # the graph takes float32, and doesn't round it
            return array.astype(ml_dtypes.bfloat16).astype(np.float32)
        return array.astype(dtype)


def graph_inputs(conversion: Conversion, arrays: Inputs) -> Inputs:
    """The inputs of the graph for those of the Keras model: its layout, and float32 for float64."""
    arrays = [a.astype(np.float32) if a.dtype == np.float64 else a for a in arrays]
    return [to_graph(a, conversion.options.input_layout) for a in arrays]


def _replaced(domain: Domain, input_range: tuple[float, float]) -> Domain:
    """The domain with the range that the user asked for; a vocabulary stays what it is."""
    if domain.kind == "numbers":
        return Domain("numbers", *input_range)
    if domain.kind == "integers" and not domain.known:
        return Domain("integers", int(np.ceil(input_range[0])), int(np.floor(input_range[1])))
    return domain


def _seen(domain: Domain, array: np.ndarray) -> Domain:
    """The domain with the range of the user's data."""
    finite = array[np.isfinite(array)] if array.dtype.kind == "f" else array
    if (
        domain.kind != "numbers"
        or array.dtype.kind not in "uif"
        or not finite.size
        or finite.min() == finite.max()
    ):
        return domain
    return Domain("numbers", float(finite.min()), float(finite.max()))


def _draw(rng: np.random.Generator, domain: Domain, shape: list[int], wide: bool) -> np.ndarray:
    if domain.kind == "mask":
        return _mask(rng, shape)
    if domain.kind == "words":
        return np.array(domain.words, dtype=object)[rng.integers(0, len(domain.words), shape)]
    if domain.kind == "text":
        words = np.array(domain.words, dtype=object)
        return np.array(
            [" ".join(rng.choice(words, 12)) for _ in range(int(np.prod(shape)))], object
        ).reshape(shape)
    if domain.kind == "integers":
        below = above = int(max(1, (domain.high - domain.low) // 4)) if wide else 0
        ids = rng.integers(domain.low - below, domain.high + 1 + above, shape)
        if len(shape) > 1:  # every other row repeats few ids, as texts do; means of many are all alike
            places = rng.integers(0, min(3, shape[1]), shape[1])
            ids[1::2] = ids[1::2][:, places]
        return np.where(_mask(rng, shape), ids, 0) if domain.pads and not wide else ids
    low, high = np.asarray(domain.low, np.float64), np.asarray(domain.high, np.float64)
    unit = rng.uniform(0, 1, shape)
    if len(shape) > 2:
        unit[1::2] = (_blocks(rng, unit[1::2].shape) * 3 + unit[1::2]) / 4
    return low + (high - low) * (3 * unit - 1 if wide else unit)


def _mask(rng: np.random.Generator, shape: list[int]) -> np.ndarray:
    """True up to a random position of the last axis, which is the first at least."""
    lengths = rng.integers(1, shape[-1] + 1, shape[:-1])
    return np.arange(shape[-1]) < lengths[..., np.newaxis]


def _blocks(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers from 0 to 1, constant over blocks of about a quarter of each axis but the first and the last."""
    coarse = rng.uniform(0, 1, (shape[0], *(min(4, size) for size in shape[1:-1]), shape[-1]))
    for axis, size in enumerate(shape[1:-1], 1):
        coarse = np.take(coarse, np.arange(size) * coarse.shape[axis] // max(size, 1), axis)
    return coarse
