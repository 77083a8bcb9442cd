"""What Keras 3 calls the layers and arguments of Keras 2."""

from __future__ import annotations

from typing import Any

# Layers under another name in Keras 3; those of packages that compute what a layer of Keras does.
LAYERS: dict[str, str] = {
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "SyncBatchNormalization": "BatchNormalization",
    "LSTMV2": "LSTM",
    "GRUV2": "GRU",
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "Convolution3D": "Conv3D",
    "SeparableConvolution2D": "SeparableConv2D",
    "Convolution2DTranspose": "Conv2DTranspose",
    "Deconvolution2D": "Conv2DTranspose",
    "MaxPool1D": "MaxPooling1D",
    "MaxPool2D": "MaxPooling2D",
    "MaxPool3D": "MaxPooling3D",
    "AvgPool2D": "AveragePooling2D",
    "GlobalMaxPool2D": "GlobalMaxPooling2D",
    "GlobalAvgPool2D": "GlobalAveragePooling2D",
    "ThresholdedReLU": "ReLU",
    "FixedDropout": "Dropout",  # efficientnet, segmentation-models
    "StochasticDepth": "Dropout",  # keras.applications
}
# Arguments under another name in Keras 3, by the layer's name in Keras 2.
ARGUMENTS: dict[str, dict[str, str]] = {
    "LeakyReLU": {"alpha": "negative_slope"},
    "ThresholdedReLU": {"theta": "threshold"},
    "StochasticDepth": {"drop_path_rate": "rate"},
}
# What an argument is where the layer of Keras 2 has no such argument, and Keras 3 has another default.
BEFORE: dict[str, dict[str, Any]] = {
    "GRU": {"reset_after": False},
    "GRUCell": {"reset_after": False},
    "StochasticDepth": {"noise_shape": (None, 1, 1, 1)},
}
# Arguments that Keras 3 does not have and that have no effect in inference.
WITHOUT_EFFECT = {
    *("batch_input_shape", "input_dim", "input_length", "autocast", "implementation", "_mask_value"),
    *("fused", "virtual_batch_size", "renorm_clipping", "renorm_momentum", "adjustment"),
    *("query_shape", "key_shape", "value_shape", "experimental_autocast", "kernel_initializer"),
    *(
        "kernel_regularizer",
        "kernel_constraint",
        "bin_boundaries_are_sorted",
        "input_spec",
        "rng_type",
        "softmax_robust_masking",
    ),
}
# Arguments that Keras 3 does not have, and the values at which they have no effect.
NEUTRAL: dict[str, tuple[Any, ...]] = {
    "time_major": (False,),
    "renorm": (False,),
    "groups": (1,),
    "causal": (False,),
    "ragged": (False,),
    "sparse": (False,),
    "stateful": (False,),
    "trainable": (True, False),
}
