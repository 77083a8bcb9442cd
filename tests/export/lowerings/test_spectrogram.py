"""Spectrograms, against Keras."""

from typing import Any

import keras
import pytest
from keras import layers as L

from tests.export.helpers import FORMATS, converted, functional

MEL: dict[str, dict[str, Any]] = {
    "default": {},
    "magnitudes": {"power_to_db": False, "mag_exp": 1.0},
    "another window": {
        "sequence_length": 24,
        "window": "hamming",
        "mag_exp": 1.5,
        "ref_power": 2.0,
        "top_db": 20.0,
    },
}


@pytest.mark.parametrize(
    "name", [name if name == "default" else pytest.param(name, marks=pytest.mark.slow) for name in MEL]
)
def test_mel_spectrogram(name: str) -> None:
    options = {"fft_length": 32, "sequence_stride": 16, "num_mel_bins": 6, "sampling_rate": 1000, **MEL[name]}
    for shape in ((100,), (None,)):
        converted(functional(shape, L.MelSpectrogram(**options)), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("mode", ["log", "magnitude", "psd", "real", "imag", "angle", "stft"])
def test_stft_spectrogram(mode: str, data_format: str) -> None:
    shape = (60, 2) if data_format == "channels_last" else (2, 60)
    layer = L.STFTSpectrogram(
        mode, frame_length=12, frame_step=5, fft_length=16, expand_dims=mode != "log", data_format=data_format
    )
    inputs = keras.Input(shape, name="x")
    converted(keras.Model(inputs, layer(inputs)), rtol=1e-3, atol=1e-4)
