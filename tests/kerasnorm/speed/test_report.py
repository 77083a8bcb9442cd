"""What the report says about a model."""

from typing import Any

import keras
import pytest
import tensorflow as tf

from kerasnorm.speed import LayerReport, restore, speed_report, speed_up


def build(*middle: Any) -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((6, 4)),
            keras.layers.BatchNormalization(name="norm"),
            *middle,
            keras.layers.Dropout(0.01, name="dropout"),
        ]
    )


def test_report_has_a_line_for_the_batch_and_each_layer() -> None:
    assert str(speed_report(speed_up(build(keras.layers.Dense(3, name="dense")), 2))) == (
        "batch: in 2 parts\n"
        "norm (BatchNormalization): fast\n"
        "dense (Dense): stock, no faster code for this class\n"
        "dropout (Dropout): stock, rate 0.01 is not between 1/32 and 31/32"
    )


def test_report_names_the_layer_that_keeps_the_batch_whole() -> None:
    report = speed_report(speed_up(build(keras.layers.Lambda(lambda x: x, name="any")), 2))
    assert report.parts == 1
    assert report.reason == "any (Lambda) may mix the images of a batch"
    assert [layer.fast for layer in report.layers] == [True, False, False]


def test_report_names_the_layer_of_a_nested_model() -> None:
    inputs = keras.Input((6, 4))
    inner = build(keras.layers.Softmax(axis=0, name="softmax"))
    inner.name = "inner"
    report = speed_report(speed_up(keras.Model(inputs, inner(inputs)), 2))
    assert report.layers[1] == LayerReport("inner/norm", "BatchNormalization", None)
    assert report.reason == (
        "inner (Sequential) contains a model that takes its batch whole: "
        "softmax (Softmax) needs the whole batch: its axis is that of the batch"
    )


def test_report_follows_the_state_of_the_model() -> None:
    model = build()
    assert speed_report(model).layers[0].reason == "speed_up has not been called"
    speed_up(model)
    assert speed_report(model).layers[0].fast
    assert speed_report(model).reason == "speed_up has not been called with two parts or more"
    model.layers[0].trainable = False
    assert speed_report(model).layers[0].reason == "not trainable"
    assert not any(layer.fast for layer in speed_report(restore(model)).layers)


def test_report_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["GPU:0"] if kind == "GPU" else [])
    report = speed_report(speed_up(build(), 2))
    assert report.reason == "Keras does not run on TensorFlow on CPU"
    assert {layer.reason for layer in report.layers} == {report.reason}
