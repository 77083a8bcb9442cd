"""fold_affine: fold per-channel scales and shifts into the neighbouring convolution or dense layer.

An Affine node is y = a x + b, with a number a and b for each channel. With the convolution
z[o] = sum_{i,k} W[o,i,k] x[i,k] + c[o] (a dense layer is the same without k), these rules are exact:

1. Into the preceding layer, z = W x + c:        a z + b = (a W) x + (a c + b), row by row. Always.
2. Into the following layer, z = W (a x + b) + c: = (W a) x + (c + sum_{i,k} W[o,i,k] b[i]), column by column. If
   every position that the kernel sees holds a x + b: zero padding holds 0 instead, so with padding only if b = 0.
   Into a transposed convolution only if b = 0: as many taps as overlap there add it up at each pixel.
3. Past a max pool: max(a x + b) = a max(x) + b, if a > 0 for every channel.
4. Past an average pool: mean(a x + b) = a mean(x) + b, if no padded zeros are counted.
5. Past a Flatten, Reshape or Transpose that keeps the channel axis or spreads it evenly.
6. Past another Affine: a2 (a1 x + b1) + b2 = (a2 a1) x + (a2 b1 + b2).
7. Into the layer before a preceding ReLU: a max(W x + c, 0) = max((a W) x + a c, 0). If a > 0 for every channel, and
   b = 0.

What can't be folded stays, and the report says why. The folded weights are computed in float64. Rules 1, 2 and 7
are in `fold_weights`, rules 3 to 6 in `move_affine`.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from export.onnx_graph import bypass
from export.passes.fold_weights import fold_before_relu, fold_into_following, fold_into_preceding
from export.passes.internal import Affine, as_affine
from export.passes.move_affine import move_past
from export.passes.outcome import Fold, FoldReport, Refusal, join


@dataclass
class FoldResult(ir.passes.PassResult):
    """The result of the pass, with its report."""

    report: FoldReport


class FoldAffinePass(ir.passes.InPlacePass):
    """Fold or move every Affine node of the graph as far as the rules allow."""

    def call(self, model: ir.Model) -> FoldResult:
        """Apply the rules until none applies."""
        graph = model.graph
        folded: list[Fold] = []
        refused: dict[str, Refusal] = {}
        modified, changed = False, True
        while changed:
            changed = False
            for node in list(graph):
                affine = as_affine(node) if node.graph is not None else None
                if affine is None:
                    continue
                outcome = _fold(graph, affine)
                if isinstance(outcome, Refusal):
                    refused[affine.layers] = outcome
                    continue
                refused.pop(affine.layers, None)
                changed = modified = True
                if outcome is not None:
                    folded.append(outcome)
        left = {affine.layers for affine in map(as_affine, graph) if affine is not None}
        refusals = tuple(refusal for layers, refusal in refused.items() if layers in left)
        return FoldResult(model, modified, FoldReport(tuple(folded), refusals))


def _fold(graph: ir.Graph, affine: Affine) -> Fold | Refusal | None:
    """Fold one Affine (a Fold), move it past its user (None), or leave it (a Refusal)."""
    if (affine.scale == 1).all() and (affine.shift == 0).all():
        bypass(graph, affine.node)
        return Fold(affine.layers, "has no effect in inference")
    preceding = fold_into_preceding(graph, affine)
    if isinstance(preceding, Fold):
        return preceding
    if affine.output.is_graph_output():
        return fold_before_relu(graph, affine) or join(
            preceding, Refusal(affine.layers, "its output is an output of the model")
        )
    users = [use.node for use in affine.output.uses()]
    following: Fold | Refusal | None = fold_into_following(graph, affine, users)
    if isinstance(following, Refusal) and len(users) == 1:
        following = move_past(graph, affine, users[0], following)
    if isinstance(following, Refusal):
        return fold_before_relu(graph, affine) or join(preceding, following)
    return following
