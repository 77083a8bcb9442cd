"""Models that Keras 2 saved, with or without layers of tensorflow-addons, read into Keras 3.

    layer of tensorflow-addons      becomes
    GroupNormalization              keras.layers.GroupNormalization
    InstanceNormalization           keras.layers.GroupNormalization, a group for each channel
    FilterResponseNormalization     export.keras2.filter_response.FilterResponseNormalization (Keras has none)
    WeightNormalization(layer)      the layer, with the kernel v / |v| * g
    SpectralNormalization(layer)    the layer, or keras.layers.SpectralNormalization to continue training

A file is read in three steps:

1. `config` brings the configuration to Keras 3's form.
2. `h5`, `keras_v2` or `saved_model` reads the weights, into a model with stand-ins for the layers of
   tensorflow-addons.
3. `addons` copies that model, with the layers above in place of the stand-ins.

`export.load` imports this package only for a file that Keras 3 can't read.
"""

from export.keras2.load import load_model
from export.model_file import is_keras_2

__all__ = ["is_keras_2", "load_model"]
