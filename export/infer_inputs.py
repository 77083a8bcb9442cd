"""What `python -m export.infer` reads: images, arrays, tables and texts, as arrays for the inputs of a model.

The ending of a file's name says what it is. NumPy is all it needs, and Pillow for images.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from export.arrays import read_npy, read_npz
from export.errors import UserError
from export.image_input import ImageInput
from export.images import image_files, looks_like_ink_on_paper, read_image
from export.infer_tables import read_table, read_texts
from export.served_model import TEXT, ServedModel

ARRAYS = (
    "x_test",
    "x",
    "images",
)  # what the array for a single input may be called in a .npz file, in this order
STDIN = "-"


@dataclass(frozen=True)
class Rows:
    """Some rows for a model, and where they come from.

    Attributes:
        source: the file.
        names: a name for each row.
        inputs: an array for each input, by name.
        notes: what the user should know about them, a line each.
        on_paper: the names of small grey images that look like dark ink on light paper.
    """

    source: str
    names: list[str]
    inputs: dict[str, np.ndarray]
    notes: list[str] = field(default_factory=list)
    on_paper: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Reader:
    """Reads files for a model.

    Attributes:
        model: the model.
        images: its input, if it takes images.
        invert: replace each pixel by 255 minus the pixel.
        as_values: arrays hold what the model takes, not pixels.
        columns: the columns of a table, in the order of the inputs; empty to find them by name.
    """

    model: ServedModel
    images: ImageInput | None
    invert: bool = False
    as_values: bool = False
    columns: Sequence[str] = ()

    def read(self, paths: Sequence[str]) -> Iterator[Rows]:
        """Read the files and folders, one file at a time.

        Raises:
            UserError: a file is missing, or is not what the model takes.
        """
        for path in paths:
            ending = Path(path).suffix.lower()
            if ending == ".csv":
                yield self._rows(path, read_table(path, self.model.inputs, self.columns))
            elif path == STDIN or ending == ".txt":
                yield self._rows(path, read_texts(path, self.model.inputs))
            elif ending in (".npz", ".npy"):
                yield self._of_arrays(path, self._read_arrays(path))
            else:
                for file in image_files(path):
                    yield self._of_image(str(file) if Path(path).is_dir() else path)

    @property
    def _looks_for_paper(self) -> bool:
        return self.images is not None and self.images.format.is_small_and_grey and not self.invert

    def _rows(self, path: str, inputs: dict[str, np.ndarray], notes: Sequence[str] = ()) -> Rows:
        count = max((len(array) for array in inputs.values() if array.ndim), default=0)
        notes = [*notes, *(_nan_note(path, name, array) for name, array in inputs.items())]
        names = [f"{path}[{index}]" for index in range(count)]
        return Rows(path, names, inputs, [note for note in notes if note])

    def _read_arrays(self, path: str) -> dict[str, np.ndarray]:
        inputs = [value.name for value in self.model.inputs]
        if path.lower().endswith(".npy"):
            if len(inputs) > 1:
                raise UserError(
                    f"{path}: expected a .npz file with the arrays {', '.join(inputs)}, got one array"
                )
            return {inputs[0]: read_npy(path)}

        def choose(names: list[str]) -> list[str]:
            if all(name in names for name in inputs):
                return inputs
            if len(inputs) > 1:
                missing = next(name for name in inputs if name not in names)
                raise UserError(f"{path}: expected an array {missing!r} for each row, got {', '.join(names)}")
            known = next((name for name in ARRAYS if name in names), None)
            if known is None and len(names) != 1:
                allowed = ", ".join([inputs[0], *ARRAYS])
                raise UserError(f"{path}: expected an array named one of {allowed}, got {', '.join(names)}")
            return [known or names[0]]

        return dict(zip(inputs, read_npz(path, choose), strict=True))

    def _of_arrays(self, path: str, inputs: dict[str, np.ndarray]) -> Rows:
        if self.images is None or self.as_values:
            return self._rows(path, inputs)
        ((name, array),) = inputs.items()
        pixels = array[..., np.newaxis] if array.ndim == 3 else array
        sizes = self.images.value.shape[1:]
        fits = pixels.ndim == 4 and pixels.dtype.kind in "uif"
        if not fits or any(
            size not in (None, got) for size, got in zip(sizes, pixels.shape[1:], strict=True)
        ):
            raise UserError(f"{path}: expected {self.images.value}, got {array.dtype} {array.shape}")
        hint = self.images.check_pixels(pixels, path)
        if self.invert:
            pixels = 255 - (pixels if pixels.dtype == np.uint8 else pixels.astype(np.float32))
        rows = self._rows(path, {name: self.images.values(pixels)}, [f"hint: {hint}" if hint else ""])
        pairs = zip(rows.names, pixels, strict=True) if self._looks_for_paper else ()
        return replace(rows, on_paper=[name for name, x in pairs if looks_like_ink_on_paper(x)])

    def _of_image(self, path: str) -> Rows:
        if self.images is None:
            listed = "; ".join(map(str, self.model.inputs))
            raise UserError(f"{path}: expected {self._file_kinds()}, because the model takes {listed}")
        pixels, changes = read_image(Path(path), self.images.format, self.invert)
        on_paper = [path] if self._looks_for_paper and looks_like_ink_on_paper(pixels[0]) else []
        inputs = {self.images.value.name: self.images.values(pixels)}
        return Rows(path, [path], inputs, [f"{path}: {changes}"] if changes else [], on_paper)

    def _file_kinds(self) -> str:
        """The files that the model can be given, if it takes no images."""
        values = self.model.inputs
        if len(values) == 1 and values[0].dtype == TEXT:
            return "a .txt, .csv, .npz or .npy file"
        is_table = all(len(value.shape) <= 2 for value in values)
        return "a .csv or .npz file" if is_table else "a .npz file"


def _nan_note(path: str, name: str, array: np.ndarray) -> str:
    if array.dtype.kind != "f" or array.ndim == 0:
        return ""
    rows = np.isnan(array).reshape(len(array), -1).any(axis=1)
    if not rows.any():
        return ""
    return f"hint: {path}: input {name!r} is NaN in {rows.sum():,} of {len(rows):,} rows, the first is {rows.argmax()}"
