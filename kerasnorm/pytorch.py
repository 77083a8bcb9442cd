"""Checkpoints of the study's network in PyTorch, read into our model and back; `python -m kerasnorm.pytorch`.

A checkpoint is a `state_dict` of numbered convolutions and normalizations, whatever its modules are called:
convolution kernels (4 axes, the last of them the classifier's, 1x1), and for each normalization a `weight`, a
`bias` and, for bn, a `running_mean` and a `running_var`. PyTorch itself is needed for `.pt` files only; a
`.npz` file of the same arrays does without.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from export.arrays import read_npz
from export.command import Parser, import_tensorflow_quietly, run
from export.errors import UserError
from export.files import write_whole
from kerasnorm.recipes import NORMS, check_norm

if TYPE_CHECKING:
    import keras

TORCH_SUFFIXES = (".pt", ".pth")

# The parameters of a normalization: name in PyTorch -> name in Keras.
_NORMALIZATION = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}
_STATISTICS = ("running_mean", "running_var")


def read_state_dict(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays of a checkpoint, in its order; a `state_dict` within a dictionary is found.

    Args:
        path: a `.pt` or `.pth` file, read with `weights_only=True` so that no code of it runs, or `.npz`.

    Raises:
        UserError: the file is missing, damaged, not a checkpoint, or PyTorch is not installed.
    """
    path = Path(path)
    if path.suffix == ".npz":
        names: list[str] = []

        def choose(found: list[str]) -> list[str]:
            names.extend(found)
            return found

        return dict(zip(names, read_npz(path, choose), strict=True))
    if path.suffix not in TORCH_SUFFIXES:
        raise UserError(f"{path}: expected a .pt, .pth or .npz checkpoint, got {path.suffix or 'no suffix'}")
    if not path.is_file():
        raise UserError(f"{path}: expected a PyTorch checkpoint, found no file of that name")
    torch = _torch(path)
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch and pickle raise whatever a damaged file provokes
        reason = str(error).split("\n")[0][:200] or type(error).__name__
        if "weights_only" in str(error) or "Unsupported" in str(error):
            reason = (
                "it holds more than weights, and code of a stranger's is not run; save model.state_dict()"
            )
        raise UserError(f"{path}: expected a readable checkpoint: {reason}") from error
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    if not isinstance(loaded, Mapping) or not all(
        isinstance(value, torch.Tensor) for value in loaded.values()
    ):
        raise UserError(f"{path}: expected a state_dict (names and tensors), got {type(loaded).__name__}")
    return {str(name): value.detach().cpu().numpy() for name, value in loaded.items()}


def write_state_dict(path: str | Path, state: Mapping[str, np.ndarray]) -> None:
    """Write a checkpoint as `.pt`, `.pth` or `.npz`, whole or not at all.

    Raises:
        UserError: the suffix is another, PyTorch is needed and not installed, or the file can't be written.
    """
    path = Path(path)
    if path.suffix == ".npz":
        arrays: dict[str, Any] = dict(state)
        write_whole(path, lambda temporary: np.savez(temporary, **arrays))
    elif path.suffix in TORCH_SUFFIXES:
        torch = _torch(path)
        tensors = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in state.items()}
        write_whole(path, partial(torch.save, tensors))
    else:
        raise UserError(f"{path}: expected a name ending in .pt, .pth or .npz")


def _torch(path: Path) -> Any:
    try:
        import torch
    except ImportError as error:
        raise UserError(
            f"{path}: expected PyTorch for a {path.suffix} file, found none; pip install torch, or use .npz"
        ) from error
    return torch


def model_from_state_dict(
    state: Mapping[str, np.ndarray], norm: str, image_size: int = 28, **options: Any
) -> keras.Model:
    """`build_cnn`'s model with the weights of a PyTorch network of the study's kind.

    Args:
        state: names and arrays: convolution kernels (out, in, height, width), vectors of the normalizations.
        norm: 'bn', 'ln' or 'gn'; the arrays of ln and gn look the same, so it must be said.
        image_size: height and width of the images, in pixels.
        options: further arguments of `build_cnn`, such as `groups`, `dropout` or `dtype`.

    Raises:
        UserError: the arrays are not those of such a network with this normalization.
    """
    from kerasnorm.models import build_cnn

    check_norm(norm)
    kernels, parts = _sort_out(state)
    given = [name for name in _NORMALIZATION if name in parts]
    wanted = [name for name in _NORMALIZATION if norm == "bn" or name not in _STATISTICS]
    if given != wanted:
        raise UserError(
            f"state_dict: expected {', '.join(wanted)} in each normalization for norm {norm!r}, "
            f"got {', '.join(given) or 'none'}"
        )
    *convolutions, head = kernels
    count = len(convolutions)
    if count < 3 or any(len(vectors) != count for vectors in parts.values()):
        raise UserError(
            "state_dict: expected 3 or more convolutions, a normalization after each, and a classifier, "
            f"got {len(kernels)} kernels and {max(map(len, parts.values()))} normalizations"
        )
    if head.shape[2:] not in ((), (1, 1)):
        raise UserError(f"state_dict: expected a 1x1 classifier at the end, got a kernel of {head.shape}")
    filters, channels = convolutions[0].shape[:2]
    model = build_cnn(
        norm,
        (image_size, image_size, channels),
        head.shape[0],
        filters,
        count - 2,
        **options,
    )
    values = {"head": {"kernel": head.reshape(head.shape[:2]).T}}
    for index, kernel in enumerate(convolutions):
        values[f"conv{index}"] = {"kernel": kernel.transpose(2, 3, 1, 0)}
        values[f"norm{index}"] = {_NORMALIZATION[name]: parts[name][index] for name in parts}
    for layer, weights in values.items():
        for weight in model.get_layer(layer).weights:
            value = weights[weight.name]
            if tuple(weight.shape) != value.shape:
                raise UserError(
                    f"state_dict: expected {tuple(weight.shape)} for {layer}/{weight.name}, got {value.shape}"
                )
            weight.assign(value)
    return model


def _sort_out(state: Mapping[str, np.ndarray]) -> tuple[list[np.ndarray], dict[str, list[np.ndarray]]]:
    """The kernels in order, and the vectors of the normalizations by name, each in order."""
    kernels: list[np.ndarray] = []
    parts: dict[str, list[np.ndarray]] = {}
    for name, array in state.items():
        last = name.rsplit(".", 1)[-1]
        if last == "num_batches_tracked":
            continue
        if not np.issubdtype(array.dtype, np.floating) or not np.isfinite(array).all():
            raise UserError(f"state_dict: expected finite floats in {name}, got {array.dtype} with others")
        if array.ndim in (2, 4) and last == "weight":
            kernels.append(array)
        elif array.ndim == 1 and last in _NORMALIZATION:
            parts.setdefault(last, []).append(array)
        else:
            raise UserError(
                "state_dict: expected kernels (4 axes) and vectors of normalizations (weight, bias, running_mean, "
                f"running_var), got {name} with shape {array.shape}"
            )
    if len(kernels) < 2 or not parts or any(kernel.ndim != 4 for kernel in kernels[:-1]):
        raise UserError(
            f"state_dict: expected convolutions, normalizations and a classifier, got {', '.join(state) or 'nothing'}"
        )
    return kernels, parts


def state_dict_from_model(model: keras.Model) -> dict[str, np.ndarray]:
    """The weights of a `build_cnn` model as PyTorch keeps them: conv0.weight, norm0.weight, ..., head.weight.

    The order is that of the network, so `load_state_dict` of a module with other names takes them as
    `dict(zip(module.state_dict(), ours.values()))`. The variance that Keras has gathered is the biased one.

    Raises:
        UserError: the model is not one of `build_cnn`.
    """
    layers = {layer.name: layer for layer in model.layers}
    state: dict[str, np.ndarray] = {}
    index = 0
    while f"conv{index}" in layers and f"norm{index}" in layers:
        state[f"conv{index}.weight"] = np.asarray(layers[f"conv{index}"].kernel).transpose(3, 2, 0, 1)
        vectors = {weight.name: np.asarray(weight) for weight in layers[f"norm{index}"].weights}
        for torch_name, keras_name in _NORMALIZATION.items():
            if keras_name in vectors:
                state[f"norm{index}.{torch_name}"] = vectors[keras_name]
        if "moving_mean" in vectors:
            state[f"norm{index}.num_batches_tracked"] = np.array(0, np.int64)
        index += 1
    if not index or "head" not in layers:
        raise UserError(
            f"{model.name}: expected a model of kerasnorm.build_cnn (layers conv0, norm0, ..., head), "
            f"got the layers {', '.join(list(layers)[:8])}"
        )
    state["head.weight"] = np.asarray(layers["head"].kernel).T[:, :, None, None]
    return state


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = Parser(
        prog="python -m kerasnorm.pytorch",
        description="Convert a PyTorch checkpoint of the study's network to a Keras model, or back.",
    )
    parser.add_argument(
        "source", metavar="SOURCE", help="a checkpoint (.pt, .pth, .npz), or a .keras model to convert back"
    )
    parser.add_argument("-o", "--out", required=True, metavar="FILE", help="the model, or the checkpoint")
    parser.add_argument("--norm", choices=NORMS, help="the checkpoint's normalization")
    parser.add_argument("--groups", type=int, metavar="N", help="gn only: number of groups (filters / 4)")
    parser.add_argument("--image-size", type=int, default=28, metavar="N", help="pixels (default: 28)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line and convert."""
    arguments = parser().parse_args(argv)
    source, out = Path(arguments.source), Path(arguments.out)
    back = source.suffix == ".keras"
    if not back and out.suffix != ".keras":
        raise UserError(f"{out}: expected a name ending in .keras")
    if not back and arguments.norm is None:
        raise UserError("norm: expected the checkpoint's normalization, got none; give --norm bn, ln or gn")
    import_tensorflow_quietly()
    if back:
        from export.load import load_model

        state = state_dict_from_model(load_model(source))
        write_state_dict(out, state)
    else:
        state = read_state_dict(source)
        model = model_from_state_dict(state, arguments.norm, arguments.image_size, groups=arguments.groups)
        write_whole(out, model.save)
    print(f"{out}: {sum(array.size for array in state.values() if array.ndim):,} numbers from {source}")
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
