"""A run as the demo has it: its model and its normalization."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras

import kerasnorm.normalizations  # noqa: F401  # rms and frn have no stock form, and a model may have their layers
from export.errors import UserError
from export.load import load_model
from kerasnorm.norms import Norm, get_norm
from kerasnorm.rundir import CONFIG, MODEL, read_json


@dataclass(frozen=True)
class DemoRun:
    """A trained network.

    Attributes:
        name: what the page calls it.
        norm: its normalization.
        model: the network.
        groups: number of groups of the normalization, if it has groups and the recipe sets them.
        class_names: names of the classes.
        pixel_mean: mean of the training pixels, for each channel, in 0..255.
    """

    name: str
    norm: Norm
    model: keras.Model
    groups: int | None
    class_names: tuple[str, ...]
    pixel_mean: tuple[float, ...]

    @property
    def image_shape(self) -> tuple[int, ...]:
        """(height, width, channels)."""
        return tuple(self.model.input_shape[1:])


def read_run(path: Path) -> DemoRun:
    """Read a run directory.

    Raises:
        UserError: it is none, or it holds another model than the study's CNN.
    """
    if not path.is_dir():
        raise UserError(
            f"{path}: expected a run directory, as kerasnorm.train writes it, found no such folder"
        )
    config = read_json(path / CONFIG)
    try:
        norm, groups = str(config["norm"]), config["recipe"]["groups"]
        names = tuple(map(str, config["data"]["class_names"]))
        mean = tuple(255 * float(value) for value in config["data"]["pixel_mean"])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path / CONFIG}: expected norm, recipe and data of a run, found another file: {error}"
        ) from error
    model = load_model(path / MODEL)
    if not any(layer.name == "conv0" for layer in model.layers) or len(model.inputs) != 1:
        raise UserError(f"{path / MODEL}: expected the CNN of kerasnorm.build_cnn, got {model.name!r}")
    return DemoRun(path.name, get_norm(norm), model, groups, names, mean)


def named(runs: Sequence[DemoRun]) -> list[tuple[str, DemoRun]]:
    """What the page calls each run: the key of its normalization, or its folder where two have the same."""
    keys = [run.norm.key for run in runs]
    return [(run.norm.key if keys.count(run.norm.key) == 1 else run.name, run) for run in runs]
