"""cleanup: remove unused nodes, duplicates and identities, by onnx_ir's own passes."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes import common


def cleanup_pass() -> ir.passes.Sequential:
    """The passes in order; what becomes unused on the way is removed at the end."""
    return ir.passes.Sequential(
        common.IdentityEliminationPass(),
        common.RemoveUnusedNodesPass(),
        common.DeduplicateInitializersPass(),
        common.CommonSubexpressionEliminationPass(),
        common.RemoveUnusedNodesPass(),
    )
