"""What functions of keras.ops do while a layer's call is traced."""

import threading
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from export.convert import Options, convert
from export.errors import UserError
from export.trace import symbolic_sizes
from tests.export.helpers import converted, kinds, random_array, run
from tests.export.test_dynamic_sizes import Custom


def test_functions_are_restored() -> None:
    original = (ops.shape, ops.reshape, ops.numpy.zeros, keras.KerasTensor.__getitem__)
    with symbolic_sizes():
        assert ops.shape is not original[0]
    assert (ops.shape, ops.reshape, ops.numpy.zeros, keras.KerasTensor.__getitem__) == original


def test_other_threads_see_the_original_functions() -> None:
    found: list[Any] = []
    with symbolic_sizes():
        thread = threading.Thread(target=lambda: found.append(ops.shape(keras.Input((4,)))))
        thread.start()
        thread.join(30)
        assert ops.shape(np.zeros((2, 3))) == (2, 3)
        assert isinstance(ops.shape(keras.Input((4,)))[0], keras.KerasTensor)
    assert found == [(None, 4)]


# Branches


@pytest.mark.parametrize("sign", [1, -1])
def test_cond_selects_a_branch(sign: int) -> None:
    x = keras.Input((4,), name="x")
    layer = Custom(
        lambda layer, x: ops.cond(sign * ops.max(x) > 100, lambda: (x, None), lambda: (-x, None))[0]
    )
    (got,) = run(converted(keras.Model(x, layer(x))), 200 * np.ones((2, 4), "float32"))
    np.testing.assert_array_equal(got, 200.0 * sign)


@pytest.mark.parametrize("sign", [1, -1])
def test_cond_with_branches_of_other_sizes(sign: int) -> None:
    x = keras.Input((None, 6), name="x")
    layer = Custom(lambda layer, x: ops.cond(sign * ops.max(x) > 0, lambda: x[:, :1] * 2.0, lambda: x))
    layer.compute_output_shape = lambda shape: (shape[0], None, 6)
    conversion = convert(keras.Model(x, layer(x)), Options(route="direct"))
    array = 1 + np.abs(random_array(2, 3, 6))
    np.testing.assert_array_equal(run(conversion, array)[0], array[:, :1] * 2 if sign == 1 else array)


def test_cond_with_branches_of_several_ranks_is_unsupported() -> None:
    x = keras.Input((3, 6), name="x")
    layer = Custom(lambda layer, x: ops.cond(ops.max(x) > 0, lambda: x[:, 0], lambda: x))
    layer.compute_output_shape = lambda shape: shape
    with pytest.raises(UserError, match=r"ops\.cond with branches of several ranks"):
        converted(keras.Model(x, layer(x)))


def test_switch_is_unsupported() -> None:
    x = keras.Input((6,), name="x")
    layer = Custom(lambda layer, x: ops.switch(0, [lambda one: x, lambda one: -x], x))
    with pytest.raises(UserError, match=r"ops\.switch is unsupported; use ops\.where"):
        converted(keras.Model(x, layer(x)))


# Subscripts


@pytest.mark.parametrize("key", [slice(1), slice(None, None, -1), None, Ellipsis])
def test_keys_that_keras_does_not_record(key: Any) -> None:
    x = keras.Input((4,), batch_size=3, name="x")
    layer = Custom(lambda layer, x: x[key] * 2.0)
    array = random_array(3, 4)
    (got,) = run(converted(keras.Model(x, layer(x))), array)
    np.testing.assert_array_equal(got, array[key] * 2.0)


def test_numbers_of_numpy_on_the_left() -> None:
    x = keras.Input((4,), name="x")
    layer = Custom(lambda layer, x: np.float32(3) * x + np.arange(4, dtype="float32") * x)
    (got,) = run(converted(keras.Model(x, layer(x))), np.ones((2, 4), "float32"))
    np.testing.assert_array_equal(got, [[3, 4, 5, 6]] * 2)
    assert not hasattr(keras.KerasTensor, "__array_ufunc__")


@pytest.mark.parametrize(
    "function",
    [
        lambda layer, x: layer.constant * x - layer.constant / (x + 5.0),
        lambda layer, x: ops.where(layer.constant < x, x, layer.weight**2.0 + x),
        lambda layer, x: ops.cast((layer.weight >= x) & (layer.constant != 1.0), "float32"),
        lambda layer, x: layer.constant // x,
    ],
)
def test_constants_and_weights_on_the_left(function: Any) -> None:
    x = keras.Input((4,), name="x")
    layer = Custom(function)
    layer.constant = ops.convert_to_tensor([0.0, 1.0, 2.0, 3.0])
    layer.weight = layer.add_weight(shape=(4,), name="weight")
    model = keras.Model(x, layer(x))
    array = random_array(3, 4)
    np.testing.assert_allclose(run(converted(model), array)[0], model(array), rtol=1e-6, atol=1e-6)


# Branches by the backend


def test_branch_for_another_backend_is_traced_where_that_of_tensorflow_fails() -> None:
    import tensorflow as tf

    def gather(layer: Any, x: Any) -> Any:
        if keras.config.backend() == "tensorflow":
            return tf.gather(x, [[1], [0]], axis=1)
        return ops.take(x, np.array([[1], [0]]), axis=1)

    x = keras.Input((4,), name="x")
    (got,) = run(converted(keras.Model(x, Custom(gather)(x))), random_array(2, 4))
    np.testing.assert_array_equal(got[:, :, 0], random_array(2, 4)[:, [1, 0]])
    assert keras.config.backend() == keras.backend.backend() == "tensorflow"


def test_message_tells_the_line() -> None:
    import tensorflow as tf

    x = keras.Input((4,), name="x")
    with pytest.raises(
        UserError, match=r"cannot be used as input .* \(test_trace\.py, line \d+\); add a low"
    ):
        converted(keras.Model(x, Custom(lambda layer, x: tf.gather(x, [1], axis=1))(x)))


# Losses, einsum


def test_a_loss_is_left_out() -> None:
    def call(layer: Any, x: Any) -> Any:
        layer.add_loss(ops.mean(x**2))
        layer.add_loss([0.5 * ops.sum(x)])
        return 2 * x

    x = keras.Input((None, 6), name="x")
    assert kinds(converted(keras.Model(x, Custom(call)(x)))) == ["Mul"]


@pytest.mark.parametrize("equation", ["bNd, bMd -> bNM", "btd,bTd->btT", "bnd,bmd->bnm"])
def test_letters_of_an_einsum(equation: str) -> None:
    x = keras.Input((None, 6), name="x")
    converted(keras.Model(x, Custom(lambda layer, x: ops.einsum(equation, x, 2 * x))(x)))


# Sizes that Keras has to know, or does not tell


@pytest.mark.parametrize(
    "function",
    [
        lambda layer, x: ops.fft2((x, ops.sin(x)))[0],
        lambda layer, x: ops.fft2((ops.swapaxes(x, 1, 2), ops.zeros_like(ops.swapaxes(x, 1, 2))))[1],
        lambda layer, x: ops.expand_dims(x, ops.ndim(x) - 1),
        lambda layer, x: ops.clip(x, -1.0, ops.mean(x, axis=1, keepdims=True)),
    ],
    ids=["fft2", "fft2, other axis", "ndim", "clip"],
)
def test_dynamic_size(function: Any) -> None:
    x = keras.Input((None, 6), name="x")
    layer = Custom(function)
    converted(keras.Model(x, layer(x)), rtol=1e-3, atol=1e-4)
