"""The parity check of a model as the page reads it: all arrays in one file, one after the other, and where they are.

Numbers are little-endian, as in every browser, and each array starts at a multiple of 8 bytes, as typed arrays of
JavaScript need it. Strings are in the record.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from export.evidence import Example

ALIGNMENT = 8


def pack(examples: Sequence[Example]) -> tuple[bytes, list[dict[str, Any]]]:
    """The bytes of all arrays, and a record of each example.

    Of an array the record has its name, dtype and shape, and the `offset` of its first byte, or the `values` of
    strings. Of an output it has the `allowance` besides: a and b, as in `Example.allowances`.
    """
    content = bytearray()
    records = []
    for example in examples:
        inputs = [_array(content, name, array) for name, array in example.inputs.items()]
        outputs = [
            {**_array(content, name, array), "allowance": list(example.allowances[name])}
            for name, array in example.outputs.items()
        ]
        records.append({"kind": example.kind, "inputs": inputs, "outputs": outputs})
    return bytes(content), records


def _array(content: bytearray, name: str, array: np.ndarray) -> dict[str, Any]:
    shape = list(array.shape)
    if array.dtype.kind in "OUS":
        return {"name": name, "dtype": "string", "shape": shape, "values": [str(x) for x in array.ravel()]}
    content.extend(bytes(-len(content) % ALIGNMENT))
    offset = len(content)
    content.extend(array.astype(array.dtype.newbyteorder("<"), order="C").tobytes())
    return {"name": name, "dtype": array.dtype.name, "shape": shape, "offset": offset}
