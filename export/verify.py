"""python -m export.verify MODEL.onnx: repeat a model's parity check where the model is served.

The inputs and their true outputs come from `MODEL.check.zip`, which the export writes; NumPy and onnxruntime alone are
needed. Another machine, another provider, or a quantized copy of the model can be checked.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from export.command import Parser, run
from export.errors import CheckError, UserError, one_line
from export.evidence import Example, evidence_path, read_evidence
from export.terminal import columns


@dataclass(frozen=True)
class Verified:
    """How far one output is from its true values on one set of inputs.

    Attributes:
        output: name of the output.
        data: what the inputs are.
        rows: how many.
        size: root mean square of the true values.
        max_abs: largest difference.
        allowance: what it may be, besides a few units in the last place of each value.
        argmax_agreement: share of rows whose largest value is in the same position; None for scalars.
        nan: number of values that are not finite on one side only.
        within: whether all values are within the allowance.
    """

    output: str
    data: str
    rows: int
    size: float
    max_abs: float
    allowance: float
    argmax_agreement: float | None
    nan: int
    within: bool


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = Parser(
        description="Compare an ONNX model on this machine with the true outputs that its export recorded.",
    )
    parser.add_argument("model", metavar="MODEL.onnx", help="an exported model, or a quantized copy of one")
    parser.add_argument("--check", metavar="FILE.check.zip", help="default: the model's name with .check.zip")
    parser.add_argument(
        "--provider", default="cpu", help="onnxruntime's execution provider, as in cuda (default: cpu)"
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        metavar="X",
        help="allow X times the root mean square of each output, for quantized models; default: what the check allows",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line, compare, print the result."""
    arguments = parser().parse_args(argv)
    tolerance = arguments.tolerance
    if tolerance is not None and not (math.isfinite(tolerance) and tolerance >= 0):
        raise UserError(f"tolerance: expected 0 or more, got {tolerance}")
    model = Path(arguments.model)
    examples, oracle = read_evidence(Path(arguments.check) if arguments.check else evidence_path(model))
    if not examples:
        raise UserError(
            f"{model}: expected a check with inputs and outputs, got none: all outputs of the model are random"
        )
    results = verify(model, examples, provider=arguments.provider, tolerance=tolerance)
    passed = all(result.within for result in results)
    if arguments.json:
        record = {"passed": passed, "oracle": oracle, "provider": arguments.provider}
        print(json.dumps({**record, "differences": [asdict(result) for result in results]}, indent=2))
    else:
        print(table(results))
    if not passed:
        worst = max(results, key=lambda r: (not r.within, r.nan, r.max_abs / (r.allowance or 1e-300)))
        raise CheckError(
            f"{model}: output {worst.output!r} differs by up to {worst.max_abs:.1e} on {worst.data}, more than the "
            f"{worst.allowance:.1e} allowed; --tolerance allows more, for a quantized model"
        )
    return 0


def verify(
    model: Path, examples: Sequence[Example], *, provider: str = "cpu", tolerance: float | None = None
) -> list[Verified]:
    """Compare a model with true outputs.

    Args:
        model: the ONNX file.
        examples: inputs and their true outputs.
        provider: onnxruntime's execution provider, with or without `ExecutionProvider` at its end.
        tolerance: what a value may be off, relative to the root mean square of its output; None: what the examples say.

    Raises:
        UserError: the model can't be run on these inputs, or the provider is not there.
    """
    from export.runtime import open_session

    session = open_session(model, provider=provider)
    results = []
    for example in examples:
        try:
            got = session.run(list(example.outputs), example.inputs)
        except Exception as error:  # onnxruntime's exceptions have no common base
            reason = one_line(error, 200)
            raise UserError(f"{model}: expected a model that takes the check's inputs: {reason}") from error
        for (name, true), ours in zip(example.outputs.items(), got, strict=True):
            absolute, relative = example.allowances[name]
            if tolerance is not None and true.dtype.kind == "f":
                finite = true[np.isfinite(true)]
                absolute, relative = (
                    tolerance * float(np.sqrt(np.mean(np.square(finite)))) if finite.size else 0.0,
                    0.0,
                )
            results.append(compare(name, example.kind, ours, true, absolute, relative))
    return results


def compare(
    name: str, kind: str, ours: np.ndarray, true: np.ndarray, absolute: float, relative: float
) -> Verified:
    """Compare an output with its true values: a value may be off by absolute + relative |true value|.

    `export/web/static/rule.js` is the same rule in the browser.

    Args:
        name: name of the output.
        kind: what the inputs are.
        ours: the output.
        true: the true values.
        absolute: what each value may be off.
        relative: what it may be off besides, relative to the true value.

    Raises:
        UserError: the output has another shape.
    """
    if ours.shape != true.shape:
        raise UserError(
            f"output {name!r}: expected shape {true.shape}, got {ours.shape}; give this model's check"
        )
    if true.dtype.kind in "OUS":
        wrong = np.asarray(ours != true)
        return Verified(name, kind, len(true), 0.0, float(wrong.any()), 0.0, None, 0, not wrong.any())
    g, t = np.asarray(ours).astype(np.float64), true.astype(np.float64)
    finite = np.isfinite(g) & np.isfinite(t)
    alike = (np.isnan(g) & np.isnan(t)) | (g == t)
    error = np.abs(np.subtract(g, t, where=finite, out=np.zeros_like(t)))
    size = np.where(np.isfinite(t), np.abs(t), 0)
    nan = int(np.count_nonzero(~finite & ~alike))
    agreement = None
    if t.ndim >= 2 and t.shape[-1] > 1 and t.size:
        agreement = float(np.mean(g.argmax(-1) == t.argmax(-1)))
    return Verified(
        name,
        kind,
        rows=len(t),
        size=float(np.sqrt(np.mean(np.square(size)))) if t.size else 0.0,
        max_abs=float(error.max(initial=0)),
        allowance=absolute,
        argmax_agreement=agreement,
        nan=nan,
        within=nan == 0 and bool(np.all(error <= absolute + relative * size)),
    )


def table(results: Sequence[Verified]) -> str:
    """A table for the terminal."""
    rows = [("output", "data", "rows", "max abs", "allowed", "argmax", "NaN", "")]
    for r in results:
        agree = "-" if r.argmax_agreement is None else f"{100 * r.argmax_agreement:.1f} %"
        verdict = "ok" if r.within else "above tolerance"
        numbers = (str(r.rows), f"{r.max_abs:.1e}", f"{r.allowance:.1e}")
        rows.append((r.output, r.data, *numbers, agree, str(r.nan), verdict))
    return columns(rows)


def cli() -> int:
    """Entry point of the console script."""
    return run(main)


if __name__ == "__main__":
    sys.exit(cli())
