"""Which layers of a model are fast, why the others are not, and whether the batch goes through it in parts."""

from __future__ import annotations

from dataclasses import dataclass

import keras

from kerasnorm.speed.calls import inner_layers, is_fast
from kerasnorm.speed.threads import is_tensorflow_on_cpu


@dataclass(frozen=True)
class LayerReport:
    """What computes a layer.

    Args:
        name: the name of the layer. A layer of a nested model is named 'MODEL/LAYER'.
        kind: its class.
        reason: why it runs Keras' own code in every call; None if it is fast.
    """

    name: str
    kind: str
    reason: str | None

    @property
    def fast(self) -> bool:
        """Whether the layer is fast."""
        return self.reason is None

    def __str__(self) -> str:
        return f"{self.name} ({self.kind}): {'fast' if self.fast else f'stock, {self.reason}'}"


@dataclass(frozen=True)
class SpeedReport:
    """What computes a model. `str(report)` has a line for the batch and a line for each layer.

    Args:
        parts: the number of parts that a batch is split into; 1 if it stays whole.
        reason: why the batch stays whole; None if it is split.
        layers: a report for each layer, in the order of the model.
    """

    parts: int
    reason: str | None
    layers: tuple[LayerReport, ...]

    def __str__(self) -> str:
        batch = f"in {self.parts} parts" if self.reason is None else f"whole, {self.reason}"
        return "\n".join([f"batch: {batch}", *map(str, self.layers)])


def speed_report(model: keras.Model) -> SpeedReport:
    """Report which layers of a model `speed_up` has made fast, and why the others run Keras' own code.

    A fast layer still runs its own code in a call for which the fast one is not known to be equal, for example in
    inference (BatchNormalization, Dropout), with a mask or with inputs of another dtype.

    Args:
        model: any Keras model.

    Returns:
        The report. `print` it to read it.
    """
    layers = [(name, layer) for name, layer in inner_layers(model) if not isinstance(layer, keras.Model)]
    if not is_tensorflow_on_cpu():
        elsewhere = "Keras does not run on TensorFlow on CPU"
        rows = [LayerReport(name, type(layer).__name__, elsewhere) for name, layer in layers]
        return SpeedReport(1, elsewhere, tuple(rows))
    from kerasnorm.speed.partition import whole_reason  # it imports TensorFlow

    rows = [LayerReport(name, type(layer).__name__, _reason(layer)) for name, layer in layers]
    reason = whole_reason(model)
    if reason is None and not is_fast(model):
        reason = "speed_up has not been called with two parts or more"
    return SpeedReport(1 if reason else model.call.__func__.parts, reason, tuple(rows))


def _reason(layer: keras.layers.Layer) -> str | None:
    """Why a layer runs stock code in every call, as it is now; None if it is fast."""
    from kerasnorm.speed.layers import stock_reason

    reason = stock_reason(layer)
    if reason is None and not is_fast(layer):
        return "speed_up has not been called"
    if reason is None and isinstance(layer, keras.layers.BatchNormalization) and not layer.trainable:
        return "not trainable"
    return reason
