"""What the export tests share: random weights, conversion and comparison."""

from typing import Any

import keras
import numpy as np

from export.convert import Conversion, Options, convert
from export.parity import check_parity
from export.runtime import open_session


def randomize(model: keras.Model, seed: int = 0) -> keras.Model:
    """Random weights of a sensible size: moving statistics, gamma, beta and biases too."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if weight.name in ("moving_variance", "variance"):
            weight.assign(rng.uniform(0.5, 2, weight.shape))
        elif weight.name in ("gamma", "scale"):  # of both signs: a fold must not count on positive ones
            weight.assign(rng.uniform(0.5, 1.5, weight.shape) * rng.choice([-1, 1], weight.shape))
        elif "kernel" in weight.name:
            fan_in = max(1, int(np.prod(weight.shape[:-1])))
            weight.assign(rng.normal(0, 1 / np.sqrt(fan_in), weight.shape))
        else:
            weight.assign(rng.normal(0, 0.5, weight.shape))
    return model


def functional(shape: tuple[int | None, ...], *layers: Any, seed: int = 0) -> keras.Model:
    """A model of the layers in a row, with random weights."""
    x = inputs = keras.Input(shape, name="x")
    for layer in layers:
        x = layer(x)
    return randomize(keras.Model(inputs, x), seed)


def converted(
    model: keras.Model, *, rtol: float = 1e-4, atol: float = 1e-5, sizes: Any = None, **options: Any
) -> Conversion:
    """Convert by the direct route and compare at several batch sizes, optimizations off and on."""
    chosen = Options(**{"route": "direct", "input_range": (-2.0, 2.0), **options})
    conversion = convert(model, chosen)
    parity = check_parity(model, conversion, chosen, atol=atol, rtol=rtol, data=sizes)
    assert parity.passed, parity.table()
    assert len({d.data for d in parity.differences}) >= 3
    return conversion


def run(conversion: Conversion, *arrays: np.ndarray) -> list[np.ndarray]:
    """The outputs of a converted model."""
    runtime = open_session(conversion.model.SerializeToString())
    return list(runtime.run(None, dict(zip(conversion.inputs, arrays, strict=True))))


def kinds(conversion: Conversion) -> list[str]:
    """The operators of the graph, in order."""
    return [node.op_type for node in conversion.model.graph.node]
