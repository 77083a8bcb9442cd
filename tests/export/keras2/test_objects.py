from typing import Any

import keras
import numpy as np
import pytest

from export.errors import UserError
from export.keras2.functional import build_model
from export.keras2.hard_sigmoid import hard_sigmoid_of_keras_2
from export.keras2.objects import Objects


def make(kind: str, custom_objects: dict[str, Any] | None = None, **config: Any) -> Any:
    objects = Objects(custom_objects or {}, False, build_model)
    return objects.layer({"class_name": kind, "config": {"name": "it", **config}})


def test_objects_among_the_arguments() -> None:
    dense = make(
        "Dense",
        units=2,
        kernel_initializer={"class_name": "RandomNormal", "config": {"stddev": 0.1, "dtype": "float32"}},
        kernel_regularizer={"class_name": "L2", "config": {"l2": 0.01}},
        bias_constraint={"class_name": "NonNeg", "config": {}},
        bias_initializer={"class_name": "MyOwn", "config": {}},
    )
    assert dense.kernel_initializer.stddev == 0.1
    assert dense.kernel_regularizer.l2 == pytest.approx(0.01, rel=1e-6)
    assert isinstance(dense.bias_constraint, keras.constraints.NonNeg)
    assert isinstance(dense.bias_initializer, keras.initializers.Zeros)


@pytest.mark.parametrize(
    ("kind", "config", "new", "attributes"),
    [
        ("LeakyReLU", {"alpha": 0.25}, "LeakyReLU", {"negative_slope": 0.25}),
        ("ThresholdedReLU", {"theta": 0.5}, "ReLU", {"threshold": 0.5}),
        ("BatchNormalizationV1", {"axis": [3], "fused": True}, "BatchNormalization", {"axis": 3}),
        ("SyncBatchNormalization", {"renorm": False}, "BatchNormalization", {"axis": -1}),
        ("FixedDropout", {"rate": 0.5, "noise_shape": [None, 1, 1, 1]}, "Dropout", {"rate": 0.5}),
        ("StochasticDepth", {"drop_path_rate": 0.5}, "Dropout", {"noise_shape": (None, 1, 1, 1)}),
        ("GRU", {"units": 2}, "GRU", {"reset_after": False}),
        ("GRU", {"units": 2, "reset_after": True}, "GRU", {"reset_after": True}),
        ("LSTM", {"units": 2, "implementation": 1, "time_major": False}, "LSTM", {"units": 2}),
        ("DepthwiseConv2D", {"kernel_size": [3, 3], "groups": 1}, "DepthwiseConv2D", {"kernel_size": (3, 3)}),
        ("Embedding", {"input_dim": 3, "output_dim": 2, "input_length": 9}, "Embedding", {"input_dim": 3}),
        ("ZeroPadding2D", {"padding": {"class_name": "__tuple__", "items": [1, 2]}}, "ZeroPadding2D",
         {"padding": ((1, 1), (2, 2))}),
        ("Dense", {"units": 1, "dtype": {"class_name": "Policy", "config": {"name": "mixed_float16"}}}, "Dense",
         {"compute_dtype": "float16"}),
        ("ReLU", {"name": "conv/relu"}, "ReLU", {"name": "conv_relu"}),
    ],
)  # fmt: skip
def test_arguments(kind: str, config: dict[str, Any], new: str, attributes: dict[str, Any]) -> None:
    made = make(kind, **config)
    assert type(made) is getattr(keras.layers, new)
    assert {key: getattr(made, key) for key in attributes} == attributes


@pytest.mark.parametrize(
    ("kind", "config", "argument"),
    [
        ("LSTM", {"units": 3, "time_major": True}, "LSTM that Keras 3 has, got time_major=True"),
        ("DepthwiseConv2D", {"kernel_size": [3, 3], "groups": 2}, "got groups=2"),
        ("ReLU", {"fancy": [1]}, r"ReLU that Keras 3 has, got fancy=\[1\]"),
    ],
)
def test_arguments_that_change_numbers_are_errors(kind: str, config: dict[str, Any], argument: str) -> None:
    with pytest.raises(
        UserError, match=f"it: expected arguments of .*{argument}; build the model without it"
    ):
        make(kind, **config)


def test_hard_sigmoid_is_that_of_keras_2() -> None:
    layer = make("Activation", activation="hard_sigmoid")
    assert layer.activation is hard_sigmoid_of_keras_2
    np.testing.assert_allclose(
        layer(np.array([[-3.0, -1, 0, 2, 3]], np.float32)), [[0, 0.3, 0.5, 0.9, 1]], 1e-6, 1e-6
    )


def test_custom_objects_have_the_last_part_of_their_registered_name() -> None:
    def twice(x: Any) -> Any:
        return 2 * x

    class Mine(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return x

    assert make("Dense", {"twice": twice}, units=1, activation="package>twice").activation is twice
    assert type(make("package>Mine", {"Mine": Mine}, batch_input_shape=[None, 1])) is Mine


def test_layers_within_layers() -> None:
    inner = {"class_name": "LSTM", "config": {"name": "lstm", "units": 2, "time_major": False}}
    assert make("Bidirectional", layer=inner, merge_mode="sum").forward_layer.units == 2
    cells = [{"class_name": "GRUCell", "config": {"name": f"c{index}", "units": 2}} for index in range(2)]
    stacked = make("RNN", cell={"class_name": "StackedRNNCells", "config": {"name": "cells", "cells": cells}})
    assert [cell.reset_after for cell in stacked.cell.cells] == [False, False]
