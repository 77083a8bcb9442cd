"""stock_model: a trained model as stock Keras layers, which Keras loads without kerasnorm."""

from __future__ import annotations

from typing import Any

import keras

from export.keras_graph import graph_of, interpret


def stock_model(model: keras.Model) -> keras.Model:
    """Return a model that computes the same in inference, of stock Keras layers as far as there are some.

    A layer with a method `stock_layers` is replaced by the layers that it returns, one after another. All others are
    copied. `RootMeanSquareNormalization` and `ThresholdedFilterResponseNormalization` have no stock form.

    Args:
        model: a built Functional or Sequential model without nested models.

    Returns:
        A Functional model with the same name and compiled the same way, with a new optimizer; `model` itself if none of
        its layers is replaced.
    """
    if not any(hasattr(layer, "stock_layers") for layer in model.layers):
        return model
    graph = graph_of(model)
    layers = {id(layer): _stock(layer) for layer in graph.layers}

    def call(layer: Any, args: Any, kwargs: Any, symbolic: list[Any]) -> list[Any]:
        first, *following = layers[id(layer)]
        outputs = first(*args, **kwargs)
        for one in following:
            outputs = one(outputs)
        return keras.tree.flatten(outputs)

    inputs = [keras.Input(batch_shape=x.shape, dtype=x.dtype, name=x.name) for x in graph.inputs]
    outputs = interpret(graph, inputs, call)
    stock = keras.Model(
        keras.tree.pack_sequence_as(model.input, inputs),
        keras.tree.pack_sequence_as(model.output, outputs),
        name=model.name,
    )
    for layer in graph.layers:
        if not hasattr(layer, "stock_layers"):
            layers[id(layer)][0].set_weights(layer.get_weights())
    if model.compiled:
        stock.compile_from_config(model.get_compile_config())
    return stock


def _stock(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    if hasattr(layer, "stock_layers"):
        return list(layer.stock_layers())
    return [type(layer).from_config(layer.get_config())]
