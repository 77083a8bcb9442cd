"""Points and graphs: PointNet, graph attention, message passing, node classification."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops


class OrthogonalRegularizer(keras.regularizers.Regularizer):
    """Keeps a transform near an orthogonal one."""

    def __init__(self, num_features: int, l2reg: float = 0.001) -> None:
        self.num_features = num_features
        self.l2reg = l2reg
        self.eye = ops.eye(num_features)

    def __call__(self, x: Any) -> Any:
        """The penalty."""
        x = ops.reshape(x, (-1, self.num_features, self.num_features))
        xxt = ops.tensordot(x, x, axes=(2, 2))
        xxt = ops.reshape(xxt, (-1, self.num_features, self.num_features))
        return ops.sum(self.l2reg * ops.square(xxt - self.eye))

    def get_config(self) -> dict[str, Any]:
        """What the constructor needs."""
        return {"num_features": self.num_features, "l2reg": self.l2reg}


def _conv_bn(x: Any, filters: int) -> Any:
    x = layers.BatchNormalization(momentum=0.0)(layers.Conv1D(filters, kernel_size=1, padding="valid")(x))
    return layers.Activation("relu")(x)


def _dense_bn(x: Any, filters: int) -> Any:
    x = layers.BatchNormalization(momentum=0.0)(layers.Dense(filters)(x))
    return layers.Activation("relu")(x)


def _tnet(inputs: Any, num_features: int) -> Any:
    bias = keras.initializers.Constant(np.eye(num_features).flatten())
    x = _conv_bn(_conv_bn(inputs, 16), 64)
    x = _dense_bn(layers.GlobalMaxPooling1D()(x), 32)
    x = layers.Dense(
        num_features * num_features,
        kernel_initializer="zeros",
        bias_initializer=bias,
        activity_regularizer=OrthogonalRegularizer(num_features),
    )(x)
    feat_t = layers.Reshape((num_features, num_features))(x)
    return layers.Dot(axes=(2, 1))([inputs, feat_t])


def pointnet() -> keras.Model:
    """A class for a cloud of points, after a transform that depends on it."""
    inputs = keras.Input(shape=(256, 3))
    x = _conv_bn(_conv_bn(_tnet(inputs, 3), 16), 16)
    x = _conv_bn(_conv_bn(_tnet(x, 16), 32), 64)
    x = layers.GlobalMaxPooling1D()(x)
    x = layers.Dropout(0.3)(_dense_bn(x, 32))
    return keras.Model(inputs=inputs, outputs=layers.Dense(10, activation="softmax")(x))


def pointnet_segmentation() -> keras.Model:
    """A class for each point of a cloud of any size: features of the points beside those of the cloud."""
    inputs = keras.Input(shape=(None, 3))
    features = _conv_bn(_tnet(inputs, 3), 16)
    x = _conv_bn(features, 32)
    cloud = layers.GlobalMaxPool1D(keepdims=True)(x)
    cloud = ops.tile(cloud, (1, ops.shape(inputs)[1], 1)) if inputs.shape[1] else Repeated()([cloud, inputs])
    x = _conv_bn(layers.Concatenate()([features, x, cloud]), 32)
    return keras.Model(inputs, layers.Conv1D(5, kernel_size=1, activation="softmax")(x))


class Repeated(layers.Layer):
    """A vector repeated for each point."""

    def call(self, inputs: Any) -> Any:
        """Repeat."""
        cloud, points = inputs
        return ops.tile(cloud, (1, ops.shape(points)[1], 1))


class GraphAttention(layers.Layer):
    """Features of nodes, mixed along edges by attention."""

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape: Any) -> None:
        """Make the weights."""
        self.kernel = self.add_weight(shape=(input_shape[0][-1], self.units), name="kernel")
        self.kernel_attention = self.add_weight(shape=(self.units * 2, 1), name="kernel_attention")
        self.built = True

    def call(self, inputs: Any) -> Any:
        """The mixed features."""
        node_states, edges = inputs
        node_states_transformed = ops.matmul(node_states, self.kernel)
        node_states_expanded = ops.take(node_states_transformed, edges, axis=0)
        node_states_expanded = ops.reshape(node_states_expanded, (ops.shape(edges)[0], -1))
        attention_scores = ops.leaky_relu(ops.matmul(node_states_expanded, self.kernel_attention))
        attention_scores = ops.squeeze(attention_scores, -1)
        attention_scores = ops.exp(ops.clip(attention_scores, -2, 2))
        count = node_states.shape[0]
        attention_scores_sum = ops.segment_sum(attention_scores, edges[:, 0], num_segments=count)
        attention_scores_sum = ops.take(attention_scores_sum, edges[:, 0])
        attention_scores_norm = attention_scores / attention_scores_sum
        node_states_neighbors = ops.take(node_states_transformed, edges[:, 1], axis=0)
        return ops.segment_sum(
            node_states_neighbors * attention_scores_norm[:, None], edges[:, 0], num_segments=count
        )


def graph_attention() -> keras.Model:
    """Classes of the nodes of a graph of 12 nodes and any edges, by heads of attention."""
    states = keras.Input(batch_shape=(12, 16), name="states")
    edges = keras.Input(batch_shape=(30, 2), dtype="int32", name="edges")
    x = layers.Dense(16, activation="relu")(states)
    for _ in range(2):
        heads = [GraphAttention(8)([x, edges]) for _ in range(2)]
        x = ops.relu(layers.concatenate(heads, axis=-1)) + x
    return keras.Model([states, edges], layers.Dense(4)(x))


def _graph_data() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=(12, 16)).astype("float32"), rng.integers(0, 12, (30, 2)).astype("int32")]


def graph_attention_with_data() -> tuple[keras.Model, list[np.ndarray]]:
    """The same with edges between its nodes."""
    return graph_attention(), _graph_data()


class EdgeNetwork(layers.Layer):
    """Messages along bonds: a matrix for each bond, from its features."""

    def build(self, input_shape: Any) -> None:
        """Make the weights."""
        self.atom_dim = input_shape[0][-1]
        self.bond_dim = input_shape[1][-1]
        self.kernel = self.add_weight(shape=(self.bond_dim, self.atom_dim * self.atom_dim), name="kernel")
        self.bias = self.add_weight(shape=(self.atom_dim * self.atom_dim,), initializer="zeros", name="bias")
        self.built = True

    def call(self, inputs: Any) -> Any:
        """The sum of the messages at each atom."""
        atom_features, bond_features, pair_indices = inputs
        bond_features = ops.matmul(bond_features, self.kernel) + self.bias
        bond_features = ops.reshape(bond_features, (-1, self.atom_dim, self.atom_dim))
        neighbors = ops.take(atom_features, pair_indices[:, 1], axis=0)
        neighbors = ops.expand_dims(neighbors, axis=-1)
        transformed_features = ops.squeeze(ops.matmul(bond_features, neighbors), axis=-1)
        return ops.segment_sum(
            transformed_features, pair_indices[:, 0], num_segments=ops.shape(atom_features)[0]
        )


class MessagePassing(layers.Layer):
    """Steps of messages and a GRU cell that updates the atoms."""

    def __init__(self, units: int, steps: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.steps = steps

    def build(self, input_shape: Any) -> None:
        """Make the layers."""
        self.atom_dim = input_shape[0][-1]
        self.message_step = EdgeNetwork()
        self.pad_length = max(0, self.units - self.atom_dim)
        self.update_step = layers.GRUCell(self.atom_dim + self.pad_length)
        self.built = True

    def call(self, inputs: Any) -> Any:
        """The updated atoms."""
        atom_features, bond_features, pair_indices = inputs
        updated = ops.pad(atom_features, [(0, 0), (0, self.pad_length)])
        for _ in range(self.steps):
            aggregated = self.message_step([updated, bond_features, pair_indices])
            updated, _ = self.update_step(aggregated, updated)
        return updated


class PartitionPadding(layers.Layer):
    """The mean of the atoms of each molecule."""

    def __init__(self, molecules: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.molecules = molecules

    def call(self, inputs: Any) -> Any:
        """The means."""
        atom_features, molecule_indicator = inputs
        total = ops.segment_sum(atom_features, molecule_indicator, num_segments=self.molecules)
        counts = ops.segment_sum(
            ops.ones_like(atom_features[:, :1]), molecule_indicator, num_segments=self.molecules
        )
        return ops.divide_no_nan(total, counts)


def message_passing() -> tuple[keras.Model, list[np.ndarray]]:
    """Properties of molecules: atoms, bonds and pairs of any number, in one batch."""
    atom_features = layers.Input((16,), dtype="float32", name="atom_features")
    bond_features = layers.Input((7,), dtype="float32", name="bond_features")
    pair_indices = layers.Input((2,), dtype="int32", name="pair_indices")
    molecule_indicator = layers.Input((), dtype="int32", name="molecule_indicator")
    x = MessagePassing(24, 2)([atom_features, bond_features, pair_indices])
    x = PartitionPadding(4)([x, molecule_indicator])
    x = layers.Dense(1, activation="sigmoid")(layers.Dense(32, activation="relu")(x))
    model = keras.Model([atom_features, bond_features, pair_indices, molecule_indicator], x)
    rng = np.random.default_rng(0)
    data = [
        rng.normal(size=(20, 16)).astype("float32"),
        rng.normal(size=(36, 7)).astype("float32"),
        rng.integers(0, 20, (36, 2)).astype("int32"),
        np.sort(rng.integers(0, 4, 20)).astype("int32"),
    ]
    return model, data


DESIGNS = {
    "PointNet": pointnet,
    "PointNet, segmentation": pointnet_segmentation,
    "graph attention": graph_attention_with_data,
    "message passing": message_passing,
}
