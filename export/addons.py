"""The former name of `export.keras2`."""

from export.keras2 import is_keras_2, load_model
from export.keras2.filter_response import FilterResponseNormalization

__all__ = ["FilterResponseNormalization", "is_keras_2", "load_model"]
