from pathlib import Path

import keras
import numpy as np
import pytest

from export.export import export_model
from export.keras2.filter_response import FilterResponseNormalization
from export.load import load_model
from tests.export.helpers import converted, functional
from tests.export.keras2.helpers import MODELS


@pytest.mark.parametrize("learned_epsilon", [False, True])
def test_outputs_follow_the_formula(learned_epsilon: bool) -> None:
    layer = FilterResponseNormalization(epsilon=-1e-2, learned_epsilon=learned_epsilon)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 5, 6, 3)).astype(np.float32)
    layer.build(x.shape)
    gamma, beta = rng.normal(size=(2, 1, 1, 1, 3)).astype(np.float32)
    layer.gamma.assign(gamma)
    layer.beta.assign(beta)
    epsilon = 1e-2
    if learned_epsilon:
        layer.weights[0].assign([-0.5])
        epsilon += 0.5
    expected = x / np.sqrt((x**2).mean(axis=(1, 2), keepdims=True) + epsilon) * gamma + beta
    np.testing.assert_allclose(layer(x), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("axis", [(1, 2), (-3, -2), (1,), (1, 2, 3)])
def test_lowering(axis: tuple[int, ...]) -> None:
    converted(functional((6, 7, 3), FilterResponseNormalization(axis=axis, learned_epsilon=True)))


def test_config_round_trip() -> None:
    layer = FilterResponseNormalization(
        epsilon=1e-3,
        axis=(1,),
        learned_epsilon=True,
        gamma_regularizer=keras.regularizers.L2(0.5),
        beta_initializer="ones",
        beta_constraint="non_neg",
    )
    config = keras.saving.serialize_keras_object(layer)
    assert config["registered_name"] == "kerasnorm>FilterResponseNormalization"
    new = keras.saving.deserialize_keras_object(config)
    assert new.get_config() == layer.get_config()


def test_model_of_tensorflow_addons_is_exported_by_the_direct_route(tmp_path: Path) -> None:
    model = load_model(MODELS / "cnn.h5")
    assert export_model(model, tmp_path / "cnn.onnx").conversion.route == "direct"
