"""Quantized embeddings, and their reverse, against Keras."""

import keras
import pytest
from keras import layers as L

from tests.export.helpers import random_array, randomize
from tests.export.lowerings.test_quantized_dense import MODES, checked, quantized

OF_EMBEDDINGS = [mode for mode in MODES if mode != "float8"]


def embedding() -> keras.Model:
    inputs = keras.Input((6,), dtype="int32")
    x = L.GlobalAveragePooling1D()(L.Embedding(40, 15)(inputs))
    return randomize(keras.Model(inputs, L.Dense(4)(x)))


def test_int8_embedding() -> None:
    checked(quantized(embedding(), "int8"))


@pytest.mark.slow
@pytest.mark.parametrize("mode", OF_EMBEDDINGS)
def test_modes_of_an_embedding(mode: str) -> None:
    checked(quantized(embedding(), **MODES[mode]))


def test_lora() -> None:
    model = quantized(embedding(), "int8")
    layer = model.layers[1]
    layer.enable_lora(2)
    for name in ("lora_embeddings_a", "lora_embeddings_b"):
        getattr(layer, name).assign(0.3 * random_array(*getattr(layer, name).shape))
    checked(model)


@pytest.mark.skipif(not hasattr(L, "ReversibleEmbedding"), reason="needs a version of Keras with the layer")
@pytest.mark.slow
@pytest.mark.parametrize("mode", OF_EMBEDDINGS)
@pytest.mark.parametrize("tie_weights", [True, False])
def test_reversible_embedding(mode: str, tie_weights: bool) -> None:
    inputs = keras.Input((6,), dtype="int32")
    layer = L.ReversibleEmbedding(40, 15, tie_weights=tie_weights, logit_soft_cap=30.0)
    x = L.Dense(15, activation="tanh")(layer(inputs))
    model = quantized(randomize(keras.Model(inputs, layer(x, reverse=True))), **MODES[mode])
    conversion = checked(model)
    tables = [x for x in conversion.model.graph.initializer if len(x.dims) == 2 and x.data_type == 2]
    assert sum("embeddings" in x.name for x in tables) == (1 if tie_weights else 2)
