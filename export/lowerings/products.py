"""Products of tensors: inner, outer, cross and Kronecker products, and contractions over chosen axes."""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence

import keras
from keras import ops

from export.errors import Unsupported
from export.lowerings.composition import Symbol, composed
from export.lowerings.registry import register_operation


def _rank(x: Symbol) -> int:
    return len(getattr(x, "shape", ()))


def contract(x1: Symbol, x2: Symbol, axes1: Sequence[int], axes2: Sequence[int]) -> Symbol:
    """The sum of products over pairs of axes; the other axes of `x1` come first."""
    rank1, rank2 = len(x1.shape), len(x2.shape)
    first = string.ascii_letters[:rank1]
    second = list(string.ascii_letters[rank1 : rank1 + rank2])
    for axis1, axis2 in zip(axes1, axes2, strict=True):
        second[axis2] = first[axis1 % rank1]
    kept = [letter for letter in (*first, *second) if (letter in first) != (letter in second)]
    return ops.einsum(f"{first},{''.join(second)}->{''.join(kept)}", x1, x2)


def tensordot(operation: keras.Operation, x1: Symbol, x2: Symbol) -> Symbol:
    """The sum of products over the last axes of `x1` and the first of `x2`, or over pairs of axes."""
    axes = operation.axes
    if isinstance(axes, int):
        rank = len(x1.shape)
        return contract(x1, x2, range(rank - axes, rank), range(axes))
    pairs = [[one] if isinstance(one, int) else list(one) for one in axes]
    return contract(x1, x2, *pairs)


def dot(operation: keras.Operation, x1: Symbol, x2: Symbol) -> Symbol:
    """The sum of products over the last axis of `x1` and the last but one of `x2`."""
    ranks = _rank(x1), _rank(x2)
    if 0 in ranks:
        return ops.multiply(x1, x2)
    if ranks[1] == 2:
        return ops.matmul(x1, x2)
    return contract(x1, x2, [-1], [max(ranks[1] - 2, 0)])


def inner(operation: keras.Operation, x1: Symbol, x2: Symbol) -> Symbol:
    """The sum of products over the last axes."""
    if not _rank(x1) or not _rank(x2):
        return ops.multiply(x1, x2)
    return contract(x1, x2, [-1], [len(x2.shape) - 1])


def cross(operation: keras.Operation, x1: Symbol, x2: Symbol) -> Symbol:
    """The cross product of vectors of 2 or 3 numbers; of 2 and 2 numbers, its last number."""
    x1, x2 = ops.moveaxis(x1, operation.axisa, -1), ops.moveaxis(x2, operation.axisb, -1)
    sizes = x1.shape[-1], x2.shape[-1]
    if None in sizes:
        raise Unsupported("a cross product along a dynamic dimension")
    a, b = ([x[..., index] for index in range(size)] for x, size in zip((x1, x2), sizes, strict=True))
    last = a[0] * b[1] - a[1] * b[0]
    if sizes == (2, 2):
        return last
    if sizes[0] == 2:
        first, second = a[1] * b[2], -(a[0] * b[2])
    elif sizes[1] == 2:
        first, second = -(a[2] * b[1]), a[2] * b[0]
    else:
        first, second = a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2]
    return ops.stack([first, second, last], axis=operation.axisc)


def kron(operation: keras.Operation, x1: Symbol, x2: Symbol) -> Symbol:
    """The Kronecker product of tensors of the same rank."""
    rank = len(x1.shape)
    if len(x2.shape) != rank:
        raise Unsupported(f"a Kronecker product of tensors of {rank} and {len(x2.shape)} axes")
    sizes = [None if None in pair else pair[0] * pair[1] for pair in zip(x1.shape, x2.shape, strict=True)]
    if sizes.count(None) > 1:
        raise Unsupported("a Kronecker product with several dynamic dimensions")
    spread = ops.expand_dims(x1, [2 * axis + 1 for axis in range(rank)])
    product = spread * ops.expand_dims(x2, [2 * axis for axis in range(rank)])
    return ops.reshape(product, [-1 if size is None else size for size in sizes])


COMPOSED: dict[str, Callable[..., Symbol]] = {
    "cross": cross,
    "dot": dot,
    "inner": inner,
    "kron": kron,
    "outer": lambda _, x1, x2: ops.multiply(ops.reshape(x1, (-1, 1)), ops.reshape(x2, (1, -1))),
    "tensordot": tensordot,
    "vdot": lambda _, x1, x2: ops.sum(ops.multiply(ops.reshape(x1, (-1,)), ops.reshape(x2, (-1,)))),
}
for _name, _function in COMPOSED.items():
    register_operation(_name, optional=True)(composed(_function))
