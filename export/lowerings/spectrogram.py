"""Layers that turn a sound into an image of its frequencies."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from export.builder import Builder, Tensor
from export.lowerings.registry import register_lowering

layers, ops = keras.layers, keras.ops


@register_lowering(layers.MelSpectrogram)
def lower_mel_spectrogram(g: Builder, layer: Any, x: Tensor) -> Tensor:
    """Short-time transforms, their magnitudes in bands of the mel scale, in decibels."""
    bands = ops.convert_to_numpy(
        layer.linear_to_mel_weight_matrix(
            num_mel_bins=layer.num_mel_bins,
            num_spectrogram_bins=layer.fft_length // 2 + 1,
            sampling_rate=layer.sampling_rate,
            lower_edge_hertz=layer.min_freq,
            upper_edge_hertz=layer.max_freq,
        )
    )

    def spectrogram(signal: Any) -> Any:
        real, imaginary = ops.stft(
            signal, layer.sequence_length, layer.sequence_stride, layer.fft_length, layer.window
        )
        energy = ops.square(real) + ops.square(imaginary)
        magnitudes = energy if layer.mag_exp == 2 else ops.power(ops.sqrt(energy), layer.mag_exp)
        mel = ops.matmul(magnitudes, bands)
        if layer.power_to_db:
            mel = _decibels(layer, mel)
        return ops.swapaxes(mel, -1, -2)

    return g.lower(spectrogram, x)


def _decibels(layer: Any, power: Any) -> Any:
    """10 log10(power / reference), at most `top_db` below the loudest one of the batch."""
    reference = 10 * np.log10(max(abs(layer.ref_power), layer.min_power))
    decibels = 10.0 * ops.log10(ops.maximum(power, layer.min_power)) - float(reference)
    return ops.maximum(decibels, ops.max(decibels) - layer.top_db)
