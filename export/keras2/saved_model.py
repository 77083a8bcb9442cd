"""A SavedModel folder that Keras 2 wrote.

The configuration is in `keras_metadata.pb`, under the paths of the layers from the root. The weights are in a
checkpoint, under a graph of objects with the same paths.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras

from export.errors import UserError
from export.keras2.addons import WeightNormalization
from export.keras2.config import Config
from export.keras2.saved_layers import saved_layers
from export.model_file import SAVED_METADATA


def read_config(folder: Path) -> dict[str, Any]:
    """The configuration of the model.

    Raises:
        UserError: Keras 2 did not write the folder, or the model is neither Functional nor Sequential.
    """
    root = _read_metadata(folder).get("root", {})
    if "config" not in root:
        raise UserError(
            f"{folder}: expected a Functional or Sequential model, got one without a configuration"
        )
    return {"class_name": root["class_name"], "config": root["config"]}


def load_weights(model: keras.Model, config: Config, folder: Path) -> None:
    """Read the weights into a model.

    Args:
        model: the model.
        config: its configuration in the folder.
        folder: the folder.

    Raises:
        ValueError: a weight is missing, or has another shape.
    """
    checkpoint = _Checkpoint(folder)
    found = {}  # the path and the node of each layer, by the path of its model and its name
    for path, metadata in _read_metadata(folder).items():
        model_path, _, last = path.rpartition(".")
        node = checkpoint.find(path)
        if last.startswith("layer") and "name" in metadata and node is not None:
            found[model_path, str(metadata["name"])] = path, node

    def load(container: keras.Model, one: Config, container_path: str) -> None:
        for layer, inner in saved_layers(container, one):
            if not layer.weights:
                continue
            name = str(inner.get("name", inner["config"].get("name")))
            if (container_path, name) not in found:
                raise ValueError(f"the weights of layer {name!r} were not found")
            path, node = found[container_path, name]
            if isinstance(layer, keras.Model):
                load(layer, inner, path)
            elif isinstance(getattr(layer, "layer", None), keras.Model):
                load(layer.layer, inner["config"]["layer"], f"{path}.layer")
            else:
                checkpoint.assign(layer, node)

    load(model, config, "root")


def _read_metadata(folder: Path) -> dict[str, dict[str, Any]]:
    """What Keras 2 noted of each layer, by the layer's path from the root."""
    from tensorflow.python.keras.protobuf import saved_metadata_pb2

    file = folder / SAVED_METADATA
    if not file.exists():
        raise UserError(f"{folder}: expected a SavedModel that Keras wrote, found no {file.name} in it")
    saved = saved_metadata_pb2.SavedMetadata()
    try:
        saved.ParseFromString(file.read_bytes())
        return {node.node_path: json.loads(node.metadata) for node in saved.nodes}
    except Exception as error:  # protobuf's DecodeError depends on its implementation
        raise UserError(f"{file}: expected the metadata of a SavedModel: {error}") from error


class _Checkpoint:
    """The weights of a SavedModel, and the graph of objects that holds them."""

    def __init__(self, folder: Path) -> None:
        import tensorflow as tf
        from tensorflow.core.protobuf import trackable_object_graph_pb2

        self.reader = tf.train.load_checkpoint(str(folder / "variables/variables"))
        self.shapes = self.reader.get_variable_to_shape_map()
        graph = trackable_object_graph_pb2.TrackableObjectGraph()
        graph.ParseFromString(self.reader.get_tensor("_CHECKPOINTABLE_OBJECT_GRAPH"))
        self.nodes = graph.nodes
        self.children = [{child.local_name: child.node_id for child in node.children} for node in graph.nodes]

    def find(self, path: str) -> int | None:
        """The node of the object at a path such as `root.layer-0`."""
        node: int | None = 0
        for part in path.split(".")[1:]:
            node = self.children[node].get(part) if node is not None else None
        return node

    def assign(self, layer: keras.layers.Layer, node: int) -> None:
        """Read the weights of a layer, and of the layers within it, from a node and its children."""
        children = self.children[node]
        parts = {name: part for name, part in vars(layer).items() if isinstance(part, keras.layers.Layer)}
        inside = {id(weight) for part in parts.values() for weight in part.weights}
        for weight in layer.weights:
            if id(weight) in inside:
                continue
            # Keras 3 calls the depthwise_kernel of a DepthwiseConv2D kernel.
            saved = children.get(weight.name, children.get(f"depthwise_{weight.name}"))
            if saved is None:
                raise ValueError(f"layer {layer.name!r}: its weight {weight.name!r} was not found")
            key = self.nodes[saved].attributes[0].checkpoint_key
            if list(weight.shape) != self.shapes.get(key):
                raise ValueError(
                    f"layer {layer.name!r}: expected {weight.name!r} of shape {list(weight.shape)}, "
                    f"got {self.shapes.get(key)}"
                )
            weight.assign(self.reader.get_tensor(key))
        for name, part in parts.items():
            if not part.weights:
                continue
            if name not in children:
                raise ValueError(f"layer {layer.name!r}: its part {name!r} was not found")
            if isinstance(layer, WeightNormalization):
                self._add_v(layer, children)
            self.assign(part, children[name])

    def _add_v(self, layer: WeightNormalization, children: dict[str, int]) -> None:
        """Add v, which the wrapper holds, to the wrapped layer as its kernel."""
        holder = children["layer"]
        if isinstance(layer.layer, keras.layers.RNN):
            holder = self.children[holder]["cell"]
        self.children[holder].setdefault(layer.kernel_name, children["v"])
