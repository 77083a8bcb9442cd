"""Write docs/export/supported.md: what of Keras the direct route supports, read from the registry.

A layer without a lowering is supported if the operations that its call consists of are: the examples below are
converted to see. The limits are what the lowerings refuse, in the words of their errors.

usage: python scripts/supported.py [--check]   (--check: only report whether the page is up to date)
"""

from __future__ import annotations

import ast
import functools
import inspect
import os
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras

from export.convert import Options, convert
from export.errors import UserError
from export.lowerings import DEFAULT
from export.lowerings.registry import operation_classes

L = keras.layers
PAGE = Path(__file__).resolve().parent.parent / "docs/export/supported.md"

# No layers, or not of Keras' own computation.
BASE_CLASSES = ("InputLayer", "InputSpec", "Layer", "Wrapper")
OTHER_FRAMEWORKS = ("FlaxLayer", "JaxLayer", "TFSMLayer", "TorchModuleWrapper")

# A call of each layer without a lowering, and the shapes of its inputs, with the dtype in front if it isn't float32.
SEQUENCE, IMAGE = (6, 5), (12, 14, 3)
EXAMPLES: dict[str, tuple[Any, ...]] = {
    "AdditiveAttention": (lambda x: L.AdditiveAttention()([x, x]), SEQUENCE),
    "Attention": (lambda x: L.Attention()([x, x]), SEQUENCE),
    "AutoContrast": (lambda x: L.AutoContrast()(x), IMAGE),
    "ContrastLimitedAdaptiveHistogramEqualization": (
        lambda x: L.ContrastLimitedAdaptiveHistogramEqualization(tile_grid_size=(2, 2))(x),
        IMAGE,
    ),
    "Dot": (lambda x, y: L.Dot(2, normalize=True)([x, y]), SEQUENCE, SEQUENCE),
    "Embedding": (lambda x: L.Embedding(9, 3)(x), ("int32", 6)),
    "GroupQueryAttention": (lambda x: L.GroupQueryAttention(3, 4, 2)(x, x), SEQUENCE),
    "GRUCell": (lambda x, h: L.GRUCell(3)(x, [h])[0], (5,), (3,)),
    "Lambda": (lambda x: L.Lambda(lambda y: keras.ops.square(y) + 1)(x), SEQUENCE),
    "LSTMCell": (lambda x, h: L.LSTMCell(3)(x, [h, h])[0], (5,), (3,)),
    "Masking": (lambda x: L.Dense(2)(L.Masking()(x)), SEQUENCE),
    "MaxNumBoundingBoxes": (
        lambda x, y: L.MaxNumBoundingBoxes(3, bounding_box_format="xyxy")(
            {"images": L.Reshape((5, 4, 1))(x), "bounding_boxes": {"boxes": x, "labels": y}}
        )["bounding_boxes"]["boxes"],
        (5, 4),
        ("int32", 5),
    ),
    "MultiHeadAttention": (lambda x: L.MultiHeadAttention(2, 3)(x, x), SEQUENCE),
    "Pipeline": (lambda x: L.Pipeline([L.Rescaling(1 / 255)])(x), IMAGE),
    "RandomCrop": (lambda x: L.RandomCrop(6, 7)(x), IMAGE),
    "Resizing": (lambda x: L.Resizing(6, 7)(x), IMAGE),
    "ReversibleEmbedding": (lambda x: L.ReversibleEmbedding(9, 3)(x), ("int32", 6)),
    "SimpleRNNCell": (lambda x, h: L.SimpleRNNCell(3)(x, [h])[0], (5,), (3,)),
    "SpectralNormalization": (lambda x: L.SpectralNormalization(L.Dense(4))(x), (5,)),
    "STFTSpectrogram": (lambda x: L.STFTSpectrogram("log", 16, 8)(x), (64, 1)),
    "StackedRNNCells": (
        lambda x: L.RNN(L.StackedRNNCells([L.GRUCell(3), L.LSTMCell(2)]))(x),
        SEQUENCE,
    ),
}

# Functions of keras.ops that take no tensors, or whose result is known when the graph is written.
WITHOUT_TENSORS = (
    *(
        "arange",
        "array",
        "bartlett",
        "blackman",
        "convert_to_numpy",
        "custom_gradient",
        "dtype",
        "empty",
        "eye",
    ),
    *(
        "full",
        "geomspace",
        "hamming",
        "hanning",
        "identity",
        "is_tensor",
        "kaiser",
        "linspace",
        "logspace",
        "ndim",
    ),
    *("ones", "shape", "tri", "vectorize", "zeros"),
)

HEAD = """# Supported layers and operations

<!-- Written by scripts/supported.py from the registry of lowerings. -->

What the direct route makes of {version}. *Direct*: a lowering writes the ONNX nodes. *By its parts*: the layer's call
is traced, and the operations that it consists of are lowered; the same holds for
[layers of your own](custom-layers.md). A layer that isn't supported is converted by tf2onnx where that is possible, and
the parity check covers it, too. The limits are what a lowering refuses, in the words of its error; `…` stands for
a value of the model, such as a name or a number.

"""


def main() -> int:
    """Write the page, or check it."""
    text = HEAD.format(version=f"Keras {keras.__version__.rsplit('.', 1)[0]}") + layers() + operations()
    if "--check" not in sys.argv:
        PAGE.write_text(text, encoding="utf-8")
        return 0
    is_current = PAGE.exists() and PAGE.read_text(encoding="utf-8") == text
    if not is_current:
        print(f"{PAGE.name}: expected what the registry has; run scripts/supported.py", file=sys.stderr)
    return int(not is_current)


def layers() -> str:
    """A table of the layers."""
    names: dict[type, list[str]] = {}
    for name, kind in inspect.getmembers(L, inspect.isclass):
        names.setdefault(kind, []).append(name)
    rows = []
    for kind, aliases in names.items():
        name = next((one for one in aliases if one in EXAMPLES), aliases[0])
        if name not in BASE_CLASSES:
            how, limits = of_layer(name, kind)
            rows.append(f"| {' '.join(f'`{one}`' for one in aliases)} | {how} | {limits} |")
    return "## Layers\n\n| layer | how | limits |\n| --- | --- | --- |\n" + "\n".join(sorted(rows)) + "\n\n"


def of_layer(name: str, kind: type) -> tuple[str, str]:
    """How a layer is converted, and its limits."""
    lowering = DEFAULT.find_class(kind)
    if lowering is not None:
        return "direct", limits_of(lowering.function)
    if name in OTHER_FRAMEWORKS:
        return "not supported", "it runs another framework"
    if name not in EXAMPLES:
        raise SystemExit(f"scripts/supported.py: expected a lowering or an example of {name}, got neither")
    function, *shapes = EXAMPLES[name]
    inputs = [
        keras.Input(shape[1:], dtype=shape[0]) if isinstance(shape[0], str) else keras.Input(shape)
        for shape in shapes
    ]
    try:
        convert(keras.Model(inputs, function(*inputs)), Options(route="direct"))
    except UserError as error:
        reason = str(error).split("): ")[-1].split("; --route")[0].split("; add a lowering")[0]
        return "not supported", "it calls TensorFlow itself" if "can't be traced" in str(error) else reason
    return "by its parts", ""


def operations() -> str:
    """The operations, by how they are converted, and a table of their limits."""
    direct: list[str] = []
    missing: list[str] = []
    limits: dict[str, list[str]] = {}
    for module, prefix in ((keras.ops, ""), (keras.ops.image, "image."), (keras.ops.linalg, "linalg.")):
        for name in sorted(dir(module)):
            function = getattr(module, name)
            is_known = prefix and getattr(keras.ops, name, None) is function
            if name.startswith("_") or not callable(function) or is_known or name in WITHOUT_TENSORS:
                continue
            kinds = operation_classes(name, optional=True)
            kinds = kinds or operation_classes(function.__name__, optional=True)  # another name for the same
            lowering = next((one for one in map(DEFAULT.find_class, kinds) if one is not None), None)
            (missing if lowering is None else direct).append(f"`{prefix}{name}`")
            if lowering is not None:
                limits.setdefault(limits_of(lowering.function), []).append(f"`{prefix}{name}`")
    limits.pop("", None)
    rows = "\n".join(f"| {', '.join(names)} | {text} |" for text, names in limits.items())
    return (
        f"## Operations of keras.ops\n\n{len(direct)} operations are direct:\n{_wrapped(direct)}\n\n"
        f"{len(WITHOUT_TENSORS)} take no tensors, or have a result that is known when the graph is written:\n"
        f"{_wrapped([f'`{name}`' for name in WITHOUT_TENSORS])}\n\n"
        f"{len(missing)} are not supported:\n{_wrapped(missing)}\n\n"
        f"| operation | limits |\n| --- | --- |\n{rows}\n"
    )


def _wrapped(names: list[str]) -> str:
    return textwrap.fill(", ".join(names) + ".", 118, break_long_words=False, break_on_hyphens=False)


def limits_of(function: Callable[..., Any]) -> str:
    """What a lowering refuses."""
    return "<br>".join(dict.fromkeys(refusals(function, set())))


def refusals(function: Any, seen: set[Any]) -> Iterator[str]:
    """The messages of the Unsupported errors that a function raises, itself or in functions of export.lowerings."""
    if isinstance(function, functools.partial):
        function = function.func
    if not inspect.isfunction(function) or function in seen or "export.lowerings" not in function.__module__:
        return
    seen.add(function)
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except SyntaxError:  # a lambda in the middle of a line
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            if getattr(node.exc.func, "id", "") == "Unsupported":
                yield _message(node.exc.args[0])
        elif isinstance(node, ast.Name):
            yield from refusals(function.__globals__.get(node.id), seen)
    for cell in function.__closure__ or ():
        yield from refusals(cell.cell_contents, seen)


def _message(node: ast.expr) -> str:
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    text = "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in parts)
    text = re.sub(r" \([^)]*…[^)]*\)", "", text)  # "(shapes …, …)" says nothing here
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main())
