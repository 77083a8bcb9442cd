"""Classify images with an exported model.

    python -m export.infer MODEL.onnx IMAGE... | FOLDER | FILE.npz

NumPy, onnxruntime and Pillow are all it needs; the image size, the channels and the range of the pixels are
read from the ONNX file.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from export.arrays import read_npz
from export.command import Parser, run
from export.errors import UserError
from export.runtime import open_session

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")


@dataclass(frozen=True)
class Prediction:
    """The classes of one image, the likeliest first.

    Attributes:
        name: file name, with the place in it for an array.
        classes: names of the classes, or their numbers as text.
        probabilities: one for each of `classes`.
    """

    name: str
    classes: tuple[str, ...]
    probabilities: tuple[float, ...]


class Classifier:
    """An exported classifier on the CPU.

    Args:
        path: an ONNX file that `python -m export` wrote.
        threads: threads of one call; 0: as many as cores. For single small images 1 is fastest.

    Attributes:
        height: of an image, pixels; None if the model takes any.
        width: likewise.
        channels: 1 for grey, 3 for RGB.
        class_names: names of the classes, if the file has them.

    Raises:
        UserError: the file is no ONNX model of one image input and one output of class probabilities.

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

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Probabilities (n, classes) of images (n, height, width, channels) with pixels 0..255.

        Raises:
            UserError: the images have another shape than the model takes.
        """
        images = np.asarray(images)
        if images.ndim == 3:
            images = images[..., np.newaxis]
        want = (self.height, self.width, self.channels)
        fits = images.ndim == 4 and images.dtype.kind in "uif"
        if not fits or any(size not in (None, got) for size, got in zip(want, images.shape[1:], strict=True)):
            raise UserError(f"expected images of shape (n, {want}), got {images.dtype} {images.shape}")
        size = self.batch or 256
        # An empty array makes one empty batch: the answer has the right number of columns.
        starts = range(0, max(len(images), 1), size)
        return np.concatenate([self._run(images[start : start + size]) for start in starts])

    def _run(self, images: np.ndarray) -> np.ndarray:
        count = len(images)
        if self.batch is not None and count < self.batch:  # a fixed batch is filled up
            images = np.concatenate([images, np.zeros((self.batch - count, *images.shape[1:]), images.dtype)])
        if self.is_uint8:
            fed = np.clip(np.round(images), 0, 255).astype(np.uint8)
        else:
            fed = images.astype(np.float32)
            if (self.low, self.high) != (0.0, 255.0):
                fed = self.low + fed * np.float32((self.high - self.low) / 255)
        if self.nchw:
            fed = np.ascontiguousarray(fed.transpose(0, 3, 1, 2))
        return np.asarray(self.session.run(None, {self.input_name: fed})[0])[:count]

    def classify(self, images: np.ndarray, names: Sequence[str], top: int = 1) -> list[Prediction]:
        """The `top` likeliest classes of each image."""
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
        """An image file as the model expects it, (1, height, width, channels), and what was done to it.

        Raises:
            UserError: the file is no image.
        """
        from PIL import Image, UnidentifiedImageError

        try:
            with Image.open(path) as image:
                image.load()
                mode = "L" if self.channels == 1 else "RGB"
                done = []
                if image.mode.startswith("I"):  # 16 bits, which Pillow would cut off at 255
                    done.append("16 bits to 8")
                    image = Image.fromarray((np.asarray(image) // 257).astype(np.uint8))
                if image.mode != mode:
                    done.append(f"{image.mode} to {'grey' if mode == 'L' else 'RGB'}")
                    if "A" in image.getbands() or "transparency" in image.info:  # transparent is black
                        layer = image.convert("RGBA")
                        image = Image.alpha_composite(Image.new("RGBA", layer.size, "black"), layer)
                    image = image.convert(mode)
                size = (self.width or image.width, self.height or image.height)
                if image.size != size:
                    done.append(f"{image.width}x{image.height} to {size[0]}x{size[1]} pixels")
                    image = image.resize(size, Image.Resampling.BILINEAR)
                array = np.asarray(image, np.uint8).reshape(1, size[1], size[0], self.channels)
        except FileNotFoundError:
            raise UserError(f"{path}: expected an image, found nothing of that name") from None
        except (
            UnidentifiedImageError,
            OSError,
            SyntaxError,
            ValueError,
            Image.DecompressionBombError,
        ) as error:
            raise UserError(f"{path}: expected an image ({', '.join(SUFFIXES)}): {error}") from error
        return array, ", ".join(done)


def _sources(classifier: Classifier, paths: Sequence[str]) -> Iterator[tuple[list[str], np.ndarray, str]]:
    """Names and images of each file, of the images in a folder, and of the array in a .npz file."""
    for text in paths:
        path = Path(text)
        if path.is_dir():
            files = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
            if not files:
                raise UserError(f"{path}: expected a folder with images ({', '.join(SUFFIXES)}), found none")
            for file in files:
                yield [str(file)], *classifier.read_image(file)
        elif path.suffix == ".npz":
            images = _read_npz(path)
            yield [f"{path}[{index}]" for index in range(len(images))], images, ""
        else:
            yield [text], *classifier.read_image(path)


def _read_npz(path: Path) -> np.ndarray:
    def choose(names: list[str]) -> list[str]:
        known = next((name for name in ("x_test", "x", "images") if name in names), None)
        if known is None and len(names) != 1:
            raise UserError(f"{path}: expected an array x_test, x or images, got {', '.join(names)}")
        return [known or names[0]]

    return read_npz(path, choose)[0]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = Parser(prog="kerasnorm-infer", description="Classify images with an exported model, on the CPU.")
    parser.add_argument("model", metavar="MODEL.onnx", help="a model that python -m export wrote")
    parser.add_argument("images", nargs="+", metavar="IMAGE|FOLDER|FILE.npz", help="what to classify")
    parser.add_argument(
        "--top", type=int, default=1, metavar="K", help="show the K likeliest classes (default: 1)"
    )
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="default: as many as cores")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line, classify, print."""
    arguments = parser().parse_args(argv)
    for name, least in (("top", 1), ("threads", 0)):
        if getattr(arguments, name) < least:
            raise UserError(f"{name}: expected {least} or more, got {getattr(arguments, name)}")
    classifier = Classifier(arguments.model, arguments.threads)
    for names, images, done in _sources(classifier, arguments.images):
        if done:
            print(f"{names[0]}: {done}", file=sys.stderr)
        for prediction in classifier.classify(images, names, arguments.top):
            print(_as_json(prediction) if arguments.json else _as_text(prediction))
    return 0


def _as_json(prediction: Prediction) -> str:
    pairs = zip(prediction.classes, prediction.probabilities, strict=True)
    classes: list[dict[str, Any]] = [{"class": name, "probability": value} for name, value in pairs]
    return json.dumps({"name": prediction.name, "classes": classes})


def _as_text(prediction: Prediction) -> str:
    pairs = zip(prediction.classes, prediction.probabilities, strict=True)
    return f"{prediction.name}: " + ", ".join(f"{name} {100 * value:.2f} %" for name, value in pairs)


def cli() -> int:
    """Entry point of the console script."""
    return run(main)


if __name__ == "__main__":
    sys.exit(cli())
