"""PopulationStatistics: means and variances for the evaluation of batch normalization, from calibration images."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from export.errors import UserError
from kerasnorm.callbacks.batches import Batches, size


class PopulationStatistics(keras.callbacks.Callback):
    """Compute the mean and variance of each BatchNormalization from calibration images, for every evaluation.

    A moving average with momentum 0.9 covers little more than the last ten batches, of augmented images and of
    earlier weights. The paper (Ioffe and Szegedy 2015, arXiv:1502.03167, algorithm 2) uses population statistics
    instead: the mean over batches of their means and variances, with the current weights. This callback computes
    them at the start of each evaluation and at the end of training, from batches in training mode.

    The training is the same as without the callback: the moving averages, the states of random generators and every
    other state of the layers are as before when the next epoch begins. Callbacks at the end of an epoch, such as
    ModelCheckpoint, see the model as it was evaluated; `averages_of_training` gives them the other averages.

    List it after callbacks that change the weights, such as `keras.callbacks.SwapEMAWeights` and `EarlyStopping`. A
    layer that the model calls several times has the mean over its calls. Layers that are frozen, and models without
    BatchNormalization, stay unchanged. Other layers, such as dropout, act as in training.

    Args:
        x: calibration images: training images, not augmented, (n, ...), as the model takes them, or a list or dict of
            arrays for a model with several inputs; or a dataset of batches (tf.data.Dataset, PyDataset), whose labels
            are ignored.
        batch_size: images per batch, for arrays. Images after the last whole batch are not used; a set of fewer
            images than `batch_size` is one batch. The batches of a dataset are weighted by their size.

    Raises:
        UserError: there are no images, the batch size is less than 1, a dataset is endless, or a compiled `call` hides
            a layer's statistics.

    Examples:
        >>> statistics = PopulationStatistics(x_train[:5000])
        >>> model.fit(x_train, y_train, epochs=5, validation_data=(x_test, y_test), callbacks=[statistics])
    """

    def __init__(self, x: Any, batch_size: int = 1000) -> None:
        super().__init__()
        self._batches = Batches(x, batch_size=batch_size, name="PopulationStatistics")
        self._in_training = False
        self._averages: list[tuple[keras.Variable, Any]] = []

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Note that evaluations are part of a training."""
        self._in_training, self._averages = True, []

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Go on with the moving averages of the training."""
        _restore(self._averages)
        self._averages = []

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Calibrate the model for the evaluation."""
        if self._in_training and not self._averages:
            norms = _batch_normalizations(self.model)
            self._averages = _copies(
                [variable for norm in norms for variable in norm.non_trainable_variables]
            )
        self.compute(self.model)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Calibrate the trained model."""
        self._in_training, self._averages = False, []
        self.compute(self.model)

    @contextlib.contextmanager
    def averages_of_training(self) -> Iterator[None]:
        """Give the model the moving averages of the training meanwhile, for a checkpoint to continue from."""
        calibrated = _copies([variable for variable, _ in self._averages])
        _restore(self._averages)
        try:
            yield
        finally:
            _restore(calibrated)

    def compute(self, model: keras.Model) -> None:
        """Set the moving mean and variance of every BatchNormalization of `model`; change nothing else.

        Raises:
            UserError: there is no batch, or a compiled `call` hides a layer's statistics.
        """
        norms = _batch_normalizations(model)
        if not all(norm.built for norm in norms):
            model(next(self._calibration_batches()), training=False)
            norms = [norm for norm in norms if norm.built]
        if not norms:
            return
        state = _copies(model.non_trainable_variables)
        means = [_Mean(norm.moving_mean, norm.path) for norm in norms]
        variances = [_Mean(norm.moving_variance, norm.path) for norm in norms]
        try:
            for x in self._calibration_batches():
                with contextlib.ExitStack() as stack:
                    for norm in norms:
                        stack.enter_context(_plain(norm))
                    for mean in (*means, *variances):
                        stack.enter_context(mean.recording(size(x)))
                    stack.enter_context(_without_random_numbers_of_torch())
                    model(x, training=True)
                _restore(state)
        finally:
            _restore(state)
        for mean in (*means, *variances):
            mean.assign()
        for norm in norms:
            if getattr(norm, "renorm", False):
                norm.moving_stddev.assign(keras.ops.sqrt(norm.moving_variance + norm.epsilon))

    def _calibration_batches(self) -> Iterator[Any]:
        is_empty = True
        for x, _ in self._batches:
            if self._batches.is_dataset or is_empty or size(x) == self._batches.batch_size:
                yield keras.tree.map_structure(_as_fit_does, x)
            is_empty = False
        if is_empty:
            raise UserError("PopulationStatistics: expected images, got none")


class _Mean:
    """The mean of the values that are assigned to a variable while it is recorded, weighted by the batch size."""

    def __init__(self, variable: keras.Variable, layer: str) -> None:
        self.variable, self.layer = variable, layer
        self.value: np.ndarray | None = None
        self.weight = 0

    @contextlib.contextmanager
    def recording(self, weight: int) -> Iterator[None]:
        """Add the values that are assigned instead of assigning them."""

        def record(value: Any) -> None:
            try:
                value = keras.ops.convert_to_numpy(value)
            except Exception as error:
                raise self._hidden() from error
            # In this form, equal weights give the bits of Keras' moving average with the momentum n / (n + 1).
            share = self.weight / (self.weight + weight)
            self.value = value if self.value is None else self.value * share + value * (1 - share)
            self.weight += weight

        before = keras.ops.convert_to_numpy(self.variable)
        self.variable.assign = record
        try:
            yield
        finally:
            del self.variable.assign
        if not np.array_equal(before, keras.ops.convert_to_numpy(self.variable), equal_nan=True):
            raise self._hidden()

    def assign(self) -> None:
        """Set the variable to the mean, if it was assigned at all."""
        if self.value is not None:
            self.variable.assign(self.value)

    def _hidden(self) -> UserError:
        return UserError(
            f"PopulationStatistics: expected a model that runs eagerly, got one whose compiled call hides the "
            f"statistics of layer {self.layer!r}; call its layers outside of tf.function or jax.jit"
        )


# With these a layer assigns the values of the batch, and its output depends on the batch alone: where batch
# renormalization, ours or Keras' own, corrects by the moving averages, the next layers would see values of the past.
_PLAIN = {
    "momentum": 0.0,
    "r_max": 1.0,
    "d_max": 0.0,
    "renorm_clipping": {"rmin": 1.0, "rmax": 1.0, "dmax": 0.0},
}


@contextlib.contextmanager
def _plain(norm: keras.layers.BatchNormalization) -> Iterator[None]:
    """Let a layer, of whichever variant, compute batch normalization without the moving averages."""
    before = {name: getattr(norm, name) for name in _PLAIN if hasattr(norm, name)}
    try:
        for name in before:
            setattr(norm, name, _PLAIN[name])
        yield
    finally:
        for name, value in before.items():
            setattr(norm, name, value)


@contextlib.contextmanager
def _without_random_numbers_of_torch() -> Iterator[None]:
    """Leave PyTorch's generator as it is, which Keras' Dropout draws from where it was given no seed."""
    if keras.backend.backend() != "torch":
        yield
        return
    import torch

    with torch.random.fork_rng():
        yield


def _batch_normalizations(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    layers = model._flatten_layers()
    return [layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization)]


def _copies(variables: list[keras.Variable]) -> list[tuple[keras.Variable, Any]]:
    return [(variable, keras.ops.copy(variable)) for variable in variables]


def _restore(copies: list[tuple[keras.Variable, Any]]) -> None:
    for variable, value in copies:
        variable.assign(value)


def _as_fit_does(x: Any) -> Any:
    """Return float64 arrays in Keras' default precision, and others unchanged."""
    return x.astype(keras.config.floatx()) if isinstance(x, np.ndarray) and x.dtype == np.float64 else x
