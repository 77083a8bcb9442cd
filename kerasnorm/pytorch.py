"""Checkpoints of the study's network in PyTorch, to Keras and back. `python -m kerasnorm.pytorch` is its command.

A checkpoint is a `state_dict` of numbered convolutions and normalizations, whatever the names of its modules:
convolution kernels (4 axes; the last is the classifier, 1x1), and for each normalization the vectors that its record
in `kerasnorm.norms` names. Only `.pt` and `.pth` files need PyTorch; `.npz` files of the same arrays do not.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from export.arrays import read_npz
from export.errors import UserError, reason_of
from export.files import write_whole
from kerasnorm.norms import NORMS, get_norm

if TYPE_CHECKING:
    import keras

TORCH_SUFFIXES = (".pt", ".pth")


def read_state_dict(path: str | Path) -> dict[str, np.ndarray]:
    """Read the arrays of a checkpoint, in its order; the `state_dict` may be an entry of a dictionary.

    Args:
        path: a `.npz` file, or a `.pt` or `.pth` file, which is read with `weights_only=True` so that none of its
            code runs.

    Raises:
        UserError: the file is missing, damaged or not a checkpoint, or PyTorch is not installed.
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
        raise UserError(f"{path}: expected a PyTorch checkpoint, got no file of that name")
    torch = _torch(path)
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch and pickle raise many kinds for damaged files
        reason = reason_of(error)
        if "weights_only" in str(error) or "Unsupported" in str(error):
            reason = "it holds more than weights, and its code is not run; save model.state_dict()"
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
    """Write a checkpoint as `.pt`, `.pth` or `.npz`, completely or not at all.

    Raises:
        UserError: the suffix is a different one, PyTorch is needed but not installed, or the file can't be written.
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
            f"{path}: expected PyTorch for a {path.suffix} file, got none; pip install torch, or use .npz"
        ) from error
    return torch


def model_from_state_dict(
    state: Mapping[str, np.ndarray], norm: str, image_size: int = 28, **options: Any
) -> keras.Model:
    """Return `build_cnn`'s model with the weights of a PyTorch network of the same kind.

    Args:
        state: names and arrays: convolution kernels (out, in, height, width), vectors of the normalizations.
        norm: a key of NORMS. It can't be found out: the arrays of ln and gn look the same.
        image_size: height and width of the images, in pixels.
        options: further arguments of `build_cnn`, such as `groups`, `dropout` or `dtype`.

    Raises:
        UserError: the arrays are not those of such a network with this normalization.
    """
    from kerasnorm.models import build_cnn

    record = get_norm(norm)
    names = record.pytorch
    if names is None:
        known = ", ".join(key for key, other in NORMS.items() if other.pytorch is not None)
        raise UserError(f"norm: expected one of {known}, got {norm!r}, which PyTorch has no layer for")
    kernels, vectors = _sort(state)
    if set(vectors) != set(names):
        raise UserError(
            f"state_dict: expected {', '.join(names) or 'no weights'} in each normalization for norm {norm!r}, "
            f"got {', '.join(vectors) or 'none'}"
        )
    *convolutions, head = kernels
    count = len(convolutions)
    if count < 3 or any(len(arrays) != record.count(count) for arrays in vectors.values()):
        which = "each but the last" if record.removes_means else "each"
        raise UserError(
            f"state_dict: expected 3 or more convolutions, a normalization after {which}, and a classifier, "
            f"got {len(kernels)} kernels and {max(map(len, vectors.values()), default=0)} normalizations"
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
        if index < record.count(count):
            values[f"norm{index}"] = {names[name]: arrays[index] for name, arrays in vectors.items()}
    for layer, weights in values.items():
        for weight in model.get_layer(layer).weights:
            value = weights[weight.name]
            if tuple(weight.shape) != value.shape:
                raise UserError(
                    f"state_dict: expected {tuple(weight.shape)} for {layer}/{weight.name}, got {value.shape}"
                )
            weight.assign(value)
    return model


def _sort(state: Mapping[str, np.ndarray]) -> tuple[list[np.ndarray], dict[str, list[np.ndarray]]]:
    """Return the kernels in order, and the vectors of the normalizations by name, each in order."""
    known = dict.fromkeys(name for norm in NORMS.values() for name in norm.pytorch or ())
    kernels: list[np.ndarray] = []
    vectors: dict[str, list[np.ndarray]] = {}
    for name, array in state.items():
        last = name.rsplit(".", 1)[-1]
        if last == "num_batches_tracked":
            continue
        if not np.issubdtype(array.dtype, np.floating) or not np.isfinite(array).all():
            raise UserError(
                f"state_dict: expected finite floats in {name}, got {array.dtype} with other values"
            )
        if array.ndim in (2, 4) and last == "weight":
            kernels.append(array)
        elif array.ndim == 1 and last in known:
            vectors.setdefault(last, []).append(array)
        else:
            raise UserError(
                f"state_dict: expected kernels (4 axes) and vectors of normalizations ({', '.join(known)}), "
                f"got {name} with shape {array.shape}"
            )
    if len(kernels) < 2 or any(kernel.ndim != 4 for kernel in kernels[:-1]):
        raise UserError(
            f"state_dict: expected convolutions, normalizations and a classifier, got {', '.join(state) or 'nothing'}"
        )
    return kernels, vectors


def state_dict_from_model(model: keras.Model) -> dict[str, np.ndarray]:
    """Return the weights of a `build_cnn` model as PyTorch has them: conv0.weight, norm0.weight, ..., head.weight.

    They are in the order of the network, so a module with other names can load them as
    `dict(zip(module.state_dict(), ours.values()))`. Keras' moving variance is the biased one.

    Raises:
        UserError: the model is not one of `build_cnn`.
    """
    from kerasnorm.stock import stock_model

    layers = {layer.name: layer for layer in stock_model(model).layers}
    state: dict[str, np.ndarray] = {}
    index = 0
    while f"conv{index}" in layers:
        state[f"conv{index}.weight"] = np.asarray(layers[f"conv{index}"].kernel).transpose(3, 2, 0, 1)
        norm = layers.get(f"norm{index}")
        names = {} if norm is None else _pytorch_names(norm)
        for torch_name, keras_name in names.items():
            state[f"norm{index}.{torch_name}"] = np.asarray(getattr(norm, keras_name))
        if "running_mean" in names:
            state[f"norm{index}.num_batches_tracked"] = np.array(0, np.int64)
        index += 1
    if not index or "head" not in layers:
        raise UserError(
            f"{model.name}: expected a model of kerasnorm.build_cnn (layers conv0, norm0, ..., head), "
            f"got the layers {', '.join(list(layers)[:8])}"
        )
    state["head.weight"] = np.asarray(layers["head"].kernel).T[:, :, None, None]
    return state


def _pytorch_names(layer: keras.layers.Layer) -> Mapping[str, str]:
    """Return the names of the weights of a normalization; ln and gn have the same."""
    kind, weights = type(layer).__name__, {weight.name for weight in layer.weights}
    for norm in NORMS.values():
        if norm.keras_layer.startswith(f"{kind}(") and set((norm.pytorch or {}).values()) == weights:
            return norm.pytorch or {}
    raise UserError(
        f"layer {layer.name!r}: expected a normalization that PyTorch has, got {kind} with the weights "
        f"{', '.join(sorted(weights)) or 'none'}"
    )


if __name__ == "__main__":
    from kerasnorm.cli.pytorch import cli

    sys.exit(cli())
