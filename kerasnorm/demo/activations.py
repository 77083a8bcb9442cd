"""The activations before and after each normalization of a run: a graph that computes them, and what they are.

Nothing here depends on the kind of normalization. Where a block has none, both are the same.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from kerasnorm.demo.runs import DemoRun


def blocks(
    model: keras.Model,
) -> list[tuple[keras.KerasTensor, keras.KerasTensor, keras.layers.Layer | None]]:
    """The tensors before and after the normalization of each block, and the layer."""
    layers = {layer.name: layer for layer in model.layers}
    found = []
    for index in range(sum(name.startswith("conv") for name in layers)):
        norm = layers.get(f"norm{index}")
        last = layers.get(f"relu{index}", layers[f"conv{index}"])
        found.append((norm.input, norm.output, norm) if norm else (last.output, last.output, None))
    return found


def activations_model(model: keras.Model) -> keras.Model:
    """A model from an image to the activations: `before0`, `after0`, `before1`, ..."""
    outputs = {}
    for index, (before, after, _) in enumerate(blocks(model)):
        # An output that is another output, too, would have one name for both.
        outputs[f"before{index}"] = before
        outputs[f"after{index}"] = keras.layers.Identity()(after) if after is before else after
    return keras.Model(model.inputs, outputs, name=f"{model.name}_activations")


def describe_blocks(run: DemoRun) -> list[dict[str, Any]]:
    """What the page has to know of each block.

    Each has the names of its two outputs, and `sets`, as first and last + 1: the channels of an image that share a mean
    and a variance, or each channel, if the layer has moving statistics. Those are `running`, for each channel.
    """
    described = []
    for index, (before, _, layer) in enumerate(blocks(run.model)):
        channels, running = int(before.shape[-1]), _running(layer)
        of_each_channel = [[channel, channel + 1] for channel in range(channels)] if running else []
        described.append(
            {
                "before": f"before{index}",
                "after": f"after{index}",
                "sets": _sets(run, channels, layer) or of_each_channel,
                "running": running,
            }
        )
    return described


def _sets(run: DemoRun, channels: int, layer: keras.layers.Layer | None) -> list[list[int]]:
    if layer is None or run.norm.shared_values is None:
        return []
    groups = run.groups or max(1, channels // 4)
    shared = run.norm.shared_values(1, channels, groups)
    return [[of_set.start, of_set.stop] for _, _, of_set in shared]


def _running(layer: keras.layers.Layer | None) -> dict[str, list[float]] | None:
    mean, variance = (getattr(layer, name, None) for name in ("moving_mean", "moving_variance"))
    if mean is None or variance is None:
        return None
    mean, variance = (np.asarray(keras.ops.convert_to_numpy(value), np.float64) for value in (mean, variance))
    return {"mean": mean.ravel().tolist(), "std": np.sqrt(np.maximum(variance, 0)).ravel().tolist()}
