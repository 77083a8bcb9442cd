"""Quantized Dense and EinsumDense layers, in each mode, against Keras."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers as L

from export.convert import Conversion, Options, convert
from export.load import load_model
from export.parity import check_parity
from tests.export.helpers import functional, kinds, random_array, randomize

NEW = hasattr(keras.quantizers, "Int4QuantizationConfig")
new_keras = pytest.mark.skipif(not NEW, reason="needs a version of Keras with configurations of quantization")


def quantized(model: keras.Model, mode: str | None = None, **config: Any) -> keras.Model:
    """The model, quantized by mode or by the options of a configuration."""
    how: dict[str, Any] = {"mode": mode}
    if config:
        bits = config.pop("bits")
        how = {"config": getattr(keras.quantizers, f"Int{bits}QuantizationConfig")(**config)}
    with warnings.catch_warnings():  # of layers that can't be quantized
        warnings.simplefilter("ignore")
        model.quantize(**how)
    return model


def checked(model: keras.Model) -> Conversion:
    """Convert by the direct route; the check is as strict as of other models."""
    conversion = convert(model, Options(route="direct", input_range=(-2.0, 2.0)))
    parity = check_parity(model, conversion, batches=(1, 32), quick=True)
    assert parity.passed, parity.table()
    assert parity.oracle == "Keras in float64"
    assert max(d.allowance / (d.size or 1) for d in parity.differences if d.data == "batch 32") < 1e-4
    return conversion


def dense() -> keras.Model:
    return functional((37,), L.Dense(24, activation="relu"), L.Dense(5, activation="softmax"))


def sequence() -> keras.Model:
    return functional((5, 12), L.Dense(9, activation="tanh"), L.Dense(7, use_bias=False))


def heads() -> keras.Model:
    return functional(
        (5, 12),
        L.EinsumDense("abc,cde->abde", output_shape=(None, 4, 6), bias_axes="de"),
        L.EinsumDense("abde,dec->abc", output_shape=(None, 7), bias_axes="c"),
    )


def permuted() -> keras.Model:
    return functional((5, 12), L.EinsumDense("abc,cd->adb", output_shape=(8, 5)))


def summed_over_positions() -> keras.Model:
    return functional((5, 12), L.EinsumDense("abc,cd->ad", output_shape=(9,)))


def kernel_for_each_position() -> keras.Model:
    return functional((5, 12), L.EinsumDense("abc,bcd->abd", output_shape=(5, 9)))


ABS_MAX: Any = keras.quantizers.AbsMaxQuantizer(axis=-1)
MODES: dict[str, dict[str, Any]] = {"int8": {"mode": "int8"}, "float8": {"mode": "float8"}}
if NEW:
    MODES |= {
        "int8, weights alone": {"bits": 8, "activation_quantizer": None},
        "int4": {"mode": "int4"},
        "int4 in blocks": {"bits": 4, "block_size": 5},
        "int4 by channel": {"bits": 4, "block_size": -1},
        "int4 with inputs": {"bits": 4, "block_size": None, "activation_quantizer": ABS_MAX},
    }


@pytest.mark.parametrize("mode", MODES)
def test_modes(mode: str) -> None:
    checked(quantized(dense(), **MODES[mode]))


def test_einsum_dense() -> None:
    checked(quantized(heads(), "int8"))


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_degenerate_inputs(mode: str) -> None:
    model = quantized(dense(), **MODES[mode])
    assert check_parity(model, convert(model)).passed


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("make", [heads, sequence, permuted, kernel_for_each_position, summed_over_positions])
def test_other_layers(make: Callable[[], keras.Model], mode: str) -> None:
    checked(quantized(make(), **MODES[mode]))


def test_integers_are_multiplied_as_unsigned_ones() -> None:
    # onnxruntime's product of uint8 and int8 saturates on processors without VNNI.
    conversion = convert(quantized(heads(), "int8"), Options(route="direct"))
    constants = {x.name: x for x in conversion.model.graph.initializer}
    nodes = [node for node in conversion.model.graph.node if node.op_type == "MatMulInteger"]
    assert [len(node.input) for node in nodes] == [4, 4]
    assert "Einsum" not in kinds(conversion)
    assert {x.data_type for name, x in constants.items() if "kernel" in name} == {2}  # uint8


@new_keras
def test_a_file_holds_four_bits_for_a_weight() -> None:
    model = functional((256,), L.Dense(200, use_bias=False))
    sizes = [convert(model).model.ByteSize()]
    sizes.append(convert(quantized(model, "int4")).model.ByteSize())
    assert sizes[1] < sizes[0] / 6


@new_keras
def test_range_of_a_quantizer() -> None:
    inputs = keras.quantizers.AbsMaxQuantizer(value_range=(-50, 100), epsilon=1e-3)
    model = quantized(dense(), bits=8, activation_quantizer=inputs)
    assert "Clip" in kinds(checked(model))


@pytest.mark.parametrize("policy", ["int8_from_float32", "float8_from_float32"])
def test_policies(policy: str) -> None:
    checked(functional((13,), L.Dense(9, activation="relu", dtype=policy), L.Dense(4)))


def test_lora() -> None:
    model = quantized(dense(), "int8")
    for layer in model.layers[1:]:
        layer.enable_lora(2)
    for index, weight in enumerate(model.weights):
        if "lora" in weight.name:
            weight.assign(0.3 * random_array(*weight.shape, seed=index))
    checked(model)


@pytest.mark.slow
def test_multi_head_attention() -> None:
    x = keras.Input((6, 16))
    checked(quantized(randomize(keras.Model(x, L.MultiHeadAttention(2, 8)(x, x))), "int8"))


def test_a_file_of_a_quantized_model(tmp_path: Path) -> None:
    model = quantized(dense(), "int8")
    model.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    x = random_array(3, 37)
    np.testing.assert_array_equal(loaded(x), model(x))
    checked(loaded)


@pytest.mark.skipif(not hasattr(keras.quantizers, "AWQConfig"), reason="needs a version of Keras with awq")
@pytest.mark.parametrize(("mode", "bits"), [("gptq", 4), ("gptq", 3), ("gptq", 8), ("awq", 4)])
def test_gptq_and_awq(mode: str, bits: int) -> None:
    model = functional(
        (5, 20),
        L.Dense(17, activation="tanh"),
        L.EinsumDense("abc,cde->abde", output_shape=(None, 3, 4), bias_axes="de"),
    )
    options: dict[str, Any] = {"dataset": None, "tokenizer": None, "group_size": 8}
    rng = np.random.default_rng(0)
    for layer in model.layers[1:]:
        if mode == "gptq":
            config = keras.quantizers.GPTQConfig(weight_bits=bits, **options)
        else:
            config = keras.quantizers.AWQConfig(**options)
        layer.quantize(mode, config=config)
        convert(model, Options(route="direct"))  # not calibrated: the kernel is still in float32
        codes, groups = layer.quantized_kernel, layer.g_idx
        codes.assign(rng.integers(0, 2**bits if bits == 3 else 256, codes.shape))
        layer.kernel_scale.assign(rng.uniform(0.01, 0.05, layer.kernel_scale.shape))
        layer.kernel_zero.assign(rng.integers(0, 15, layer.kernel_zero.shape))
        groups.assign(rng.permutation(np.arange(groups.shape[0]) // 8))
        if mode == "awq":
            layer.awq_scales.assign(rng.uniform(0.5, 2, layer.awq_scales.shape))
        setattr(layer, f"is_{mode}_calibrated", True)
    checked(model)


@pytest.mark.slow
@new_keras
def test_another_quantizer_of_inputs_is_converted_by_tf2onnx() -> None:
    class Halves(keras.quantizers.AbsMaxQuantizer):
        pass

    model = quantized(dense(), bits=8, activation_quantizer=Halves())
    conversion = convert(model)
    assert conversion.route == "tf2onnx"
    assert "its inputs are quantized by Halves, not by AbsMaxQuantizer to int8" in conversion.reason


def test_a_wrong_scale_is_found() -> None:
    model = quantized(dense(), "int8")
    conversion = convert(model, Options(route="direct"))
    layer = model.layers[1]
    layer.kernel_scale.assign(layer.kernel_scale * np.float32(1.001))
    assert not check_parity(model, conversion).passed
