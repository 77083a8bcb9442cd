"""Values repeated along axes."""

from __future__ import annotations

import keras
import numpy as np
import onnx_ir as ir

from export.builder import Builder, Tensor
from export.errors import Unsupported
from export.lowerings.operands import Argument, as_int64, as_tensor
from export.lowerings.registry import operation_classes, register_lowering, register_operation
from export.lowerings.shape import ravel
from export.lowerings.sizes import Size, product, reshape_to, size_of, size_vector, sizes_of

layers = keras.layers


@register_lowering(layers.RepeatVector)
def lower_repeat_vector(g: Builder, layer: keras.layers.RepeatVector, x: Tensor) -> Tensor:
    """(N, C) repeated to (N, n, C)."""
    value = g.op("Unsqueeze", x.value, as_int64(1))
    return g.result(g.op("Tile", value, as_int64(1, layer.n, 1)))


@register_operation("broadcast_to")
def lower_broadcast_to(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
    """Axes of size 1 repeated to a shape."""
    shape = g.output_shapes[0]
    if any(
        size is None and given is not None for size, given in zip(shape[::-1], x.shape[::-1], strict=False)
    ):
        raise Unsupported(f"a broadcast of {x.shape} to {shape}, whose size is not known")
    # Expand leaves an axis alone where it is given 1, so a dynamic dimension of the tensor itself is kept.
    sizes = as_int64(*(1 if size is None else size for size in shape))
    return g.result(g.op("Expand", g.keras_layout(x).value, sizes))


@register_operation("tile")
def lower_tile(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
    """The whole tensor repeated along axes."""
    x, rank = g.keras_layout(x), len(g.output_shapes[0])
    repeats = [operation.repeats] if isinstance(operation.repeats, int) else list(operation.repeats)
    value = x.value
    if rank > x.rank:
        value = g.op("Unsqueeze", value, as_int64(*range(rank - x.rank)))
    return g.result(g.op("Tile", value, as_int64(*[1] * (rank - len(repeats)), *map(int, repeats))))


@register_operation("repeat")
def lower_repeat(g: Builder, operation: keras.Operation, x: Tensor) -> Tensor:
    """Each element of an axis repeated; by default, each element of the tensor."""
    repeats = [int(number) for number in np.ravel(np.asarray(operation.repeats))]
    if operation.axis is None:
        x = ravel(g, x)
    axis = 0 if operation.axis is None else operation.axis % x.rank
    size = x.shape[axis]
    if size is not None:
        indices = g.constant(np.repeat(np.arange(size, dtype=np.int64), repeats))
        return g.result(g.op("Gather", x.value, indices, axis=g.axis(x, axis)), x)
    if len(repeats) > 1:
        raise Unsupported("a repeat of a dynamic dimension by several numbers")
    return g.result(repeat_equally(g, x, axis, repeats[0]))


def repeat_equally(g: Builder, x: Tensor, axis: int, number: Size) -> ir.Value:
    """Each element of an axis repeated equally often: (n, C) to (n, number, C) to (n number, C)."""
    x = g.keras_layout(x)
    value = g.op("Unsqueeze", x.value, as_int64(axis + 1))
    value = g.op("Expand", value, size_vector(g, [number, *[1] * (x.rank - axis - 1)]))
    following = [size_of(g, x, one) for one in range(axis + 1, x.rank)]
    return reshape_to(g, value, [*[0] * axis, -1, *following])


# Keras declares float32 for some grids of integers.
@register_lowering(*operation_classes("meshgrid"), any_layout=True, own_outputs=True)
def lower_meshgrid(g: Builder, operation: keras.Operation, *given: Argument) -> list[Tensor]:
    """The coordinates of a grid: each vector along its own axis, repeated along the others."""
    vectors = [as_tensor(g, x, dtype) for x, dtype in zip(given, g.output_dtypes, strict=True)]
    sizes = [product(g, *sizes_of(g, x)) for x in vectors]
    axes = list(range(len(vectors)))
    if operation.indexing == "xy":
        axes[:2], sizes[:2] = axes[1::-1], sizes[1::-1]
    grid = size_vector(g, sizes)
    outputs = []
    for axis, x, shape in zip(axes, vectors, g.output_shapes, strict=True):
        column = g.op("Reshape", g.keras_layout(x).value, as_int64(-1, *[1] * (len(vectors) - axis - 1)))
        outputs.append(g.tensor(g.op("Expand", column, grid), shape, dtype=x.dtype))
    return outputs
