"""Text: classifiers from strings, a GPT, translation, spelling, named entities, OCR."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from benchmarks.designs.recurrent import padded_ids

Inputs = list[np.ndarray]


def causal_attention_mask(batch_size: Any, n_dest: Any, n_src: Any, dtype: str) -> Any:
    """True where a token of the source does not follow one of the destination, for each row."""
    i = ops.arange(n_dest)[:, None]
    j = ops.arange(n_src)
    m = i >= j - n_src + n_dest
    mask = ops.cast(m, dtype)
    mask = ops.reshape(mask, [1, n_dest, n_src])
    return ops.tile(mask, (batch_size, 1, 1))


class CausalTransformerBlock(layers.Layer):
    """Attention to preceding tokens, and a feed-forward network."""

    def __init__(self, embed_dim: int, num_heads: int, ff_dim: int, rate: float = 0.1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.att = layers.MultiHeadAttention(num_heads, embed_dim)
        self.ffn = keras.Sequential([layers.Dense(ff_dim, activation="relu"), layers.Dense(embed_dim)])
        self.layernorm1 = layers.LayerNormalization(epsilon=1e-6)
        self.layernorm2 = layers.LayerNormalization(epsilon=1e-6)
        self.dropout1 = layers.Dropout(rate)
        self.dropout2 = layers.Dropout(rate)

    def call(self, inputs: Any) -> Any:
        """Attend."""
        input_shape = ops.shape(inputs)
        batch_size = input_shape[0]
        seq_len = input_shape[1]
        causal_mask = causal_attention_mask(batch_size, seq_len, seq_len, "bool")
        attention_output = self.att(inputs, inputs, attention_mask=causal_mask)
        attention_output = self.dropout1(attention_output)
        out1 = self.layernorm1(inputs + attention_output)
        return self.layernorm2(out1 + self.dropout2(self.ffn(out1)))


class TokenAndPositionEmbedding(layers.Layer):
    """A vector for each token and one for its position."""

    def __init__(self, maxlen: int, vocab_size: int, embed_dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.token_emb = layers.Embedding(input_dim=vocab_size, output_dim=embed_dim)
        self.pos_emb = layers.Embedding(input_dim=maxlen, output_dim=embed_dim)

    def call(self, x: Any) -> Any:
        """The sum."""
        maxlen = ops.shape(x)[-1]
        positions = ops.arange(0, maxlen, 1)
        positions = self.pos_emb(positions)
        return self.token_emb(x) + positions


def mini_gpt() -> keras.Model:
    """A GPT of one block, which also returns the hidden states."""
    inputs = layers.Input(shape=(40,), dtype="int32")
    x = TokenAndPositionEmbedding(40, 1000, 64)(inputs)
    x = CausalTransformerBlock(64, 2, 64)(x)
    return keras.Model(inputs=inputs, outputs=[layers.Dense(1000)(x), x])


def mini_gpt_any_length() -> tuple[keras.Model, Inputs]:
    """The same for texts of any length."""
    inputs = layers.Input(shape=(None,), dtype="int32")
    x = TokenAndPositionEmbedding(80, 1000, 64)(inputs)
    for _ in range(2):
        x = CausalTransformerBlock(64, 2, 64)(x)
    return keras.Model(inputs, layers.Dense(1000)(x)), [padded_ids(40, 1000)]


class TransformerBlock(layers.Layer):
    """Attention and a feed-forward network."""

    def __init__(self, embed_dim: int, num_heads: int, ff_dim: int, rate: float = 0.1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.att = layers.MultiHeadAttention(num_heads=num_heads, key_dim=embed_dim)
        self.ffn = keras.Sequential([layers.Dense(ff_dim, activation="relu"), layers.Dense(embed_dim)])
        self.layernorm1 = layers.LayerNormalization(epsilon=1e-6)
        self.layernorm2 = layers.LayerNormalization(epsilon=1e-6)
        self.dropout1 = layers.Dropout(rate)
        self.dropout2 = layers.Dropout(rate)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Attend."""
        attn_output = self.dropout1(self.att(inputs, inputs), training=training)
        out1 = self.layernorm1(inputs + attn_output)
        ffn_output = self.dropout2(self.ffn(out1), training=training)
        return self.layernorm2(out1 + ffn_output)


def text_transformer() -> keras.Model:
    """A transformer that classifies reviews."""
    inputs = layers.Input(shape=(60,))
    x = TokenAndPositionEmbedding(60, 2000, 32)(inputs)
    x = TransformerBlock(32, 2, 32)(x)
    x = layers.Dropout(0.1)(layers.GlobalAveragePooling1D()(x))
    x = layers.Dropout(0.1)(layers.Dense(20, activation="relu")(x))
    return keras.Model(inputs=inputs, outputs=layers.Dense(2, activation="softmax")(x))


def _words(count: int) -> list[str]:
    return [f"w{index}" for index in range(count)]


def text_from_scratch() -> keras.Model:
    """Strings in, vectorized within the model, then convolutions."""
    vectorize = layers.TextVectorization(
        max_tokens=200, output_mode="int", output_sequence_length=50, vocabulary=_words(150)
    )
    inputs = keras.Input(shape=(1,), dtype="string")
    x = layers.Embedding(200, 32)(vectorize(inputs))
    x = layers.Dropout(0.5)(x)
    x = layers.Conv1D(32, 7, padding="valid", activation="relu", strides=3)(x)
    x = layers.Conv1D(32, 7, padding="valid", activation="relu", strides=3)(x)
    x = layers.Dense(32, activation="relu")(layers.GlobalMaxPooling1D()(x))
    return keras.Model(
        inputs, layers.Dense(1, activation="sigmoid", name="predictions")(layers.Dropout(0.5)(x))
    )


def multi_label_text() -> keras.Model:
    """Strings to bigrams weighted by TF-IDF, then an MLP."""
    vectorize = layers.TextVectorization(ngrams=2, output_mode="tf_idf")
    vectorize.adapt(["the cat sat on the mat", "a dog and a cat", "deep networks learn the cat", "on a mat"])
    return keras.Sequential(
        [
            keras.Input(shape=(), dtype="string"),
            vectorize,
            layers.Dense(64, activation="relu"),
            layers.Dense(32, activation="relu"),
            layers.Dense(5, activation="sigmoid"),
        ]
    )


class PositionalEmbedding(layers.Layer):
    """Token and position embeddings, with the mask of the tokens."""

    def __init__(self, sequence_length: int, vocab_size: int, embed_dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.token_embeddings = layers.Embedding(input_dim=vocab_size, output_dim=embed_dim)
        self.position_embeddings = layers.Embedding(input_dim=sequence_length, output_dim=embed_dim)
        self.sequence_length = sequence_length
        self.vocab_size = vocab_size
        self.embed_dim = embed_dim

    def call(self, inputs: Any) -> Any:
        """The sum."""
        length = ops.shape(inputs)[-1]
        positions = ops.arange(0, length, 1)
        return self.token_embeddings(inputs) + self.position_embeddings(positions)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """True where there is a token."""
        return ops.not_equal(inputs, 0)


class TransformerEncoder(layers.Layer):
    """An encoder block that heeds the mask of its inputs."""

    def __init__(self, embed_dim: int, dense_dim: int, num_heads: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.attention = layers.MultiHeadAttention(num_heads=num_heads, key_dim=embed_dim)
        self.dense_proj = keras.Sequential(
            [layers.Dense(dense_dim, activation="relu"), layers.Dense(embed_dim)]
        )
        self.layernorm_1 = layers.LayerNormalization()
        self.layernorm_2 = layers.LayerNormalization()
        self.supports_masking = True

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Attend."""
        padding_mask = ops.cast(mask[:, None, :], dtype="int32") if mask is not None else None
        attention_output = self.attention(query=inputs, value=inputs, key=inputs, attention_mask=padding_mask)
        proj_input = self.layernorm_1(inputs + attention_output)
        return self.layernorm_2(proj_input + self.dense_proj(proj_input))


class TransformerDecoder(layers.Layer):
    """A decoder block, causal, with the masks of both sides."""

    def __init__(self, embed_dim: int, latent_dim: int, num_heads: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.attention_1 = layers.MultiHeadAttention(num_heads=num_heads, key_dim=embed_dim)
        self.attention_2 = layers.MultiHeadAttention(num_heads=num_heads, key_dim=embed_dim)
        self.dense_proj = keras.Sequential(
            [layers.Dense(latent_dim, activation="relu"), layers.Dense(embed_dim)]
        )
        self.layernorm_1 = layers.LayerNormalization()
        self.layernorm_2 = layers.LayerNormalization()
        self.layernorm_3 = layers.LayerNormalization()
        self.supports_masking = True

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Attend to the preceding tokens, then to the source."""
        inputs, encoder_outputs = inputs
        causal_mask = self.get_causal_attention_mask(inputs)
        if mask is None:
            inputs_padding_mask, encoder_outputs_padding_mask = None, None
        else:
            inputs_padding_mask, encoder_outputs_padding_mask = mask
        attention_output_1 = self.attention_1(
            query=inputs,
            value=inputs,
            key=inputs,
            attention_mask=causal_mask,
            query_mask=inputs_padding_mask,
        )
        out_1 = self.layernorm_1(inputs + attention_output_1)
        attention_output_2 = self.attention_2(
            query=out_1,
            value=encoder_outputs,
            key=encoder_outputs,
            query_mask=inputs_padding_mask,
            key_mask=encoder_outputs_padding_mask,
        )
        out_2 = self.layernorm_2(out_1 + attention_output_2)
        return self.layernorm_3(out_2 + self.dense_proj(out_2))

    def get_causal_attention_mask(self, inputs: Any) -> Any:
        """True where a token is not later, for each row."""
        input_shape = ops.shape(inputs)
        batch_size, sequence_length = input_shape[0], input_shape[1]
        i = ops.arange(sequence_length)[:, None]
        j = ops.arange(sequence_length)
        mask = ops.cast(i >= j, dtype="int32")
        mask = ops.reshape(mask, (1, input_shape[1], input_shape[1]))
        return ops.broadcast_to(mask, (batch_size, sequence_length, sequence_length))


def translation() -> tuple[keras.Model, Inputs]:
    """A sequence-to-sequence transformer with a nested decoder and two named inputs."""
    encoder_inputs = keras.Input(shape=(None,), dtype="int64", name="encoder_inputs")
    x = PositionalEmbedding(20, 500, 32)(encoder_inputs)
    encoder_outputs = TransformerEncoder(32, 64, 4)(x)
    decoder_inputs = keras.Input(shape=(None,), dtype="int64", name="decoder_inputs")
    encoded_seq_inputs = keras.Input(shape=(None, 32), name="decoder_state_inputs")
    x = PositionalEmbedding(20, 500, 32)(decoder_inputs)
    x = TransformerDecoder(32, 64, 4)([x, encoded_seq_inputs])
    decoder_outputs = layers.Dense(500, activation="softmax")(layers.Dropout(0.5)(x))
    decoder = keras.Model([decoder_inputs, encoded_seq_inputs], decoder_outputs)
    model = keras.Model(
        {"encoder_inputs": encoder_inputs, "decoder_inputs": decoder_inputs},
        decoder([decoder_inputs, encoder_outputs]),
        name="transformer",
    )
    ids = padded_ids(20, 500).astype(np.int64)
    return model, [ids[::-1, :19], ids]


DESIGNS = {
    "mini GPT": mini_gpt,
    "mini GPT of any length": mini_gpt_any_length,
    "text transformer": text_transformer,
    "text classifier from strings": text_from_scratch,
    "text classifier, TF-IDF": multi_label_text,
    "translation, transformer": translation,
}
