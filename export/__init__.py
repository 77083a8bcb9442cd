"""Keras model -> ONNX -> parity check -> inference. Imports nothing: inference needs no TensorFlow."""

__version__ = "0.2.0"  # of both packages; setup.py reads it here
