"""Options and Conversion: how to convert a model, and the result."""

from __future__ import annotations

from dataclasses import InitVar, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import onnx

from export.errors import UserError
from export.layout import LAYOUTS, Layout
from export.passes.outcome import FoldReport
from export.targets import TARGETS, Target
from export.weights_file import WeightsFile

if TYPE_CHECKING:
    from export.lowerings.registry import Registry

Route = Literal["auto", "direct", "tf2onnx"]


@dataclass(frozen=True)
class Options:
    """How to convert a model.

    Attributes:
        route: 'direct' for the lowerings of this package alone, 'tf2onnx', or 'auto': a layer that has no lowering is
            converted by tf2onnx, and so is a model of which Keras keeps no graph.
        target: the runtime that the graph is for, a key of `export.targets.TARGETS`.
        opset: version of the standard operators; None for the target's, or higher where a layer needs it.
        portable: the same as target 'portable'.
        input_layout: layout of image inputs: 'nhwc', as in Keras, or 'nchw'.
        output_layout: layout of image outputs, likewise.
        raw_pixels: make the inputs uint8 instead of float32.
        batch: fixed batch size; None for a dynamic batch dimension.
        input_range: lowest and highest value of an input; None for 0..255 if the model rescales its input itself, and
            0..1 otherwise.
        class_names: a name for each class.
        fold: fold per-channel scales and shifts into neighbouring layers.
        inputs: the inputs of a model that was built without any: a `keras.Input`, a `keras.InputSpec` or an array, or a
            list or a dict of them; see `export.interface.with_inputs`. None: those that it was called on.
        float16: write large weights in float16. `export_model` does that once the graph has passed the parity check;
            `convert` alone leaves them in float32.
        lowerings: more lowerings, for this conversion only. They come before the default ones.

    Raises:
        UserError: a value is out of range.
    """

    route: Route = "auto"
    target: str = "onnxruntime"
    opset: int | None = None
    portable: InitVar[bool] = False
    input_layout: Layout = "nhwc"
    output_layout: Layout = "nhwc"
    raw_pixels: bool = False
    batch: int | None = None
    input_range: tuple[float, float] | None = None
    class_names: tuple[str, ...] | None = None
    fold: bool = True
    inputs: Any = None
    float16: bool = False
    lowerings: Registry | None = None

    def __post_init__(self, portable: bool) -> None:
        """Check the ranges."""
        if portable:
            object.__setattr__(self, "target", "portable")
        if self.target not in TARGETS:
            raise UserError(f"target: expected {', '.join(TARGETS)}, got {self.target!r}")
        lowest, highest = self.runtime.lowest_opset, self.runtime.highest_opset
        if self.opset is not None and not lowest <= self.opset <= highest:
            raise UserError(
                f"opset: expected {lowest} to {highest}, got {self.opset}, for target {self.target}"
            )
        for name, layout in (("input_layout", self.input_layout), ("output_layout", self.output_layout)):
            if layout not in LAYOUTS:
                raise UserError(f"{name}: expected {' or '.join(LAYOUTS)}, got {layout!r}")
        if self.batch is not None and self.batch < 1:
            raise UserError(f"batch: expected 1 or more, got {self.batch}")

    @property
    def runtime(self) -> Target:
        """What the target has."""
        return TARGETS[self.target]


@dataclass
class Conversion:
    """A converted model.

    Attributes:
        proto: the ONNX model; without its large weights as long as `weights` has them.
        options: how it was converted.
        route: 'direct', 'mixed' if tf2onnx converted some of the layers, or 'tf2onnx'.
        inputs: name of each input of the graph, in Keras' order.
        outputs: name of each output, likewise.
        input_range: lowest and highest value of an input.
        reason: why the route is mixed or tf2onnx; empty for direct.
        folds: what was folded, and what was not.
        layers: with `convert_layerwise`, the Keras layer of each output.
        weights: the file with the large weights, or None.
    """

    proto: onnx.ModelProto
    options: Options
    route: str
    inputs: list[str]
    outputs: list[str]
    input_range: tuple[float, float]
    reason: str = ""
    folds: FoldReport = field(default_factory=FoldReport)
    layers: list[str] = field(default_factory=list)
    weights: WeightsFile | None = None

    @property
    def model(self) -> onnx.ModelProto:
        """The ONNX model with all of its weights, in memory."""
        if self.weights is not None:
            self.weights.load_into(self.proto)
            self.weights = None
        return self.proto

    @property
    def opset(self) -> int:
        """Version of the standard operators."""
        return next(entry.version for entry in self.proto.opset_import if entry.domain in ("", "ai.onnx"))
