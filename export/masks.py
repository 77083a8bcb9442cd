"""Masks: what Keras carries along with a tensor, and passes to the layers that follow, while a model is lowered.

A mask tells which positions of a sequence count. `keras.Layer.__call__` passes it to a `call` that has a mask argument,
and asks `compute_mask` for the masks of the outputs. The functions here do the same with Tensors.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras

from export.builder import Builder, Tensor


def with_masks(layer: keras.Layer, args: Any, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The keyword arguments of a call, with the masks of its tensors wherever `call` takes them.

    Args:
        layer: the layer.
        args: positional arguments, with a Tensor for each tensor.
        kwargs: keyword arguments, likewise.
    """
    given = {name: x for name, x in kwargs.items() if not (_is_mask_name(name) and _is_empty(x))}
    bound = inspect.signature(layer.call).bind_partial(*args, **given)
    parameters = inspect.signature(layer.call).parameters
    tensors = {name: x for name, x in bound.arguments.items() if _is_tensors(x)}
    wanted = {"mask": next(iter(tensors.values()))} if len(tensors) == 1 else {}
    if len(tensors) > 1:
        wanted = {f"{name}_mask": x for name, x in tensors.items()}
    for name, x in wanted.items():
        mask = masks_of(x)
        if name in parameters and bound.arguments.get(name) is None and not _is_empty(mask):
            given[name] = mask
    return given


def output_masks(
    g: Builder,
    layer: keras.Layer,
    args: Any,
    kwargs: Mapping[str, Any],
    symbolic: Sequence[keras.KerasTensor],
) -> list[Tensor | None]:
    """The masks of a layer's outputs.

    Args:
        g: the builder of the call.
        layer: the layer.
        args: the positional arguments of the call.
        kwargs: its keyword arguments, with masks.
        symbolic: the outputs as Keras has them.
    """
    none: list[Tensor | None] = [None] * len(symbolic)
    if not layer.supports_masking:
        return none
    arguments = list(inspect.signature(layer.call).bind_partial(*args, **kwargs).arguments.values())
    first = arguments[0] if arguments else None
    attached = masks_of(first)
    previous = kwargs.get("mask", attached)
    if _is_empty(previous) and type(layer).compute_mask is keras.Layer.compute_mask:
        return none
    if "mask" in kwargs and _is_empty(attached) and not any(_has_mask(x) for x in symbolic):
        return none  # before Keras 3.9, a mask that is passed as an argument goes no further
    if type(layer).compute_mask is keras.Layer.compute_mask:
        masks = previous
    else:
        masks = g.lower(layer.compute_mask, first, previous)
    flat = [] if masks is None else keras.tree.flatten(masks)
    return [x if isinstance(x, Tensor) else None for x in (*flat, *none)][: len(symbolic)]


def masks_of(x: Any) -> Any:
    """The masks of the Tensors of a structure, in its structure."""
    return keras.tree.map_structure(lambda one: one.mask if isinstance(one, Tensor) else None, x)


def with_mask(x: Tensor, mask: Tensor | None) -> Tensor:
    """The Tensor with another mask, or with none."""
    return x if x.mask is mask else replace(x, mask=mask)


def takes_masks(function: Callable[..., Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether a lowering has a parameter for each mask among these arguments."""
    parameters = inspect.signature(function).parameters
    takes_any = any(x.kind is inspect.Parameter.VAR_KEYWORD for x in parameters.values())
    return takes_any or all(name in parameters for name in kwargs if _is_mask_name(name))


def _is_mask_name(name: str) -> bool:
    return name == "mask" or name.endswith("_mask")


def _is_empty(x: Any) -> bool:
    return x is None or all(one is None for one in keras.tree.flatten(x))


def _is_tensors(x: Any) -> bool:
    """Whether an argument is a Tensor, or a structure of nothing but Tensors and None."""
    flat = keras.tree.flatten(x)
    return any(isinstance(one, Tensor) for one in flat) and all(
        one is None or isinstance(one, Tensor) for one in flat
    )


def _has_mask(x: keras.KerasTensor) -> bool:
    return getattr(x, "_keras_mask", None) is not None
