"""Options and Conversion: how to convert a model, and the result."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import onnx

from export.errors import UserError
from export.passes.outcome import FoldReport

if TYPE_CHECKING:
    from export.lowerings.registry import Registry

DEFAULT_OPSET, PORTABLE_OPSET = 17, 21
LOWEST_OPSET, HIGHEST_OPSET = 13, 23

Route = Literal["auto", "direct", "tf2onnx"]


@dataclass(frozen=True)
class Options:
    """How to convert a model.

    Attributes:
        route: 'direct' for the lowerings of this package alone, 'tf2onnx', or 'auto': a layer that has no lowering is
            converted by tf2onnx, and so is a model of which Keras keeps no graph.
        opset: version of the standard operators; None for 17, or 21 with `portable`, or higher where a layer needs it.
        portable: write standard operators even where another form is faster on onnxruntime's CPU provider.
        input_layout: layout of image inputs: 'nhwc', as in Keras, or 'nchw'.
        raw_pixels: make the inputs uint8 instead of float32.
        batch: fixed batch size; None for a dynamic batch dimension.
        input_range: lowest and highest value of an input; None for 0..255 if the model rescales its input itself, and
            0..1 otherwise.
        class_names: a name for each class.
        fold: fold per-channel scales and shifts into neighbouring layers.
        quantize: 'int8' to have `export_model` quantize the graph, where that pays; None to leave it in float32.
        lowerings: more lowerings, for this conversion only. They come before the default ones.

    Raises:
        UserError: a value is out of range.
    """

    route: Route = "auto"
    opset: int | None = None
    portable: bool = False
    input_layout: Literal["nhwc", "nchw"] = "nhwc"
    raw_pixels: bool = False
    batch: int | None = None
    input_range: tuple[float, float] | None = None
    class_names: tuple[str, ...] | None = None
    fold: bool = True
    quantize: Literal["int8"] | None = None
    lowerings: Registry | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.opset is not None and not LOWEST_OPSET <= self.opset <= HIGHEST_OPSET:
            raise UserError(f"opset: expected {LOWEST_OPSET} to {HIGHEST_OPSET}, got {self.opset}")
        if self.quantize not in (None, "int8"):
            raise UserError(f"quantize: expected 'int8' or None, got {self.quantize!r}")
        if self.batch is not None and self.batch < 1:
            raise UserError(f"batch: expected 1 or more, got {self.batch}")


@dataclass
class Conversion:
    """A converted model.

    Attributes:
        model: the ONNX model.
        options: how it was converted.
        route: 'direct', 'mixed' if tf2onnx converted some of the layers, or 'tf2onnx'.
        inputs: name of each input of the graph, in Keras' order.
        outputs: name of each output, likewise.
        input_range: lowest and highest value of an input.
        reason: why the route is mixed or tf2onnx; empty for direct.
        folds: what was folded, and what was not.
        layers: with `convert_layerwise`, the Keras layer of each output.
    """

    model: onnx.ModelProto
    options: Options
    route: str
    inputs: list[str]
    outputs: list[str]
    input_range: tuple[float, float]
    reason: str = ""
    folds: FoldReport = field(default_factory=FoldReport)
    layers: list[str] = field(default_factory=list)

    @property
    def opset(self) -> int:
        """Version of the standard operators."""
        return next(entry.version for entry in self.model.opset_import if entry.domain in ("", "ai.onnx"))
