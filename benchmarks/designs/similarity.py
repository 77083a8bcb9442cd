"""Pairs, sets and images compared: siamese networks, metric learning, attention over bags, attention of classes."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops


def _embedding(size: int = 28) -> keras.Model:
    inputs = layers.Input((size, size, 1))
    x = layers.BatchNormalization()(inputs)
    for filters in (4, 16):
        x = layers.AveragePooling2D(pool_size=(2, 2))(layers.Conv2D(filters, (5, 5), activation="tanh")(x))
    x = layers.BatchNormalization()(layers.Flatten()(x))
    return keras.Model(inputs, layers.Dense(10, activation="tanh")(x))


@keras.saving.register_keras_serializable(package="designs")
def euclidean_distance(vects: Any) -> Any:
    """The distance of two vectors."""
    x, y = vects
    sum_square = ops.sum(ops.square(x - y), axis=1, keepdims=True)
    return ops.sqrt(ops.maximum(sum_square, keras.backend.epsilon()))


def siamese() -> keras.Model:
    """Two images through one network, and the distance, by a Lambda layer with a registered function."""
    embedding = _embedding()
    first, second = layers.Input((28, 28, 1)), layers.Input((28, 28, 1))
    distance = layers.Lambda(euclidean_distance, output_shape=(1,))([embedding(first), embedding(second)])
    normal = layers.BatchNormalization()(distance)
    return keras.Model(inputs=[first, second], outputs=layers.Dense(1, activation="sigmoid")(normal))


def siamese_lambda() -> keras.Model:
    """The same with an anonymous function, which Keras' safe mode doesn't load."""
    embedding = _embedding()
    first, second = layers.Input((28, 28, 1)), layers.Input((28, 28, 1))
    distance = layers.Lambda(lambda pair: ops.abs(pair[0] - pair[1]), output_shape=(10,))(
        [embedding(first), embedding(second)]
    )
    return keras.Model(inputs=[first, second], outputs=layers.Dense(1, activation="sigmoid")(distance))


class DistanceLayer(layers.Layer):
    """The squared distances of an anchor to a positive and a negative example."""

    def call(self, anchor: Any, positive: Any, negative: Any) -> Any:
        """The distances."""
        ap_distance = ops.sum(ops.square(anchor - positive), -1)
        an_distance = ops.sum(ops.square(anchor - negative), -1)
        return (ap_distance, an_distance)


def triplets() -> keras.Model:
    """Three images through one network with batch normalization, and two distances."""
    embedding = _embedding()
    inputs = [layers.Input(name=name, shape=(28, 28, 1)) for name in ("anchor", "positive", "negative")]
    return keras.Model(inputs=inputs, outputs=DistanceLayer()(*(embedding(x) for x in inputs)))


class Normalize(layers.Layer):
    """Vectors of length 1."""

    def call(self, x: Any) -> Any:
        """Normalize."""
        return ops.nn.normalize(x, axis=-1, order=2)


def metric_learning() -> keras.Model:
    """Embeddings of length 1, for images of any size."""
    inputs = layers.Input(shape=(None, None, 3))
    x = inputs
    for filters in (16, 32, 64):
        x = layers.Conv2D(filters=filters, kernel_size=3, strides=2, activation="relu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, Normalize()(layers.Dense(units=8, activation=None)(x)))


class MILAttentionLayer(layers.Layer):
    """A weight for each instance of a bag, by gated attention."""

    def __init__(
        self,
        weight_params_dim: int,
        kernel_initializer: Any = "glorot_uniform",
        use_gated: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.weight_params_dim = weight_params_dim
        self.use_gated = use_gated
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape: Any) -> None:
        """Make the weights."""
        input_dim = input_shape[0][1]
        self.v_weight_params = self.add_weight(
            shape=(input_dim, self.weight_params_dim), name="v", trainable=True
        )
        self.w_weight_params = self.add_weight(shape=(self.weight_params_dim, 1), name="w", trainable=True)
        self.u_weight_params = self.add_weight(
            shape=(input_dim, self.weight_params_dim), name="u", trainable=True
        )
        self.input_built = True

    def call(self, inputs: Any) -> Any:
        """The weights, which sum to 1."""
        instances = [self.compute_attention_scores(instance) for instance in inputs]
        instances = ops.stack(instances)
        alpha = ops.softmax(instances, axis=0)
        return [alpha[i] for i in range(alpha.shape[0])]

    def compute_attention_scores(self, instance: Any) -> Any:
        """w (tanh(v x) sigmoid(u x))."""
        original_instance = instance
        instance = ops.tanh(ops.tensordot(instance, self.v_weight_params, axes=1))
        if self.use_gated:
            gate = ops.sigmoid(ops.tensordot(original_instance, self.u_weight_params, axes=1))
            instance = instance * gate
        return ops.tensordot(instance, self.w_weight_params, axes=1)


def bags() -> keras.Model:
    """Multiple instance learning: a bag of four images."""
    inputs, embeddings = [], []
    first, second = layers.Dense(64, activation="relu"), layers.Dense(32, activation="relu")
    for _ in range(4):
        inp = layers.Input((28, 28))
        inputs.append(inp)
        embeddings.append(second(first(layers.Flatten()(inp))))
    alpha = MILAttentionLayer(weight_params_dim=32, use_gated=True, name="alpha")(embeddings)
    multiplied = [layers.multiply([alpha[i], embeddings[i]]) for i in range(len(alpha))]
    concat = layers.concatenate(multiplied, axis=1)
    return keras.Model(inputs, layers.Dense(2, activation="softmax")(concat))


def question_answering() -> keras.Model:
    """Memory networks: a story and a question through embeddings, a match, and an LSTM."""
    story, question = keras.Input((30,), dtype="int32"), keras.Input((6,), dtype="int32")
    encoded_m = layers.Dropout(0.3)(layers.Embedding(40, 32)(story))
    encoded_c = layers.Embedding(40, 6)(story)
    encoded_q = layers.Embedding(40, 32)(question)
    match = layers.Activation("softmax")(layers.Dot(axes=(2, 2))([encoded_m, encoded_q]))
    response = layers.Permute((2, 1))(layers.Add()([match, encoded_c]))
    answer = layers.LSTM(32)(layers.Concatenate()([response, encoded_q]))
    return keras.Model([story, question], layers.Activation("softmax")(layers.Dense(40)(answer)))


class LogisticEndpoint(layers.Layer):
    """Computes the loss in training, from targets that are an input, and returns probabilities."""

    def __init__(self, name: str | None = None, **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.loss_fn = keras.losses.BinaryCrossentropy(from_logits=True)

    def call(self, targets: Any, logits: Any, sample_weight: Any = None) -> Any:
        """The probabilities."""
        loss = self.loss_fn(targets, logits, sample_weight)
        self.add_loss(loss)
        return ops.softmax(logits)


def endpoint() -> keras.Model:
    """The endpoint layer of Keras' guides."""
    inputs, targets = keras.Input((8,), name="inputs"), keras.Input((4,), name="targets")
    logits = layers.Dense(4)(layers.Dense(16, activation="relu")(inputs))
    return keras.Model([inputs, targets], LogisticEndpoint(name="predictions")(targets, logits))


DESIGNS = {
    "siamese, distance": siamese,
    "siamese, Lambda": siamese_lambda,
    "siamese, triplets": triplets,
    "metric learning": metric_learning,
    "attention over a bag": bags,
    "memory network": question_answering,
    "endpoint layer with a loss": endpoint,
}
