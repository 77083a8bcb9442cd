"""Keras model -> ONNX -> parity check -> inference. Imports nothing: inference needs no TensorFlow."""
