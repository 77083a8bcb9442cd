"""The first layer of a model that diverges, where the graph was not made layer by layer (the tf2onnx route).

tf2onnx names its nodes after the layers. So the values that a layer's nodes compute are compared with what Keras
computes after that layer in float64. One of them must be the same, or the layer computes something else; a layer whose
values were merged into another's is passed over.
"""

from __future__ import annotations

import contextlib
import re

import keras
import numpy as np
import onnx

from export.conversion import Conversion
from export.errors import KerasnormError
from export.keras_graph import layer_outputs
from export.parity.data import Source
from export.parity.evaluate import ReferenceEvaluator
from export.parity.oracle import Inputs
from export.parity.plan import plan
from export.precision import NotExact
from export.runtime import open_session

DIVERGES = 1e-3  # of the root mean square of a layer's output


def first_layer_that_diverges(model: keras.Model, conversion: Conversion) -> str | None:
    """The name of the first layer whose output is nowhere among the values of its nodes; None if there is none.

    Args:
        model: a Functional or Sequential model.
        conversion: what tf2onnx made of it.
    """
    names: list[str] = []

    def after_each_layer(arrays: Inputs) -> list[np.ndarray]:
        symbolic = keras.tree.flatten(model.inputs)
        exact = {"f": "float64"}
        tensors = [
            keras.ops.convert_to_tensor(a, dtype=exact.get(a.dtype.kind, x.dtype))
            for a, x in zip(arrays, symbolic, strict=True)
        ]
        outputs = layer_outputs(model, tensors)
        names[:] = [name for name, _ in outputs]
        return [keras.ops.convert_to_numpy(value) for _, value in outputs]

    evaluator = ReferenceEvaluator(model, after_each_layer)
    with contextlib.suppress(KerasnormError, NotExact):
        arrays = plan(model, Source(model, conversion, None), evaluator, (2,), quick=True)[0].make()
        truths = evaluator.exactly(arrays)
        values = _values(conversion, arrays)
        for name, truth in zip(names, truths, strict=True):
            of_layer = [value for node, value in values if _is_within(node, name)]
            near = [d for d in (_distance(value, truth) for value in of_layer) if d is not None]
            if near and min(near) > DIVERGES:
                return name
    return None


def _is_within(node: str, layer: str) -> bool:
    """Whether a node is named after a layer: 'model_1/LAYER_1/Relu', since Keras numbers the calls of a layer."""
    parts = (f"{re.escape(part)}(_[0-9]+)?" for part in layer.split("/"))
    return re.search(f"(^|/){'/'.join(parts)}(/|$)", node) is not None


def _values(conversion: Conversion, arrays: Inputs) -> list[tuple[str, np.ndarray]]:
    """Every value that the graph computes, with the name of its node."""
    proto = onnx.ModelProto()
    proto.CopyFrom(conversion.model)
    of_node = {output: node.name for node in proto.graph.node for output in node.output if output}
    del proto.graph.output[:]
    proto.graph.output.extend(onnx.ValueInfoProto(name=output) for output in of_node)
    session = open_session(proto.SerializeToString(), optimize=False)
    got = session.run(list(of_node), dict(zip(conversion.inputs, arrays, strict=True)))
    return list(zip(of_node.values(), got, strict=True))


def _distance(value: object, truth: np.ndarray) -> float | None:
    """The largest difference relative to the root mean square of the truth; None if it is another kind of value."""
    if not isinstance(value, np.ndarray) or value.ndim != truth.ndim or truth.dtype.kind != "f":
        return None
    distances = []
    for candidate in (value, np.moveaxis(value, 1, -1)) if value.ndim > 2 else (value,):
        if candidate.shape == truth.shape:
            size = float(np.sqrt(np.mean(np.square(truth)))) or 1.0
            distances.append(float(np.max(np.abs(candidate - truth), initial=0)) / size)
    return min(distances, default=None)
