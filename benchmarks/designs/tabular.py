"""Tables: dict inputs, lookups, wide and deep, gates, transformers over columns, decision forests, recommenders."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

NUMERIC = ("age", "trestbps", "chol", "oldpeak")
WORDS = {"thal": ["fixed", "normal", "reversible"], "workclass": ["private", "state", "self", "none"]}
IDS = {"sex": [0, 1], "cp": [0, 1, 2, 3, 4]}


def _inputs() -> dict[str, Any]:
    inputs = {name: keras.Input((1,), name=name) for name in NUMERIC}
    inputs |= {name: keras.Input((1,), name=name, dtype="int64") for name in IDS}
    return inputs | {name: keras.Input((1,), name=name, dtype="string") for name in WORDS}


def structured() -> keras.Model:
    """Normalized numbers and encoded categories, given as a dict."""
    inputs = _inputs()
    encoded: list[Any] = []
    for name in NUMERIC:
        normalizer = layers.Normalization()
        normalizer.adapt(np.random.default_rng(len(encoded)).normal(50, 10, (100, 1)))
        encoded.append(normalizer(inputs[name]))
    for name, values in IDS.items():
        lookup = layers.IntegerLookup(output_mode="multi_hot", vocabulary=values)
        encoded.append(lookup(inputs[name]))
    for name, words in WORDS.items():
        lookup = layers.StringLookup(output_mode="multi_hot", vocabulary=words)
        encoded.append(lookup(inputs[name]))
    x = layers.Dense(32, activation="relu")(layers.concatenate(encoded))
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid")(layers.Dropout(0.5)(x)))


def feature_space() -> keras.Model:
    """Keras' FeatureSpace within the model: discretized, crossed, hashed."""
    space = keras.utils.FeatureSpace(
        features={
            "sex": keras.utils.FeatureSpace.integer_categorical(num_oov_indices=0),
            "thal": keras.utils.FeatureSpace.string_categorical(num_oov_indices=1),
            "age": keras.utils.FeatureSpace.float_discretized(num_bins=8),
            "chol": keras.utils.FeatureSpace.float_normalized(),
            "oldpeak": keras.utils.FeatureSpace.float_rescaled(scale=0.1),
        },
        crosses=[keras.utils.FeatureSpace.cross(feature_names=("sex", "age"), crossing_dim=16)],
        output_mode="concat",
    )
    import tensorflow as tf

    rng = np.random.default_rng(0)
    table = {
        "sex": rng.integers(0, 2, 64),
        "thal": rng.choice(WORDS["thal"], 64),
        **{name: rng.normal(50, 10, 64).astype("float32") for name in ("age", "chol", "oldpeak")},
    }
    space.adapt(tf.data.Dataset.from_tensor_slices(table))
    inputs = space.get_inputs()
    x = layers.Dense(32, activation="relu")(space.get_encoded_features())
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid")(layers.Dropout(0.5)(x)))


def _encoded(inputs: dict[str, Any], size: int | None) -> list[Any]:
    """Each column: numbers as they are, categories embedded or one-hot."""
    encoded = []
    for name, x in inputs.items():
        if name in NUMERIC:
            encoded.append(x if size is None else layers.Dense(units=size)(x))
            continue
        kind = layers.StringLookup if name in WORDS else layers.IntegerLookup
        vocabulary = WORDS.get(name) or IDS[name]
        lookup = kind(vocabulary=vocabulary, num_oov_indices=1, output_mode="int" if size else "multi_hot")
        index = lookup(x)
        if size:
            embedding = layers.Embedding(input_dim=len(vocabulary) + 1, output_dim=size)
            index = layers.Reshape((size,))(embedding(index))
        encoded.append(index)
    return encoded


def wide_and_deep() -> keras.Model:
    """A linear path beside a deep one."""
    inputs = _inputs()
    wide = layers.BatchNormalization()(layers.concatenate(_encoded(inputs, None)))
    deep = layers.concatenate(_encoded(inputs, 4))
    for units in (32, 32):
        deep = layers.ReLU()(layers.BatchNormalization()(layers.Dense(units)(deep)))
        deep = layers.Dropout(0.1)(deep)
    merged = layers.concatenate([wide, deep])
    return keras.Model(inputs=inputs, outputs=layers.Dense(units=7, activation="softmax")(merged))


def deep_and_cross() -> keras.Model:
    """A network of crosses beside a deep one."""
    inputs = _inputs()
    x0 = cross = layers.concatenate(_encoded(inputs, 4))
    for _ in range(2):
        units = cross.shape[-1]
        x = layers.Dense(units)(cross)
        cross = x0 * x + cross
    cross = layers.BatchNormalization()(cross)
    deep = layers.ReLU()(layers.BatchNormalization()(layers.Dense(32)(x0)))
    merged = layers.concatenate([cross, deep])
    return keras.Model(inputs=inputs, outputs=layers.Dense(units=7, activation="softmax")(merged))


def tab_transformer() -> keras.Model:
    """Attention between the categories, with an embedding of the column."""
    inputs = _inputs()
    categories = {name: x for name, x in inputs.items() if name not in NUMERIC}
    encoded = ops.stack(_encoded(categories, 16), axis=1)
    numeric = layers.concatenate([inputs[name] for name in NUMERIC])
    column_embedding = layers.Embedding(input_dim=len(categories), output_dim=16)
    encoded = encoded + column_embedding(ops.arange(start=0, stop=len(categories), step=1))
    for _ in range(2):
        attention_output = layers.MultiHeadAttention(num_heads=4, key_dim=16, dropout=0.2)(encoded, encoded)
        x = layers.LayerNormalization(epsilon=1e-6)(layers.Add()([attention_output, encoded]))
        feedforward = layers.Dropout(0.2)(layers.Dense(16, activation=keras.activations.gelu)(x))
        encoded = layers.LayerNormalization(epsilon=1e-6)(layers.Add()([feedforward, x]))
    features = layers.concatenate(
        [layers.Flatten()(encoded), layers.LayerNormalization(epsilon=1e-6)(numeric)]
    )
    for units in (64, 32):
        features = layers.BatchNormalization()(features)
        features = layers.Dropout(0.2)(layers.Dense(units, activation=keras.activations.selu)(features))
    return keras.Model(inputs=inputs, outputs=layers.Dense(units=1, activation="sigmoid")(features))


class GatedLinearUnit(layers.Layer):
    """A linear layer times a sigmoid one."""

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.linear = layers.Dense(units)
        self.sigmoid = layers.Dense(units, activation="sigmoid")

    def call(self, inputs: Any) -> Any:
        """The product."""
        return self.linear(inputs) * self.sigmoid(inputs)


class GatedResidualNetwork(layers.Layer):
    """A dense network that a gate can skip."""

    def __init__(self, units: int, dropout_rate: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.elu_dense = layers.Dense(units, activation="elu")
        self.linear_dense = layers.Dense(units)
        self.dropout = layers.Dropout(dropout_rate)
        self.gated_linear_unit = GatedLinearUnit(units)
        self.layer_norm = layers.LayerNormalization()
        self.project = layers.Dense(units)

    def call(self, inputs: Any) -> Any:
        """The network."""
        x = self.elu_dense(inputs)
        x = self.linear_dense(x)
        x = self.dropout(x)
        if inputs.shape[-1] != self.units:
            inputs = self.project(inputs)
        x = inputs + self.gated_linear_unit(x)
        return self.layer_norm(x)


class VariableSelection(layers.Layer):
    """A network for each column, and a weight for each, from all of them."""

    def __init__(self, num_features: int, units: int, dropout_rate: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.grns = [GatedResidualNetwork(units, dropout_rate) for _ in range(num_features)]
        self.grn_concat = GatedResidualNetwork(units, dropout_rate)
        self.softmax = layers.Dense(units=num_features, activation="softmax")

    def call(self, inputs: Any) -> Any:
        """The weighted sum."""
        v = layers.concatenate(inputs)
        v = self.grn_concat(v)
        v = ops.expand_dims(self.softmax(v), axis=-1)
        x = ops.stack([grn(x) for grn, x in zip(self.grns, inputs, strict=True)], axis=1)
        return ops.squeeze(ops.matmul(ops.transpose(v, axes=[0, 2, 1]), x), axis=1)


def variable_selection() -> keras.Model:
    """Gated residual networks with variable selection."""
    inputs = _inputs()
    features = VariableSelection(len(inputs), 16, 0.15)(_encoded(inputs, 16))
    return keras.Model(inputs=inputs, outputs=layers.Dense(units=1, activation="sigmoid")(features))


class NeuralDecisionTree(layers.Layer):
    """A tree whose decisions are sigmoids: the probability of each leaf, times what the leaf says."""

    def __init__(
        self, depth: int, num_features: int, used_features: int, num_classes: int, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.depth = depth
        self.num_leaves = 2**depth
        self.num_classes = num_classes
        one_hot = np.eye(num_features)
        sampled = np.random.default_rng(0).choice(np.arange(num_features), used_features, replace=False)
        self.used_features_mask = ops.convert_to_tensor(one_hot[sampled], dtype="float32")
        self.pi = self.add_weight(
            initializer="random_normal", shape=[self.num_leaves, num_classes], dtype="float32", trainable=True
        )
        self.decision_fn = layers.Dense(units=self.num_leaves, activation="sigmoid", name="decision")

    def call(self, features: Any) -> Any:
        """The mean of what the leaves say."""
        batch_size = ops.shape(features)[0]
        features = ops.matmul(features, ops.transpose(self.used_features_mask))
        decisions = ops.expand_dims(self.decision_fn(features), axis=2)
        decisions = ops.concatenate([decisions, 1 - decisions], axis=2)
        mu = ops.ones([batch_size, 1, 1])
        begin_idx, end_idx = 1, 2
        for level in range(self.depth):
            mu = ops.reshape(mu, [batch_size, -1, 1])
            mu = ops.tile(mu, (1, 1, 2))
            level_decisions = decisions[:, begin_idx:end_idx, :]
            mu = mu * level_decisions
            begin_idx = end_idx
            end_idx = begin_idx + 2 ** (level + 1)
        mu = ops.reshape(mu, [batch_size, self.num_leaves])
        probabilities = keras.activations.softmax(self.pi)
        return ops.matmul(mu, probabilities)


def decision_forest() -> keras.Model:
    """Three neural decision trees."""
    inputs = _inputs()
    features = layers.BatchNormalization()(layers.concatenate(_encoded(inputs, 4)))
    trees = [NeuralDecisionTree(3, features.shape[-1], 16, 2)(features) for _ in range(3)]
    return keras.Model(inputs=inputs, outputs=layers.Average()(trees))


class Recommender(layers.Layer):
    """The match of a user and a film: sigmoid(u . v + biases)."""

    def __init__(self, num_users: int, num_movies: int, embedding_size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.user_embedding = layers.Embedding(num_users, embedding_size)
        self.user_bias = layers.Embedding(num_users, 1)
        self.movie_embedding = layers.Embedding(num_movies, embedding_size)
        self.movie_bias = layers.Embedding(num_movies, 1)

    def call(self, inputs: Any) -> Any:
        """The match."""
        user_vector = self.user_embedding(inputs[:, 0])
        user_bias = self.user_bias(inputs[:, 0])
        movie_vector = self.movie_embedding(inputs[:, 1])
        movie_bias = self.movie_bias(inputs[:, 1])
        dot_user_movie = ops.sum(user_vector * movie_vector, axis=-1, keepdims=True)
        return ops.nn.sigmoid(dot_user_movie + user_bias + movie_bias)


def recommender() -> keras.Model:
    """Collaborative filtering of pairs of ids."""
    inputs = keras.Input((2,), dtype="int32")
    return keras.Model(inputs, Recommender(100, 80, 16)(inputs))


def two_towers() -> keras.Model:
    """Two embeddings from strings, and their cosine."""
    towers, inputs = [], {}
    for name in ("user", "movie"):
        inputs[name] = keras.Input((), dtype="string", name=name)
        ids = layers.StringLookup(vocabulary=[f"{name}_{i}" for i in range(40)], mask_token=None)(
            inputs[name]
        )
        x = layers.Dense(16, activation="relu")(layers.Embedding(41, 16)(ids))
        towers.append(layers.UnitNormalization()(layers.Dense(8)(x)))
    return keras.Model(inputs, layers.Dot(axes=1, normalize=True)(towers))


class BehaviorTransformer(layers.Layer):
    """A user's films with their ratings and positions, and the film in question, attend to each other."""

    def __init__(self, num_movies: int = 50, dim: int = 17, length: int = 6, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.movies = layers.Embedding(num_movies, dim)
        self.positions = layers.Embedding(length, dim)
        self.attention = layers.MultiHeadAttention(num_heads=3, key_dim=dim, dropout=0.1)
        self.norm = layers.LayerNormalization()
        self.length = length

    def call(self, inputs: Any) -> Any:
        """The features."""
        sequence, ratings, target = inputs["sequence"], inputs["ratings"], inputs["target"]
        encoded = self.movies(sequence) + self.positions(ops.arange(self.length))
        encoded = ops.multiply(encoded, ops.expand_dims(ratings, -1))
        features = [*ops.unstack(encoded, axis=1), self.movies(target)]
        x = ops.concatenate([ops.expand_dims(one, 1) for one in features], axis=1)
        x = self.norm(layers.Add()([x, self.attention(x, x)]))
        return ops.reshape(x, (-1, (self.length + 1) * x.shape[-1]))


def behavior_transformer() -> keras.Model:
    """A recommender over the sequence of what a user saw; a layer with a dict of inputs."""
    inputs = {
        "sequence": keras.Input((6,), dtype="int32", name="sequence"),
        "ratings": keras.Input((6,), name="ratings"),
        "target": keras.Input((), dtype="int32", name="target"),
    }
    x = BehaviorTransformer()(inputs)
    x = layers.LeakyReLU()(layers.BatchNormalization()(layers.Dense(32)(x)))
    return keras.Model(inputs, layers.Dense(1)(x))


DESIGNS = {
    "structured data": structured,
    "FeatureSpace": feature_space,
    "wide and deep": wide_and_deep,
    "deep and cross": deep_and_cross,
    "TabTransformer": tab_transformer,
    "variable selection": variable_selection,
    "neural decision forest": decision_forest,
    "collaborative filtering": recommender,
    "two towers": two_towers,
    "behavior sequence transformer": behavior_transformer,
}
