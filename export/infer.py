"""Classify images with an exported model.

    python -m export.infer MODEL.onnx IMAGE... | FOLDER | FILE.npz

NumPy, onnxruntime and Pillow are all it needs. The ONNX file says which size, channels and range of pixels the model
expects. It may come from a stranger, and so may the images: what they declare is checked, and their names are
escaped where they are printed.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from export.command import Parser, run
from export.errors import UserError
from export.images import ImageFormat, looks_like_ink_on_paper, read_image, read_images
from export.infer_metadata import read_class_names, read_input_range, read_layout
from export.runtime import DTYPES, open_session, run_session
from export.terminal import escape

FLOATS = ("float", "double", "float16")  # as onnxruntime calls them
SMALL = 64  # pixels of height or width
BATCH = 256  # images of one call, where the model takes any number
SUM_TOLERANCE = 1e-3  # probabilities sum to 1; those of 1000 classes in float16 to within 5e-4


@dataclass(frozen=True)
class Prediction:
    """The most probable classes of one image, in descending order.

    Attributes:
        name: the file name, with the index of the image if the file is an array.
        classes: names of the classes; their indices, as text, if the model has no names.
        probabilities: one for each of `classes`; scores, such as logits, if the model computes no probabilities.
        are_scores: whether they are scores rather than probabilities.
    """

    name: str
    classes: tuple[str, ...]
    probabilities: tuple[float, ...]
    are_scores: bool = False


class Classifier:
    """An exported classifier, run on the CPU.

    Args:
        path: an ONNX file that `python -m export` wrote.
        threads: threads of one call; 0 uses all cores. For single small images 1 is fastest.

    Attributes:
        height: height of an image in pixels; None if the model takes any.
        width: width of an image in pixels; None if the model takes any.
        channels: 1 for grey, 3 for RGB.
        class_names: names of the classes; None if the file has none.

    Raises:
        UserError: the file is not an ONNX model with one input of images and an output of class probabilities.

    Examples:
        >>> classifier = Classifier("model.onnx")
        >>> classifier.predict(images).argmax(axis=1)
    """

    def __init__(self, path: str | Path, threads: int = 0) -> None:
        self.path = path
        self.session = open_session(path, threads=threads)
        inputs, outputs = self.session.get_inputs(), self.session.get_outputs()
        if len(inputs) != 1 or len(inputs[0].shape) != 4 or not outputs or len(outputs[0].shape) != 2:
            raise UserError(
                f"{path}: expected a classifier of images, one input of 4 axes and an output of 2, got inputs "
                f"{[value.shape for value in inputs]} and outputs {[value.shape for value in outputs]}"
            )
        for value, types in ((inputs[0], ("uint8", *FLOATS)), (outputs[0], FLOATS)):
            if value.type not in [f"tensor({name})" for name in types]:
                raise UserError(f"{path}: expected {value.name!r} of {', '.join(types)}, got {value.type}")
        metadata = self.session.get_modelmeta().custom_metadata_map
        self.input_name = inputs[0].name
        self.dtype = DTYPES[inputs[0].type]
        self.nchw = read_layout(path, metadata) == "nchw"
        self.low, self.high = read_input_range(path, metadata)
        batch, *shape = (size if isinstance(size, int) else None for size in inputs[0].shape)
        channels, height, width = shape if self.nchw else (shape[2], *shape[:2])
        self.batch, self.height, self.width = batch, height, width
        self.channels = 3 if channels is None else channels
        if self.channels not in (1, 3):
            raise UserError(f"{path}: expected a model of images of 1 or 3 channels, got {self.channels}")
        if any(size is not None and size < 1 for size in (batch, height, width)):
            raise UserError(f"{path}: expected sizes of 1 or more, got an input of {inputs[0].shape}")
        self.class_names = read_class_names(path, metadata, outputs[0].shape[1])

    @property
    def image_format(self) -> ImageFormat:
        """The images that the model expects."""
        return ImageFormat(self.height, self.width, self.channels)

    @property
    def takes_small_grey_images(self) -> bool:
        """Whether it takes grey images of up to 64x64 pixels, as models of digits and letters do."""
        return self.channels == 1 and max(self.height or math.inf, self.width or math.inf) <= SMALL

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Compute the class probabilities of images, or the logits, if the model ends with them.

        Args:
            images: pixels 0..255 of shape (n, height, width, channels); (n, height, width) for grey images.

        Returns:
            Probabilities of shape (n, classes).

        Raises:
            UserError: the images don't have the shape that the model expects, or the model fails.
        """
        images = np.asarray(images)
        if images.ndim == 3:
            images = images[..., np.newaxis]
        want = (self.height, self.width, self.channels)
        fits = images.ndim == 4 and images.dtype.kind in "uif"
        if not fits or any(size not in (None, got) for size, got in zip(want, images.shape[1:], strict=True)):
            raise UserError(f"expected images of shape (n, {want}), got {images.dtype} {images.shape}")
        size = self.batch or BATCH
        # An empty array makes one empty batch, so that the result has the right number of columns.
        starts = range(0, max(len(images), 1), size)
        return np.concatenate([self._run(images[start : start + size]) for start in starts])

    def _run(self, images: np.ndarray) -> np.ndarray:
        """Run one batch, converted to the type, range and layout of the model's input."""
        count = len(images)
        if self.batch is not None and count < self.batch:  # fill up a fixed batch
            images = np.concatenate([images, np.zeros((self.batch - count, *images.shape[1:]), images.dtype)])
        with np.errstate(over="ignore", invalid="ignore"):  # extreme ranges and pixels give infinity or NaN
            if self.dtype == np.uint8:
                batch = np.clip(np.round(images), 0, 255).astype(np.uint8)
            else:
                batch = images.astype(np.float32)
                if (self.low, self.high) != (0.0, 255.0):
                    batch = self.low + batch * np.float32((self.high - self.low) / 255)
                batch = batch.astype(self.dtype, copy=False)
        if self.nchw:
            batch = np.ascontiguousarray(batch.transpose(0, 3, 1, 2))
        result = np.asarray(run_session(self.session, {self.input_name: batch}, self.path)[0])
        if result.ndim != 2 or len(result) != len(batch):
            raise UserError(
                f"{self.path}: expected a row of classes for each of {len(batch)} images, got {result.shape}"
            )
        return result[:count]

    def classify(self, images: np.ndarray, names: Sequence[str], top: int = 1) -> list[Prediction]:
        """Find the `top` most probable classes of each image, or those with the highest scores."""
        probabilities = self.predict(images)
        count = probabilities.shape[1]
        labels = self.class_names or tuple(str(index) for index in range(count))
        if len(labels) != count:
            raise UserError(f"expected {count} class names in the model's metadata, got {len(labels)}")
        are_scores = not are_probabilities(probabilities)
        result = []
        for name, row in zip(names, probabilities, strict=True):
            order = np.argsort(-row, kind="stable")[:top]
            classes, values = tuple(labels[i] for i in order), tuple(float(row[i]) for i in order)
            result.append(Prediction(name, classes, values, are_scores))
        return result

    def read_image(self, path: Path) -> tuple[np.ndarray, str]:
        """Read an image file, converted to what the model expects; see `export.images.read_image`."""
        return read_image(path, self.image_format)


def are_probabilities(values: np.ndarray) -> bool:
    """Whether outputs of shape (n, classes) are probabilities: within 0..1, and rows that sum to 1.

    Only the values decide, because what the file says may be wrong. Logits, and the outputs of independent sigmoids,
    are not probabilities over the classes.
    """
    if not ((values >= 0) & (values <= 1 + SUM_TOLERANCE)).all():  # False for NaN
        return False
    return bool((np.abs(values.sum(axis=1, dtype=np.float64) - 1) <= SUM_TOLERANCE).all())


def parser() -> argparse.ArgumentParser:
    """The options of `python -m export.infer`."""
    parser = Parser(prog="kerasnorm-infer", description="Classify images with an exported model, on the CPU.")
    parser.add_argument("model", metavar="MODEL.onnx", help="a model that python -m export wrote")
    parser.add_argument("images", nargs="+", metavar="IMAGE|FOLDER|FILE.npz", help="the images to classify")
    parser.add_argument(
        "--top", type=int, default=1, metavar="K", help="show the K most probable classes (default: 1)"
    )
    parser.add_argument(
        "--threads", type=int, default=0, metavar="N", help="threads of one call (default: 0, all cores)"
    )
    parser.add_argument(
        "--invert",
        action="store_true",
        help="invert the pixels: dark ink on light paper, for a model trained on light ink on dark",
    )
    parser.add_argument("--json", action="store_true", help="print a JSON object for each image")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the options, classify the images and print their classes."""
    arguments = parser().parse_args(argv)
    for name, least in (("top", 1), ("threads", 0)):
        if getattr(arguments, name) < least:
            raise UserError(f"{name}: expected {least} or more, got {getattr(arguments, name)}")
    classifier = Classifier(arguments.model, arguments.threads)
    gives_hints = classifier.takes_small_grey_images and not arguments.invert
    papers: list[str] = []
    for images in read_images(arguments.images, classifier.image_format, invert=arguments.invert):
        if images.changes:
            print(escape(f"{images.names[0]}: {images.changes}"), file=sys.stderr)
        for prediction in classifier.classify(images.pixels, images.names, arguments.top):
            print(_as_json(prediction) if arguments.json else _as_text(prediction))
        if gives_hints:
            pairs = zip(images.names, images.pixels, strict=True)
            papers += [name for name, pixels in pairs if looks_like_ink_on_paper(pixels)]
    if papers:
        others = f" and {len(papers) - 1:,} more look" if papers[1:] else " looks"
        print(
            f"hint: {escape(papers[0])}{others} like dark ink on light paper; most models of small grey images are "
            "trained on light ink on a dark background; if this one is, use --invert",
            file=sys.stderr,
        )
    return 0


def _as_json(prediction: Prediction) -> str:
    """A JSON object on one line without control characters; null for NaN and infinity, which JSON doesn't have."""
    kind = "score" if prediction.are_scores else "probability"
    pairs = zip(prediction.classes, prediction.probabilities, strict=True)
    classes = [{"class": name, kind: value if math.isfinite(value) else None} for name, value in pairs]
    text = json.dumps({"name": prediction.name, "classes": classes}, allow_nan=False)
    return text.replace("\x7f", r"\u007f")  # DEL, the one control character that JSON allows as it is


def _as_text(prediction: Prediction) -> str:
    pairs = zip(prediction.classes, prediction.probabilities, strict=True)
    if prediction.are_scores:
        classes = [f"{name} score {value:.5g}" for name, value in pairs]
    else:
        classes = [f"{name} {100 * value:.2f} %" for name, value in pairs]
    return escape(f"{prediction.name}: {', '.join(classes)}")


def cli() -> int:
    """Entry point of the console script."""
    return run(main)


if __name__ == "__main__":
    sys.exit(cli())
