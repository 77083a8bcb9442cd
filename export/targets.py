"""TARGETS: the runtimes that a graph can be made for, and what each of them has.

The entries of onnxruntime-web and OpenVINO are what benchmarks/targets.py found when it ran models there. That of
TensorRT is its documentation's: https://github.com/onnx/onnx-tensorrt/blob/main/docs/operators.md
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import TensorProto

from export.errors import UserError

LOWEST_OPSET, HIGHEST_OPSET = 13, 23
STANDARD, CLASSICAL = "", "ai.onnx.ml"  # domains; the second one has the tables of lookups

# What an attribute of an operator may be; of a list, each of its values.
Allowed = Mapping[tuple[str, str], tuple[str | int, ...]]


@dataclass(frozen=True)
class Target:
    """A runtime that a graph is made for.

    Attributes:
        title: the runtime as people call it.
        opset: version of the standard operators, unless another is asked for or a layer needs a higher one.
        highest_opset: the highest version that it reads.
        lowest_opset: the lowest version that it computes rightly.
        portable: keep the operator that says what is meant, even where another form is faster on onnxruntime's CPU
            provider.
        domains: the domains whose operators it has.
        missing: standard operators that it doesn't have.
        allowed: what attributes may be, by operator and attribute, where it doesn't have all.
        without: inputs that it ignores or gets wrong, by operator: the position and what it is. The lengths of
            sequences are replaced where they can be (`passes/drop_lengths.py`).
        joins_directions: whether it makes one of two recurrent operators that go over a sequence in opposite
            directions, which it gets wrong.
        missing_types: types that its inputs and outputs can't have.
        integer_bits: how many bits of an integer it calculates with.
    """

    title: str
    opset: int = 17
    highest_opset: int = HIGHEST_OPSET
    lowest_opset: int = LOWEST_OPSET
    portable: bool = False
    domains: frozenset[str] = frozenset((STANDARD, CLASSICAL))
    missing: frozenset[str] = frozenset()
    allowed: Allowed = field(default_factory=dict)
    without: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    joins_directions: bool = False
    missing_types: frozenset[int] = frozenset()
    integer_bits: int = 64


_SEQUENCES = (
    *("ConcatFromSequence", "Optional", "OptionalGetElement", "OptionalHasElement", "SequenceAt"),
    *(
        "SequenceConstruct",
        "SequenceEmpty",
        "SequenceErase",
        "SequenceInsert",
        "SequenceLength",
        "SequenceMap",
    ),
)
_RECURRENT = ("LSTM", "GRU", "RNN")
_STRINGS = ("RegexFullMatch", "StringConcat", "StringNormalizer", "StringSplit", "TfIdfVectorizer")

TARGETS: dict[str, Target] = {
    "onnxruntime": Target("onnxruntime"),
    "onnxruntime-web": Target("onnxruntime-web"),
    "openvino": Target(
        "OpenVINO",
        opset=18,
        lowest_opset=18,  # of a ReduceLogSumExp with an attribute `axes`, it reduces all axes
        domains=frozenset((STANDARD,)),
        missing=frozenset(
            (
                *_SEQUENCES,
                *_STRINGS,
                "Bernoulli",
                "DeformConv",
                "Det",
                "ImageDecoder",
                "MaxUnpool",
                "MelWeightMatrix",
            )
        ),
        without=dict.fromkeys(_RECURRENT, (4, "lengths of sequences")),
        joins_directions=True,
        missing_types=frozenset((TensorProto.STRING,)),
        integer_bits=32,
    ),
    "tensorrt": Target(
        "TensorRT",
        highest_opset=20,
        domains=frozenset((STANDARD,)),
        missing=frozenset(
            (
                *_SEQUENCES,
                *_STRINGS,
                *(
                    "AffineGrid",
                    "Bernoulli",
                    "BitShift",
                    "BitwiseAnd",
                    "BitwiseNot",
                    "BitwiseOr",
                    "BitwiseXor",
                ),
                *("BlackmanWindow", "CenterCropPad", "Col2Im", "Compress", "ConvInteger", "DFT", "Det"),
                *("DynamicQuantizeLinear", "HammingWindow", "HannWindow", "ImageDecoder", "MatMulInteger"),
                *("MaxRoiPool", "MaxUnpool", "MelWeightMatrix", "Multinomial", "NegativeLogLikelihoodLoss"),
                *(
                    "QLinearConv",
                    "QLinearMatMul",
                    "STFT",
                    "SoftmaxCrossEntropyLoss",
                    "SplitToSequence",
                    "Unique",
                ),
            )
        ),
        allowed={
            ("AveragePool", "dilations"): (1,),
            ("MaxPool", "dilations"): (1,),
            ("Resize", "mode"): ("nearest", "linear"),
            ("Resize", "antialias"): (0,),
            ("Resize", "coordinate_transformation_mode"): (
                *("half_pixel", "pytorch_half_pixel", "tf_half_pixel_for_nn", "asymmetric", "align_corners"),
            ),
            ("ScatterND", "reduction"): ("none",),
            ("Cast", "to"): (
                *(TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.BOOL),
                *(TensorProto.INT32, TensorProto.INT64, TensorProto.UINT8),
            ),
        },
        missing_types=frozenset(
            (
                *(TensorProto.STRING, TensorProto.DOUBLE, TensorProto.INT8, TensorProto.INT16),
                *(TensorProto.UINT16, TensorProto.UINT32, TensorProto.UINT64),
            )
        ),
    ),
    "portable": Target("any runtime", opset=21, portable=True),
}


def check_target(model: onnx.ModelProto, name: str) -> None:
    """Check that a target has all that a graph uses.

    Raises:
        UserError: it lacks an operator, a form of it, or the type of an input or output. The message names the layer.
    """
    target = TARGETS[name]
    problem = next(_problems(model.graph, target), "")
    if problem:
        raise UserError(
            f"target {name}: expected what {target.title} can run, got {problem}; choose another --target, or change "
            "the model"
        )


def _problems(graph: onnx.GraphProto, target: Target) -> Iterator[str]:
    for role, values in (("input", graph.input), ("output", graph.output)):
        for value in values:
            element = value.type.tensor_type.elem_type
            if element in target.missing_types:
                yield f"{role} {value.name!r} of type {TensorProto.DataType.Name(element).lower()}"
    wide = {x.name for x in graph.initializer if _is_wide(x, target.integer_bits)}
    directions: dict[tuple[str, str], bytes] = {}
    for node in graph.node:
        problem = _problem(node, target, wide)
        if target.joins_directions and node.op_type in _RECURRENT:
            direction = next((x.s for x in node.attribute if x.name == "direction"), b"forward")
            if directions.setdefault((node.op_type, node.input[0]), direction) != direction:
                problem = " in the direction opposite to another one's (a Bidirectional layer can be both)"
        if problem is not None:
            layer = node.name.rsplit("/", 1)[0]
            yield f"{node.op_type}{problem} in layer {layer!r}"
        for attribute in node.attribute:
            for body in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                yield from _problems(body, target)


def _problem(node: onnx.NodeProto, target: Target, wide: set[str]) -> str | None:
    """What a target lacks of a node; empty for the operator itself, None for nothing."""
    if node.domain not in target.domains or (node.domain == STANDARD and node.op_type in target.missing):
        return ""
    position, what = target.without.get(node.op_type, (len(node.input), ""))
    if any(node.input[position : position + 1]):
        return f" with {what}"
    if node.op_type != "Slice" and wide.intersection(
        node.input
    ):  # the end of a slice may be the largest integer
        return f" with integers of more than {target.integer_bits} bits"
    for attribute in node.attribute:
        allowed = target.allowed.get((node.op_type, attribute.name))
        value = onnx.helper.get_attribute_value(attribute) if allowed is not None else None
        values = value if isinstance(value, (list, tuple)) else [value]
        texts = [x.decode() if isinstance(x, bytes) else x for x in values]
        if allowed is not None and not set(texts) <= set(allowed):
            return f" with {attribute.name}={', '.join(map(str, texts))}"
    return None


def _is_wide(tensor: TensorProto, bits: int) -> bool:
    if bits == 64 or tensor.data_type not in (TensorProto.INT64, TensorProto.UINT64):
        return False
    array = onnx.numpy_helper.to_array(tensor)
    limits = np.iinfo(np.int32)
    return bool(array.size) and not limits.min <= int(array.min()) <= int(array.max()) <= limits.max
