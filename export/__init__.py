"""Keras model -> ONNX -> proof -> inference. Imports nothing: inference needs no TensorFlow."""
