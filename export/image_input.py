"""The input of a model that takes images, and how pixels become its values.

A model takes images if it has one input of 4 axes, of numbers, with 1 or 3 channels. NumPy is all it needs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from export.errors import UserError
from export.images import ImageFormat
from export.infer_metadata import read_input_range
from export.served_model import ServedModel, Value

PIXELS = (0.0, 255.0)


@dataclass(frozen=True)
class ImageInput:
    """An input of images.

    Attributes:
        value: the input.
        format: the images that it takes.
        low: the value that black has in the input.
        high: the value that white has.
    """

    value: Value
    format: ImageFormat
    low: float
    high: float

    @classmethod
    def of(cls, model: ServedModel) -> ImageInput | None:
        """The input of a model that takes images; None if it doesn't.

        Raises:
            UserError: the metadata don't give a range of pixels.
        """
        if len(model.inputs) != 1:
            return None
        value = model.inputs[0]
        is_number = value.dtype == np.uint8 or value.dtype.kind == "f"
        if len(value.shape) != 4 or not is_number or value.shape[-1] not in (1, 3, None):
            return None
        _, height, width, channels = value.shape
        low, high = read_input_range(model.path, model.metadata)
        return cls(value, ImageFormat(height, width, channels or 3), low, high)

    @property
    def takes_pixels(self) -> bool:
        """Whether it takes numbers 0..255 as they are."""
        return self.value.dtype != np.uint8 and (self.low, self.high) == PIXELS

    def values(self, pixels: np.ndarray) -> np.ndarray:
        """Pixels 0..255, as the input has them: in its range and of its dtype."""
        with np.errstate(over="ignore", invalid="ignore"):  # extreme ranges and pixels give infinity or NaN
            if self.value.dtype == np.uint8:
                return np.clip(np.round(pixels), 0, 255).astype(np.uint8)
            values = pixels.astype(np.float32)
            if not self.takes_pixels:
                values = self.low + values * np.float32((self.high - self.low) / 255)
            return values.astype(self.value.dtype, copy=False)

    def check_pixels(self, pixels: np.ndarray, source: str) -> str:
        """Look at an array that should hold pixels 0..255.

        Returns:
            A hint for the user; empty if there is nothing to say.

        Raises:
            UserError: it has other values, and the input needs pixels to be converted.
        """
        if pixels.dtype == np.uint8 or self.takes_pixels or not pixels.size:
            return ""
        low, high = pixels.min(), pixels.max()  # NaN if there is one
        if low < 0 or high > PIXELS[1]:
            raise UserError(
                f"{source}: expected pixels 0..255, got values from {low:g} to {high:g}; use --values for an array "
                "that holds what the model takes"
            )
        if 0 < high <= 1:
            return (
                f"{source}: its values are read as pixels 0..255, but the largest is {high:g}; use --values for an "
                "array that holds what the model takes"
            )
        return ""
