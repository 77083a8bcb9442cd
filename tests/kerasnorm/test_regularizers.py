import keras
import numpy as np
import pytest

from kerasnorm import build_cnn, l1l2

L1, L2 = 0.001, 0.0005


@pytest.mark.parametrize("penalize", ["kernels", "all"])
@pytest.mark.parametrize("norm", ["bn", "ln", "gn"])
def test_penalty_of_a_model_follows_the_formula_of_the_reference(norm: str, penalize: str) -> None:
    model = build_cnn(norm, l1=L1, l2=L2, penalize=penalize, dtype="float64")
    rng = np.random.default_rng(0)
    for weight in model.trainable_weights:
        weight.assign(rng.normal(0, 1, weight.shape))
    penalized = [w.numpy() for w in model.trainable_weights if penalize == "all" or w.name == "kernel"]
    assert len(penalized) == (16 if penalize == "all" else 6)
    expected = sum(L1 * np.abs(w).mean() + L2 / 2 * (w**2).sum() for w in penalized)
    np.testing.assert_allclose(float(sum(model.losses)), expected, rtol=1e-6)


def test_gradient_of_l2_is_the_coupled_weight_decay() -> None:
    import tensorflow as tf

    w = tf.Variable(np.random.default_rng(0).normal(size=(3, 3, 2, 4)))
    regularizer = l1l2(L1, L2, w.shape)
    assert regularizer is not None
    with tf.GradientTape() as tape:
        penalty = regularizer(w)
    expected = L2 * w.numpy() + L1 / w.numpy().size * np.sign(w.numpy())
    np.testing.assert_allclose(tape.gradient(penalty, w), expected, rtol=1e-6, atol=1e-12)


def test_l1l2_is_a_stock_regularizer() -> None:
    assert type(l1l2(L1, L2, (10,))) is keras.regularizers.L1L2
    assert l1l2(0, 0, (10,)) is None


@pytest.mark.parametrize("bad", [-0.1, float("nan"), float("inf")])
def test_bad_factors_raise(bad: float) -> None:
    with pytest.raises(ValueError, match="l1: expected 0 or more"):
        l1l2(bad, 0, (1,))
    with pytest.raises(ValueError, match="l2: expected 0 or more"):
        l1l2(0, bad, (1,))
