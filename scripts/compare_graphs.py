"""Compare the graphs that two versions of the export write, node for node.

usage: python scripts/compare_graphs.py FILE.json              write the fingerprints of this version's graphs
       python scripts/compare_graphs.py FILE.json OTHER.json   compare two files of fingerprints

For another version, run the first form with PYTHONPATH set to its checkout. The models are those of the study, with
several options of the export, and five architectures of keras.applications. A fingerprint has an entry for each node:
operator, attributes, and where each input comes from, an earlier node or a constant by its bits. Names don't count.
"""

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
from onnx import numpy_helper

from export.convert import Options, convert
from kerasnorm import build_cnn

APPLICATIONS = ("MobileNetV2", "ResNet50V2", "EfficientNetB0", "ConvNeXtTiny", "DenseNet121")
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "portable": {"portable": True},
    "raw pixels, nchw": {"raw_pixels": True, "input_layout": "nchw"},
    "no folds": {"fold": False},
    "opset 20, batch 4": {"opset": 20, "batch": 4},
}


def randomized(model: keras.Model) -> keras.Model:
    """The model with seeded weights, moving statistics too."""
    rng = np.random.default_rng(0)
    for weight in model.weights:
        low, high = (0.5, 1.5) if "variance" in weight.name or weight.name == "gamma" else (-0.1, 0.1)
        weight.assign(rng.uniform(low, high, weight.shape))
    return model


def models() -> Iterator[tuple[str, keras.Model, Options]]:
    """Name, model and options of each graph."""
    for norm in ("bn", "ln", "gn"):
        for name, options in VARIANTS.items():
            yield f"{norm}, {name}", randomized(build_cnn(norm)), Options(route="direct", **options)
    for name in APPLICATIONS:
        keras.utils.clear_session()
        model = getattr(keras.applications, name)(weights=None)
        yield name, randomized(model), Options(route="direct")


def fingerprint(model: onnx.ModelProto) -> list[str]:
    """An entry for each node, in order, and one for each output."""
    sources = {value.name: f"input {index}" for index, value in enumerate(model.graph.input)}
    for tensor in model.graph.initializer:
        array = numpy_helper.to_array(tensor)
        bits = hashlib.sha256(array.tobytes()).hexdigest()[:16]
        sources[tensor.name] = f"{array.dtype} {list(array.shape)} {bits}"
    entries = []
    for index, node in enumerate(model.graph.node):
        attributes = sorted(f"{a.name}={_attribute(a)}" for a in node.attribute)
        inputs = [sources[name] if name else "" for name in node.input]
        while inputs and not inputs[-1]:  # leaving out a trailing input is the same as giving it no name
            inputs.pop()
        entries.append(f"{node.domain}:{node.op_type} {attributes} {inputs}")
        sources.update((name, f"node {index} output {place}") for place, name in enumerate(node.output))
    return entries + [f"output {value.name} {sources[value.name]}" for value in model.graph.output]


def _attribute(attribute: onnx.AttributeProto) -> str:
    value = onnx.helper.get_attribute_value(attribute)
    return str(numpy_helper.to_array(value).tolist() if isinstance(value, onnx.TensorProto) else value)


def write(path: Path) -> int:
    """Write the fingerprints of all graphs."""
    fingerprints = {}
    for name, model, options in models():
        fingerprints[name] = fingerprint(convert(model, options).model)
        print(f"{name}: {len(fingerprints[name])} entries", flush=True)
    path.write_text(json.dumps(fingerprints, indent=1))
    return 0


def compare(one: Path, two: Path) -> int:
    """Print the first difference of each graph; 1 if there is any."""
    first, second = (json.loads(path.read_text()) for path in (one, two))
    differences = 0
    for name in first | second:
        entries = [first.get(name, []), second.get(name, [])]
        if entries[0] == entries[1]:
            continue
        differences += 1
        length = min(map(len, entries))
        index = next((i for i in range(length) if entries[0][i] != entries[1][i]), length)
        print(f"{name}: {len(entries[0])} and {len(entries[1])} entries; the first that differs is {index}:")
        for side in entries:
            print(f"  {side[index] if index < len(side) else 'missing'}")
    print(f"{len(first | second) - differences} of {len(first | second)} graphs are equal, node for node")
    return 1 if differences else 0


if __name__ == "__main__":
    paths = [Path(argument) for argument in sys.argv[1:]]
    if len(paths) not in (1, 2):
        sys.exit(__doc__)
    sys.exit(write(paths[0]) if len(paths) == 1 else compare(*paths))
