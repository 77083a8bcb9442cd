"""Models that Keras 2 saved, with tensorflow-addons' normalizations or without, read into Keras 3.

    layer of tensorflow-addons      becomes
    GroupNormalization              keras.layers.GroupNormalization
    InstanceNormalization           keras.layers.GroupNormalization, a group for each channel
    FilterResponseNormalization     FilterResponseNormalization of this module (Keras has none)
    WeightNormalization(layer)      the layer, its kernel v / |v| * g
    SpectralNormalization(layer)    the layer; keras.layers.SpectralNormalization if it is to be trained on

A file is read in three steps: the configuration, brought to Keras 3's form; the weights, into a model whose layers
hold what tensorflow-addons' held; and a copy of that model with the layers above in their place.
"""

from __future__ import annotations

import inspect
import io
import json
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from export.builder import Builder, Tensor
from export.errors import UserError
from export.lowerings.registry import register_lowering

PREFIX = "Addons>"
_CONTAINERS = ("Functional", "Model", "Sequential")
_MODULES = {
    "_initializer": "keras.initializers",
    "_regularizer": "keras.regularizers",
    "_constraint": "keras.constraints",
}


@keras.saving.register_keras_serializable("kerasnorm")
class FilterResponseNormalization(keras.layers.Layer):
    """x / sqrt(mean(x^2) + epsilon) * gamma + beta, the mean over height and width of each image and channel.

    Singh and Krishnan 2019, arXiv:1911.09737, without its thresholded activation, as in tensorflow-addons.

    Args:
        epsilon: what is added to the mean of squares; its absolute value counts.
        axis: the axes of the mean.
        learned_epsilon: whether the absolute value of a trained number is added too.
        gamma_initializer: start of gamma, one for each channel.
        beta_initializer: start of beta, likewise.
        gamma_regularizer: penalty on gamma.
        beta_regularizer: penalty on beta.
        gamma_constraint: constraint on gamma.
        beta_constraint: constraint on beta.
        learned_epsilon_constraint: constraint on the trained epsilon.

    Input and output: (batch, height, width, channels).
    """

    _OBJECTS = ("initializer", "regularizer", "constraint")

    def __init__(
        self,
        epsilon: float = 1e-6,
        axis: Any = (1, 2),
        learned_epsilon: bool = False,
        gamma_initializer: Any = "ones",
        beta_initializer: Any = "zeros",
        gamma_regularizer: Any = None,
        beta_regularizer: Any = None,
        gamma_constraint: Any = None,
        beta_constraint: Any = None,
        learned_epsilon_constraint: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.epsilon = float(epsilon)
        self.axis = tuple(int(one) for one in axis)
        self.use_learned_epsilon = bool(learned_epsilon)
        self.learned_epsilon_constraint = keras.constraints.get(learned_epsilon_constraint)
        self.gamma_initializer = keras.initializers.get(gamma_initializer)
        self.beta_initializer = keras.initializers.get(beta_initializer)
        self.gamma_regularizer = keras.regularizers.get(gamma_regularizer)
        self.beta_regularizer = keras.regularizers.get(beta_regularizer)
        self.gamma_constraint = keras.constraints.get(gamma_constraint)
        self.beta_constraint = keras.constraints.get(beta_constraint)

    def build(self, input_shape: Any) -> None:
        """Make the weights, in tensorflow-addons' order."""
        self.learned_epsilon = None
        if self.use_learned_epsilon:
            self.learned_epsilon = self.add_weight(
                shape=(1,),
                initializer=keras.initializers.Constant(1e-4),
                constraint=self.learned_epsilon_constraint,
                name="learned_epsilon",
            )
        shape = tuple(
            1 if axis in (0, *(one % len(input_shape) for one in self.axis)) else size
            for axis, size in enumerate(input_shape)
        )
        for name in ("gamma", "beta"):
            options = {kind: getattr(self, f"{name}_{kind}") for kind in self._OBJECTS}
            setattr(self, name, self.add_weight(shape=shape, name=name, **options))

    def call(self, inputs: Any) -> Any:
        """Normalize."""
        ops = keras.ops
        epsilon = abs(self.epsilon)
        if self.learned_epsilon is not None:
            epsilon = epsilon + ops.abs(self.learned_epsilon)
        squares = ops.mean(ops.square(inputs), axis=self.axis, keepdims=True)
        return self.gamma * (inputs * ops.rsqrt(squares + epsilon)) + self.beta

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The same shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        config = {
            "epsilon": self.epsilon,
            "axis": list(self.axis),
            "learned_epsilon": self.use_learned_epsilon,
            "learned_epsilon_constraint": keras.constraints.serialize(self.learned_epsilon_constraint),
        }
        for name in ("gamma", "beta"):
            for kind in self._OBJECTS:
                serialize = getattr(keras, f"{kind}s").serialize
                config[f"{name}_{kind}"] = serialize(getattr(self, f"{name}_{kind}"))
        return {**super().get_config(), **config}


@register_lowering(FilterResponseNormalization)
def lower_filter_response_normalization(g: Builder, layer: Any, x: Tensor) -> Tensor:
    """The formula of the layer, in its own layout."""
    epsilon = abs(layer.epsilon)
    if layer.learned_epsilon is not None:
        epsilon += abs(float(np.asarray(layer.learned_epsilon)[0]))
    squares = g.reduce(
        "ReduceMean", g.op("Mul", x.value, x.value), sorted(axis % x.rank for axis in layer.axis)
    )
    value = g.op("Div", x.value, g.op("Sqrt", g.op("Add", squares, epsilon)))
    value = g.op("Mul", value, np.asarray(layer.gamma, np.float32))
    return g.like(x, g.op("Add", value, np.asarray(layer.beta, np.float32)))


class InstanceNormalization(keras.layers.GroupNormalization):
    """tensorflow-addons' layer of that name, while its weights are read."""

    @property
    def stock(self) -> keras.layers.Layer:
        """A group for each channel."""
        return keras.layers.GroupNormalization.from_config({**self.get_config(), "groups": -1})

    def weights_of(self, new: keras.layers.Layer) -> list[np.ndarray]:
        """The weights of the new layer."""
        return self.get_weights()


class WeightNormalization(keras.layers.Wrapper):
    """tensorflow-addons' layer of that name, while its weights are read; `layer.kernel` holds v.

    Salimans and Kingma 2016, arXiv:1602.07868: kernel = v / |v| * g, the norm over all axes but the last.
    """

    def __init__(self, layer: keras.layers.Layer, data_init: bool = True, **options: Any) -> None:
        super().__init__(layer, **options)
        self.data_init = data_init

    @property
    def kernel_name(self) -> str:
        """Which weight is normalized; of a recurrent layer the recurrent one."""
        return "recurrent_kernel" if isinstance(self.layer, keras.layers.RNN) else "kernel"

    @property
    def v(self) -> Any:
        """The direction, times anything."""
        return getattr(getattr(self.layer, "cell", self.layer), self.kernel_name)

    def build(self, input_shape: Any = None) -> None:
        """Make the weights."""
        super().build(input_shape)
        self.g = self.add_weight(shape=self.v.shape[-1:], initializer="ones", name="g")
        self.initialized = self.add_weight(
            shape=(), initializer="zeros", dtype="bool", trainable=False, name="initialized"
        )

    def call(self, inputs: Any) -> Any:
        """For the shapes; it is never computed."""
        return self.layer(inputs)

    def read(self, own: dict[str, np.ndarray], inner: list[np.ndarray]) -> None:
        """Take tensorflow-addons' own weights; `inner` are the layer's others."""
        self.g.assign(own["g"])
        self.v.assign(own["v"])
        self.initialized.assign(own["initialized"])
        others = [weight for weight in self.layer.weights if weight is not self.v]
        for weight, value in zip(others, inner, strict=True):
            weight.assign(value)

    @property
    def stock(self) -> keras.layers.Layer:
        """The layer that is wrapped."""
        return _renamed(self.layer, self.name)

    def weights_of(self, new: keras.layers.Layer) -> list[np.ndarray]:
        """The weights of the new layer."""
        v = np.asarray(self.v, np.float64)
        if bool(np.asarray(self.initialized)):
            squares = np.maximum((v**2).sum(axis=tuple(range(v.ndim - 1))), 1e-12)
            kernel = v / np.sqrt(squares) * np.asarray(self.g)
        elif self.data_init:
            raise UserError(
                f"{self.name}: expected a WeightNormalization that has seen data, got one that takes its scale from "
                "the first batch; call the model once before it is saved"
            )
        else:
            kernel = v  # its first call would have set g to |v|
        return [
            kernel.astype(np.float32) if weight is self.v else np.asarray(weight)
            for weight in self.layer.weights
        ]


class SpectralNormalization(keras.layers.Wrapper):
    """tensorflow-addons' layer of that name, while its weights are read; the kernel is kept normalized.

    Miyato et al. 2018, arXiv:1802.05957.
    """

    def __init__(self, layer: keras.layers.Layer, power_iterations: int = 1, **options: Any) -> None:
        super().__init__(layer, **options)
        self.power_iterations = power_iterations

    def build(self, input_shape: Any = None) -> None:
        """Make the vector of the power iteration, the last in a Keras 2 .h5 file."""
        super().build(input_shape)
        weight = getattr(self.layer, "embeddings", None)
        weight = self.layer.kernel if weight is None else weight
        self.sn_u = self.add_weight(shape=(1, weight.shape[-1]), trainable=False, name="sn_u")

    def call(self, inputs: Any) -> Any:
        """In inference, the layer."""
        return self.layer(inputs)

    @property
    def stock(self) -> keras.layers.Layer:
        """The layer that is wrapped."""
        return _renamed(self.layer, self.name)

    @property
    def trainable_stock(self) -> keras.layers.Layer:
        """Keras 3's own wrapper."""
        inner = type(self.layer).from_config(self.layer.get_config())
        return keras.layers.SpectralNormalization(inner, self.power_iterations, name=self.name)

    def weights_of(self, new: keras.layers.Layer) -> list[np.ndarray]:
        """The weights of the new layer."""
        if isinstance(new, keras.layers.SpectralNormalization):
            inner = iter(self.layer.get_weights())
            return [
                np.asarray(self.sn_u) if weight is new.vector_u else next(inner) for weight in new.weights
            ]
        return self.layer.get_weights()


def _renamed(layer: keras.layers.Layer, name: str) -> keras.layers.Layer:
    return type(layer).from_config({**layer.get_config(), "name": name})


_STAND_INS = (InstanceNormalization, WeightNormalization, SpectralNormalization)
_KNOWN: dict[str, type] = {
    "GroupNormalization": keras.layers.GroupNormalization,
    "FilterResponseNormalization": FilterResponseNormalization,
    **{kind.__name__: kind for kind in _STAND_INS},
}


def is_keras_2(path: str | Path) -> bool:
    """Whether a file or folder was saved by Keras 2 in a way that Keras 3 does not read by itself."""
    path = Path(path)
    if path.is_dir():
        return (path / "keras_metadata.pb").exists()
    try:
        text = json.dumps(_read_config(path))
    except (UserError, OSError, ValueError):
        return False
    return PREFIX in text or '"keras.src.engine' in text


def load_model(
    path: str | Path, *, trainable: bool = False, tell: Callable[[str], None] | None = None
) -> keras.Model:
    """Read a model that Keras 2 saved, with tensorflow-addons' normalizations or without, as a Keras 3 model.

    No code that the file brings along is run. The model is not compiled.

    Args:
        path: an `.h5` file, a `.keras` file of Keras 2.15, or the folder of a SavedModel that Keras wrote.
        trainable: keep spectral normalization as Keras 3's own layer, to be trained on, in place of the layer
            that it wraps. Weight normalization has no layer in Keras 3, and is folded in any case.
        tell: gets a line for each layer that is replaced; None writes them to stderr.

    Returns:
        A Functional or Sequential model of stock layers (and FilterResponseNormalization), with the outputs that
        the saved one has in inference.

    Raises:
        UserError: the file is missing, damaged, or holds a layer that is not known; the message names it.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path}: expected a Keras model, found nothing of that name")
    config = _read_config(path)
    unknown = sorted(_unknown(config))
    if unknown:
        raise UserError(
            f"{path}: expected of tensorflow-addons only {', '.join(_KNOWN)}, got {', '.join(unknown)}; "
            "build the model without it and save it again"
        )
    objects = {PREFIX + name: kind for name, kind in _KNOWN.items()}
    try:
        model = keras.models.model_from_json(json.dumps(_keras_3(config)), custom_objects=objects)
        if not isinstance(model, keras.Model):
            raise ValueError(f"it is a {type(model).__name__}, not a model")
        _load_weights(model, path)
        return _with_stock_layers(model, trainable, tell or _to_stderr)
    except UserError:
        raise
    except Exception as error:  # Keras, h5py and json raise whatever a bad file provokes
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise UserError(
            f"{path}: expected a Keras 2 model that can be rebuilt in Keras 3: {reason}"
        ) from error


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr)


def _read_config(path: Path) -> Any:
    """The model's configuration as Keras 2 wrote it."""
    try:
        if path.is_dir():
            return _metadata(path)[0]
        if path.suffix in (".h5", ".hdf5"):
            with h5py.File(path, "r") as file:
                text = file.attrs.get("model_config")
        elif path.suffix == ".keras":
            with zipfile.ZipFile(path) as archive:
                text = archive.read("config.json")
        else:
            raise UserError(
                f"{path}: expected a .h5 or .keras file or a SavedModel folder, got {path.suffix or 'no suffix'}"
            )
        if text is None:
            raise UserError(f"{path}: expected a whole model, got weights alone; save it with model.save")
        return json.loads(text)
    except UserError:
        raise
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: expected a model that Keras 2 saved: {error}") from error


def _metadata(folder: Path) -> tuple[Any, dict[str, str]]:
    """Of a SavedModel: the configuration, and each layer's name by its path from the root."""
    from tensorflow.python.keras.protobuf import saved_metadata_pb2

    file = folder / "keras_metadata.pb"
    if not file.exists():
        raise UserError(f"{folder}: expected a SavedModel that Keras wrote, found no {file.name} in it")
    saved = saved_metadata_pb2.SavedMetadata()
    try:
        saved.ParseFromString(file.read_bytes())
    except Exception as error:  # protobuf's DecodeError, of one of its implementations
        raise UserError(f"{file}: expected the metadata of a SavedModel: {error}") from error
    nodes = {node.node_path: json.loads(node.metadata) for node in saved.nodes}
    root = nodes.get("root", {})
    if "config" not in root:
        raise UserError(
            f"{folder}: expected a Functional or Sequential model, got one without a configuration"
        )
    names = {path: str(node["name"]) for path, node in nodes.items() if "name" in node}
    return {"class_name": root["class_name"], "config": root["config"]}, names


def _unknown(config: Any) -> Iterator[str]:
    """What of tensorflow-addons is in a configuration and not in `_KNOWN`: layers, activations, ..."""
    if isinstance(config, dict):
        for value in config.values():
            yield from _unknown(value)
    elif isinstance(config, list):
        for value in config:
            yield from _unknown(value)
    elif isinstance(config, str) and config.startswith(PREFIX) and config[len(PREFIX) :] not in _KNOWN:
        yield config[len(PREFIX) :]


def _keras_3(config: Any, key: str = "") -> Any:
    """A configuration of Keras 2 in Keras 3's form; `key` is what it is called where it stands."""
    if isinstance(config, list):
        return [_keras_3(item) for item in config]
    if not isinstance(config, dict):
        return config
    if config.get("class_name") == "__tuple__":
        return [_keras_3(item) for item in config["items"]]
    if config.get("class_name") == "Policy":
        return config["config"]["name"]
    if "class_name" not in config or not isinstance(config.get("config"), dict):
        return {name: _keras_3(value, name) for name, value in config.items()}
    name = str(config.get("registered_name") or config["class_name"])
    inner = {part: _keras_3(value, part) for part, value in config["config"].items()}
    shape = inner.pop("batch_input_shape", None)
    if name == "InputLayer" and shape is not None:
        inner["batch_shape"] = shape
    if name in _CONTAINERS:
        inner = _nodes_from_0(inner)
    for ends in ("input_layers", "output_layers"):
        # One tensor, where Keras 2 wrote a list of one: the model is then called with the tensor itself.
        if isinstance(inner.get(ends), list) and len(inner[ends]) == 1:
            inner[ends] = inner[ends][0]
    axis = inner.get("axis")
    if name == "BatchNormalization" and isinstance(axis, list) and len(axis) == 1:
        inner["axis"] = axis[0]
    rest = {part: value for part, value in config.items() if part not in ("module", "config", "build_config")}
    kinds = [module for ending, module in _MODULES.items() if key.endswith(ending)]
    if name.startswith(PREFIX):
        module = None
    elif kinds:
        module = kinds[0]
    else:
        module = "keras" if name in _CONTAINERS else "keras.layers"
    if module == "keras.layers":
        inner = _accepted(name, inner)
    rest |= {
        "module": module,
        "class_name": "Model" if name == "Functional" else name.removeprefix(PREFIX),
        "registered_name": name if module is None else None,
    }
    return {**rest, "config": inner}


def _accepted(name: str, config: dict[str, Any]) -> dict[str, Any]:
    """A stock layer's configuration without the arguments that Keras 3 has dropped."""
    if config.get("time_major"):
        raise ValueError(f"{config.get('name')}: {name} with time_major=True, which Keras 3 does not have")
    kind = getattr(keras.layers, name, None)
    if kind is None:
        return config  # Keras names it in its error
    known = {
        *inspect.signature(kind.__init__).parameters,
        "name",
        "trainable",
        "dtype",
        "activity_regularizer",
    }
    return {part: value for part, value in config.items() if part in known}


def _nodes_from_0(config: dict[str, Any]) -> dict[str, Any]:
    """Keras 2 counts the calls of a Sequential model within a model from 1, Keras 3 from 0."""
    layers = {layer.get("name"): layer for layer in config.get("layers", []) if isinstance(layer, dict)}
    sequential = {name for name, layer in layers.items() if layer.get("class_name") == "Sequential"}
    calls: dict[str, set[int]] = {}

    def shifted(value: Any, by: int) -> Any:
        if isinstance(value, dict):
            return {key: shifted(item, by) for key, item in value.items()}
        if not isinstance(value, list):
            return value
        if len(value) >= 3 and value[0] in sequential and isinstance(value[1], int):
            calls.setdefault(value[0], set()).add(value[1])
            start = min(calls[value[0]])
            return [value[0], value[1] - (by if start else 0), *(shifted(item, by) for item in value[2:])]
        return [shifted(item, by) for item in value]

    def everywhere(by: int) -> dict[str, Any]:
        new = dict(config)
        new["layers"] = [
            {**layer, "inbound_nodes": shifted(layer["inbound_nodes"], by)}
            if "inbound_nodes" in layer
            else layer
            for layer in config["layers"]
        ]
        for ends in ("input_layers", "output_layers"):
            if ends in config:
                new[ends] = shifted(config[ends], by)
        return new

    everywhere(0)  # finds where each count starts: at 0 if the model was not built when it was called
    return everywhere(1)


def _load_weights(model: keras.Model, path: Path) -> None:
    if path.is_dir():
        _load_saved_model(model, path)
    elif path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            content = archive.read("model.weights.h5")
        with h5py.File(io.BytesIO(content), "r") as file, tempfile.TemporaryDirectory() as folder:
            # Keras 3 lays its own weights out alike, but for the wrappers, which are read here.
            whole = Path(folder) / "model.weights.h5"
            with h5py.File(whole, "w") as copy:
                for name in file:
                    if name != "optimizer":  # the model is not compiled
                        file.copy(name, copy)
                _rewrite_wrappers(model, copy)
            model.load_weights(whole)
    else:
        with h5py.File(path, "r") as file:
            _load_h5(model, file["model_weights"])


def _load_h5(model: keras.Model, group: Any) -> None:
    """Read the weights of a Keras 2 .h5 file: a list for each layer of the model, in Keras 2's order."""
    for layer in model.layers:
        trained, others = _keras_2_order(layer)
        weights = trained + others
        saved = group.get(layer.name)
        names = [] if saved is None else [str(name) for name in saved.attrs["weight_names"].astype(str)]
        if len(names) != len(weights):
            raise ValueError(f"layer {layer.name!r}: expected {len(weights)} weights, got {len(names)}")
        for weight, name in zip(weights, names, strict=True):
            if weight is not None:
                weight.assign(np.asarray(saved[name]))


def _keras_2_order(layer: keras.layers.Layer) -> tuple[list[Any], list[Any]]:
    """A layer's trained and other weights in the order of a Keras 2 .h5 file; None for what we have no place for."""
    if isinstance(layer, keras.Model):
        parts = [_keras_2_order(one) for one in layer.layers]
        return [weight for part in parts for weight in part[0]], [
            weight for part in parts for weight in part[1]
        ]
    if isinstance(layer, WeightNormalization):
        inner = layer.layer.weights
        # With data_init, tensorflow-addons keeps a copy of the layer for its first batch.
        copy = [None] * len(inner) if layer.data_init else []
        return [layer.g, layer.v, *(one for one in inner if one is not layer.v)], [layer.initialized, *copy]
    return list(layer.trainable_weights), list(layer.non_trainable_weights)


def _rewrite_wrappers(model: keras.Model, group: Any) -> None:
    """Bring the wrappers' weights in a copy of Keras 2.15's model.weights.h5 to where our stand-ins have them."""
    counts: dict[str, int] = {}
    layers = group["layers"] if "layers" in group else group["_layer_checkpoint_dependencies"]
    for layer in model.layers:
        name = keras.src.utils.naming.to_snake_case(type(layer).__name__)
        count = counts[name] = counts.get(name, -1) + 1
        name = f"{name}_{count}" if count else name
        if isinstance(layer, keras.Model) and name in layers:
            _rewrite_wrappers(layer, layers[name])
        if not isinstance(layer, (WeightNormalization, SpectralNormalization)):
            continue
        saved = layers[name]
        own = [np.asarray(saved[f"vars/{index}"]) for index in range(len(saved["vars"]))]
        inner = saved["layer/cell/vars"] if "cell" in saved["layer"] else saved["layer/vars"]
        others = [np.asarray(inner[str(index)]) for index in range(len(inner))]
        del saved["vars"]
        if isinstance(layer, SpectralNormalization):
            own = own[-1:]  # the kernel before it is the layer's
        else:
            place = [weight is layer.v for weight in layer.layer.weights].index(True)
            others.insert(place, own[1])
            own = [own[0], own[2]]
        for index, value in enumerate(own):
            saved[f"vars/{index}"] = value
        for index in list(inner):
            del inner[index]
        for index, value in enumerate(others):
            inner[str(index)] = value


def _load_saved_model(model: keras.Model, folder: Path) -> None:
    """Read the weights of a SavedModel by the graph of objects that its checkpoint holds."""
    import tensorflow as tf
    from tensorflow.core.protobuf import trackable_object_graph_pb2

    reader = tf.train.load_checkpoint(str(folder / "variables/variables"))
    graph = trackable_object_graph_pb2.TrackableObjectGraph()
    graph.ParseFromString(reader.get_tensor("_CHECKPOINTABLE_OBJECT_GRAPH"))
    children = [{child.local_name: child.node_id for child in node.children} for node in graph.nodes]
    paths = {}
    for path, name in _metadata(folder)[1].items():
        node: int | None = 0
        for part in path.split(".")[1:]:
            node = children[node].get(part) if node is not None else None
        if node is not None and path.rsplit(".", 1)[-1].startswith("layer"):
            paths[path.rsplit(".", 1)[0], name] = (path, node)

    def assign(layer: keras.layers.Layer, node: int) -> None:
        for weight in (*layer._trainable_variables, *layer._non_trainable_variables):
            held = children[node].get(weight.name, children[node].get(f"depthwise_{weight.name}"))
            if held is None:
                raise ValueError(f"layer {layer.name!r}: its weight {weight.name!r} was not found")
            weight.assign(reader.get_tensor(graph.nodes[held].attributes[0].checkpoint_key))
        inside = {id(part) for part in layer._layers}
        parts = {name: part for name, part in vars(layer).items() if id(part) in inside}
        for name, part in parts.items():
            if name not in children[node]:
                raise ValueError(f"layer {layer.name!r}: its part {name!r} was not found")
            inner = children[node][name]
            if isinstance(layer, WeightNormalization):
                children[inner].setdefault(layer.kernel_name, children[node]["v"])
                if isinstance(layer.layer, keras.layers.RNN):
                    cell = children[inner]["cell"]
                    children[cell].setdefault(layer.kernel_name, children[node]["v"])
            assign(part, inner)

    def walk(container: keras.Model, path: str) -> None:
        for layer in container.layers:
            if not layer.weights:
                continue
            if (path, layer.name) not in paths:
                raise ValueError(f"the weights of layer {layer.name!r} were not found")
            below, node = paths[path, layer.name]
            if isinstance(layer, keras.Model):
                walk(layer, below)
            else:
                assign(layer, node)

    walk(model, "root")


def _with_stock_layers(model: keras.Model, trainable: bool, tell: Callable[[str], None]) -> keras.Model:
    """A copy of the model with stock layers in place of the stand-ins, and their weights."""

    def stock(layer: keras.layers.Layer) -> keras.layers.Layer:
        if not isinstance(layer, _STAND_INS):
            return type(layer).from_config(layer.get_config())
        keep = trainable and isinstance(layer, SpectralNormalization)
        return layer.trainable_stock if keep else layer.stock

    new = keras.models.clone_model(model, clone_function=stock, recursive=True)
    _copy_weights(model, new, tell)
    left = sorted({type(layer).__name__ for layer in new._flatten_layers() if isinstance(layer, _STAND_INS)})
    if left:
        raise UserError(f"{', '.join(left)}: expected as a layer of the model, got it within another layer")
    return new


def _copy_weights(old: keras.Model, new: keras.Model, tell: Callable[[str], None]) -> None:
    for before, after in zip(old.layers, new.layers, strict=True):
        if isinstance(before, keras.Model):
            _copy_weights(before, after, tell)
        elif isinstance(before, _STAND_INS):
            after.set_weights(before.weights_of(after))
            kind = type(after).__name__
            if isinstance(before, WeightNormalization) or type(before.__dict__.get("layer")) is type(after):
                kind += ", normalization folded into its kernel"
            tell(f"{before.name}: {type(before).__name__} of tensorflow-addons replaced by {kind}")
        else:
            after.set_weights(before.get_weights())
            if type(after) is FilterResponseNormalization:
                tell(f"{before.name}: FilterResponseNormalization of tensorflow-addons replaced by our own")
