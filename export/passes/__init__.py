"""Passes over the ONNX graph, each an `onnx_ir` pass.

`export.direct` runs them in this order:

fold_affine       moves per-channel scales and shifts into neighbouring convolutions and dense layers
legalize          writes the internal operators (`internal`) that are left as ONNX operators
simplify_layout   removes reshapes and transposes that cancel
pad_into_window   makes a Pad the padding of the convolution or pool that follows
cleanup           removes unused nodes and duplicates, by onnx_ir's own passes

`export.float16` runs another one, after the parity check:

float16_weights   writes large weights in float16, each with a Cast to float32
"""
