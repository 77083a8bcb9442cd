"""Classify images with an exported model.

    python -m export.infer MODEL.onnx IMAGE... | FOLDER | FILE.npz

NumPy, onnxruntime and Pillow are all it needs. The ONNX file says which size, channels and range of pixels the model
expects.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from export.command import Parser, run
from export.errors import UserError
from export.images import ImageFormat, read_image, read_images
from export.runtime import open_session

BATCH = 256  # images of one call, where the model takes any number


@dataclass(frozen=True)
class Prediction:
    """The most probable classes of one image, in descending order.

    Attributes:
        name: the file name, with the index of the image if the file is an array.
        classes: names of the classes; their indices, as text, if the model has no names.
        probabilities: one for each of `classes`.
    """

    name: str
    classes: tuple[str, ...]
    probabilities: tuple[float, ...]


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

    Example:
        >>> classifier = Classifier("model.onnx")
        >>> classifier.predict(images).argmax(axis=1)
    """

    def __init__(self, path: str | Path, threads: int = 0) -> None:
        self.session = open_session(path, threads=threads)
        inputs, outputs = self.session.get_inputs(), self.session.get_outputs()
        if len(inputs) != 1 or len(inputs[0].shape) != 4 or len(outputs[0].shape) != 2:
            raise UserError(
                f"{path}: expected a classifier of images, one input of 4 axes and an output of 2, got inputs "
                f"{[value.shape for value in inputs]} and outputs {[value.shape for value in outputs]}"
            )
        metadata = self.session.get_modelmeta().custom_metadata_map
        self.input_name = inputs[0].name
        self.is_uint8 = inputs[0].type == "tensor(uint8)"
        self.nchw = metadata.get("input_layout") == "nchw"
        self.batch = inputs[0].shape[0] if isinstance(inputs[0].shape[0], int) else None
        self.low, self.high = (float(value) for value in json.loads(metadata.get("input_range", "[0, 255]")))
        shape = inputs[0].shape[1:]
        channels, height, width = shape if self.nchw else (shape[2], *shape[:2])
        self.channels = int(channels) if isinstance(channels, int) else 3
        self.height, self.width = (size if isinstance(size, int) else None for size in (height, width))
        names = json.loads(metadata["class_names"]) if "class_names" in metadata else None
        self.class_names: tuple[str, ...] | None = tuple(names) if names else None
        if self.channels not in (1, 3):
            raise UserError(f"{path}: expected a model of images of 1 or 3 channels, got {self.channels}")

    @property
    def image_format(self) -> ImageFormat:
        """The images that the model expects."""
        return ImageFormat(self.height, self.width, self.channels)

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Compute the class probabilities of images.

        Args:
            images: pixels 0..255 of shape (n, height, width, channels); (n, height, width) for grey images.

        Returns:
            Probabilities of shape (n, classes).

        Raises:
            UserError: the images don't have the shape that the model expects.
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
        if self.is_uint8:
            batch = np.clip(np.round(images), 0, 255).astype(np.uint8)
        else:
            batch = images.astype(np.float32)
            if (self.low, self.high) != (0.0, 255.0):
                batch = self.low + batch * np.float32((self.high - self.low) / 255)
        if self.nchw:
            batch = np.ascontiguousarray(batch.transpose(0, 3, 1, 2))
        return np.asarray(self.session.run(None, {self.input_name: batch})[0])[:count]

    def classify(self, images: np.ndarray, names: Sequence[str], top: int = 1) -> list[Prediction]:
        """Find the `top` most probable classes of each image."""
        probabilities = self.predict(images)
        count = probabilities.shape[1]
        labels = self.class_names or tuple(str(index) for index in range(count))
        if len(labels) != count:
            raise UserError(f"expected {count} class names in the model's metadata, got {len(labels)}")
        result = []
        for name, row in zip(names, probabilities, strict=True):
            order = np.argsort(-row, kind="stable")[:top]
            result.append(
                Prediction(name, tuple(labels[i] for i in order), tuple(float(row[i]) for i in order))
            )
        return result

    def read_image(self, path: Path) -> tuple[np.ndarray, str]:
        """Read an image file, converted to what the model expects; see `export.images.read_image`."""
        return read_image(path, self.image_format)


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
    parser.add_argument("--json", action="store_true", help="print a JSON object for each image")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the options, classify the images and print their classes."""
    arguments = parser().parse_args(argv)
    for name, least in (("top", 1), ("threads", 0)):
        if getattr(arguments, name) < least:
            raise UserError(f"{name}: expected {least} or more, got {getattr(arguments, name)}")
    classifier = Classifier(arguments.model, arguments.threads)
    for images in read_images(arguments.images, classifier.image_format):
        if images.changes:
            print(f"{images.names[0]}: {images.changes}", file=sys.stderr)
        for prediction in classifier.classify(images.pixels, images.names, arguments.top):
            print(_as_json(prediction) if arguments.json else _as_text(prediction))
    return 0


def _as_json(prediction: Prediction) -> str:
    pairs = zip(prediction.classes, prediction.probabilities, strict=True)
    classes = [{"class": name, "probability": value} for name, value in pairs]
    return json.dumps({"name": prediction.name, "classes": classes})


def _as_text(prediction: Prediction) -> str:
    pairs = zip(prediction.classes, prediction.probabilities, strict=True)
    return f"{prediction.name}: " + ", ".join(f"{name} {100 * value:.2f} %" for name, value in pairs)


def cli() -> int:
    """Entry point of the console script."""
    return run(main)


if __name__ == "__main__":
    sys.exit(cli())
