"""Random numbers in inference: what the graph draws, and that the rest of it is compared."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers as L
from keras import ops

from export.convert import Options, convert
from export.errors import ParityError, UserError
from export.evidence import read_evidence
from export.export import export_model
from export.runtime import open_session
from tests.export.helpers import functional, run

LATENT = 4


class Sampling(L.Layer):
    """As in a variational autoencoder: https://arxiv.org/abs/1312.6114, section 2.4."""

    def __init__(self) -> None:
        super().__init__(name="z")
        self.seed_generator = keras.random.SeedGenerator(1)

    def call(self, inputs: Any) -> Any:
        mean, log_variance = inputs
        noise = keras.random.normal(ops.shape(mean), seed=self.seed_generator)
        return mean + ops.exp(0.5 * log_variance) * noise


def encoder() -> keras.Model:
    inputs = keras.Input((8,), name="x")
    mean, log_variance = L.Dense(LATENT, name="mean")(inputs), L.Dense(LATENT, name="log_variance")(inputs)
    return keras.Model(inputs, [mean, log_variance, Sampling()([mean, log_variance])])


def test_sampling_has_the_mean_and_the_variance(tmp_path: Path) -> None:
    done = export_model(encoder(), tmp_path / "m.onnx", Options(route="direct"), quick=True)
    assert "random numbers were replaced by fixed ones, in Keras and in the graph" in done.parity.notes
    x = np.repeat(np.random.default_rng(0).normal(size=(1, 8)).astype("float32"), 20_000, axis=0)
    runtime = open_session(done.path)
    mean, log_variance, z = runtime.run(None, {"x": x})
    deviation = np.exp(0.5 * log_variance[0])
    np.testing.assert_allclose(z.mean(0), mean[0], rtol=0, atol=5 * deviation.max() / np.sqrt(len(x)))
    np.testing.assert_allclose(z.std(0), deviation, rtol=0.03, atol=0)
    assert np.abs(runtime.run(None, {"x": x})[2] - z).max() > 0.1  # other numbers in each run
    assert abs(np.corrcoef(z, rowvar=False) - np.eye(LATENT)).max() < 0.05


def test_two_draws_differ() -> None:
    class Twice(L.Layer):
        def call(self, x: Any) -> Any:
            return keras.random.uniform(ops.shape(x)) - keras.random.uniform(ops.shape(x))

    (difference,) = run(convert(functional((3,), Twice())), np.zeros((5, 3), "float32"))
    assert np.abs(difference).min() > 0


def test_what_is_computed_of_random_numbers_is_compared(tmp_path: Path) -> None:
    class Wrong(Sampling):
        """In a graph, another computation."""

        def call(self, inputs: Any) -> Any:
            z = super().call(inputs)
            return z if isinstance(z, keras.KerasTensor) else z * 1.01

    x = inputs = keras.Input((8,))
    z = Wrong()([L.Dense(LATENT)(x), L.Dense(LATENT)(x)])
    model = keras.Model(inputs, L.Dense(3, activation="softmax")(z))
    with pytest.raises(ParityError, match="expected the ONNX graph to compute what Keras computes"):
        export_model(model, tmp_path / "m.onnx", Options(route="direct"), quick=True)
    assert list(tmp_path.iterdir()) == []


def test_evidence_has_the_outputs_that_are_not_random(tmp_path: Path) -> None:
    export_model(encoder(), tmp_path / "m.onnx", quick=True, check=tmp_path / "m.check.zip")
    examples, _ = read_evidence(tmp_path / "m.check.zip")
    assert [list(example.outputs) for example in examples] == [["mean", "log_variance"]] * len(examples)
    assert examples


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda shape: keras.random.gamma(shape, 2.0), "normal and the uniform distribution alone"),
        (
            lambda shape: keras.random.normal(shape, seed=3),
            "normal with a fixed seed, whose numbers ONNX doesn't have",
        ),
    ],
)
def test_other_random_numbers_are_unsupported(draw: Any, message: str) -> None:
    class Draws(L.Layer):
        def call(self, x: Any) -> Any:
            return x * draw(ops.shape(x))

    with pytest.raises(UserError, match=message):
        convert(functional((3,), Draws()), Options(route="direct"))
