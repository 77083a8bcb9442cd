"""cleanup: remove unused nodes, duplicates and identities, mostly by onnx_ir's own passes."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes import common

from export.onnx_graph import insert_node


def cleanup_pass() -> ir.passes.Sequential:
    """The passes in order; what becomes unused on the way is removed at the end."""
    return ir.passes.Sequential(
        common.IdentityEliminationPass(),
        common.RemoveUnusedNodesPass(),
        common.DeduplicateInitializersPass(),
        common.CommonSubexpressionEliminationPass(),
        common.RemoveUnusedNodesPass(),
        DistinctOutputsPass(),
    )


class DistinctOutputsPass(ir.passes.InPlacePass):
    """Give the body of a Scan, Loop or If a value of its own for each output; onnxruntime mixes up equal ones."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Insert an Identity for each output that is an output already."""
        modified = False
        for graph in model.graph.subgraphs():
            if graph is model.graph:
                continue
            for index, value in enumerate(graph.outputs):
                if value in list(graph.outputs)[:index]:
                    copy = insert_node(graph, "Identity", [value], {}, name=f"{value.name}/{index}")
                    copy.type, copy.shape = value.type, value.shape
                    graph.outputs[index] = copy
                    modified = True
        return ir.passes.PassResult(model, modified)
