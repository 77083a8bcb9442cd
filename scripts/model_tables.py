"""Tables of what the export makes of models, and how far it is from Keras, from the records in results/bench/."""

import re
from collections.abc import Sequence
from typing import Any

from bench_records import bench_record
from markdown_tables import markdown_table

from export.targets import CLASSICAL, TARGETS


def faults_table() -> str:
    """Single faults in correct graphs, and how many of them the parity check finds."""
    titles = (
        *("correct graph", "error of the graph:", "of Keras' float32:", "allowed:"),
        *("faults that matter:", "found, random data:", "found, with `--check-data`:"),
    )
    cases, counts = bench_record("parity_faults")["cases"], ("matter", "found", "found_with_data")
    rows = [(name, *_errors(case), *(case[key] for key in counts)) for name, case in cases.items()]
    total = {key: sum(case[key] for case in cases.values()) for key in counts}
    shares = [f"{100 * total[key] / total['matter']:.1f} %" for key in ("found", "found_with_data")]
    rows.append(("together", "", "", "", total["matter"], f"{total['found']}, {shares[0]}", shares[1]))
    return markdown_table(titles, rows)


def _errors(
    checked: dict[str, Any], keys: Sequence[str] = ("error", "keras_error", "allowance")
) -> list[str]:
    return [f"{checked[key]:.0e}" for key in keys]


def parity_of_applications_table() -> str:
    """The parity check on the architectures of keras.applications, with logits."""
    titles = (
        *("architecture", "rows:", "error of the graph:", "of Keras' float32:", "allowed:"),
        *("CPU seconds:", "memory, GiB:"),
    )
    rows = []
    for name, model in sorted(bench_record("parity_applications")["models"].items()):
        shown = name if model["passed"] else f"{name} (refused)"
        cost = f"{model['seconds']['parity_cpu']:.0f}", f"{model['peak_gib']['parity']:.1f}"
        rows.append((shown, model["rows"], *_errors(model), *cost))
    return markdown_table(titles, rows)


def models_table() -> str:
    """Route, size, agreement, cost and latency of designs."""
    titles = (
        *("design", "route", "nodes (Keras' export):", "transposes:", "error (Keras' float32):"),
        *("conversion, s:", "memory, GiB:", "batch 1:", "batch 32:"),
    )
    rows: list[Sequence[object]] = []
    for name, model in bench_record("models")["models"].items():
        if "route" not in model:
            rows.append((name, model["error"], *[""] * 7))
            continue
        theirs = model.get("keras", {}).get("nodes")
        nodes = f"{model['nodes']}" + (f" ({theirs})" if theirs else "")
        error = f"{model['max_error']:.0e} ({model['keras_error']:.0e})" if model["passed"] else "refused"
        times = [_latency(model.get("speed", {}).get(batch)) for batch in ("1", "32")]
        cost = f"{model['seconds']['conversion']:.2f}", f"{model['peak_gib']['conversion']:.1f}"
        shown = f"{name} (`--unsafe`)" if model["loads"] == "unsafe" else name
        rows.append((shown, model["route"], nodes, model["transposes"], error, *cost, *times))
    return markdown_table(titles, rows)


def _latency(speed: dict[str, float] | None) -> str:
    if not speed:
        return ""
    ratio = f", **{speed['ratio']:.2f}x**" if "ratio" in speed else ""
    return f"{speed['ours_ms']:.2f} ms{ratio}"


def keras_failures_table() -> str:
    """Why Keras' own export of a design gives no graph that runs."""
    rows = []
    for name, model in bench_record("models")["models"].items():
        reason = model.get("speed", {}).get("keras") or model.get("keras", {}).get("error")
        if reason:
            rows.append((name, _cell(reason)))
    return markdown_table(("design", "Keras' own export"), rows)


def _cell(text: str, length: int = 160) -> str:
    """Text for a cell of a table."""
    short = text if len(text) <= length else text[:length].rsplit(" ", 1)[0] + " ..."
    return "`" + short.replace("`", "'").replace("|", "/") + "`"


def packages_table() -> str:
    """Models of other packages."""
    titles = (
        *("model", "parameters:", "route", "nodes:", "error of the graph:", "of Keras' float32:"),
        "MiB: model, conversion, check:",
    )
    rows: list[Sequence[object]] = []
    for name, model in bench_record("packages")["models"].items():
        parameters = f"{model['parameters']:,}" if "parameters" in model else ""
        if not model.get("passed"):
            rows.append((name, parameters, "no graph", *[""] * 4))
            continue
        errors = _errors(model, ("max_error", "keras_error"))
        memory = ", ".join(str(model["peak_mib"][stage]) for stage in ("model", "conversion", "parity"))
        shown = name if model["loads"] else f"{name} (from memory)"
        rows.append((shown, parameters, model["route"], model["nodes"], *errors, memory))
    return markdown_table(titles, rows)


def packages_failures() -> str:
    """Why a model of another package is not converted, or not by the direct route alone."""
    rows = []
    for name, model in bench_record("packages")["models"].items():
        reason = model.get("error") or model.get("reason") or model.get("load_error")
        if reason:
            rows.append((name, _cell(" ".join(reason.split()), 300)))
    return markdown_table(("model", "reason"), rows)


def keras_2_table() -> str:
    """Models of published packages, as Keras 2 saved them, against what Keras 2 computed."""
    titles = ("package", "file", "saved by", "options", "route", "nodes:", "parity", "error:")
    rows = []
    for name, row in bench_record("keras2")["files"].items():
        package, file = name.split("--")
        options = " ".join(f"`{option}`" for option in row["options"])
        cells = [package, f"`{file}`", row["keras"], options]
        if "message" in row:
            cells += ["", "", row["message"], ""]
        else:
            cells += [row["route"], str(row["nodes"]), "passed", f"{row['error']:.0e}"]
        rows.append(cells)
    return markdown_table(titles, rows)


def targets_table() -> str:
    """What each target of the export has, from the table that the export uses."""
    record = bench_record("targets")["targets"]
    titles = (
        *("target", "default opset:", "possible opsets", "several groups of a normalization"),
        *("operators that it lacks", "models run there"),
    )
    rows = []
    for name, target in TARGETS.items():
        form = "`GroupNormalization`" if target.portable else "`InstanceNormalization` between reshapes"
        lacks = f"{len(target.missing)}" if target.missing else "none"
        if CLASSICAL not in target.domains:
            lacks += f", and all of `{CLASSICAL}`"
        possible = f"{target.lowest_opset} to {target.highest_opset}"
        rows.append((f"`{name}`", target.opset, possible, form, lacks, _models_run(record.get(name))))
    return markdown_table(titles, rows)


def _models_run(target: dict[str, Any] | None) -> str:
    if target is None:
        return ""
    if target["version"] is None:
        return "none: documented support"
    errors = [row["error"] for row in target["models"].values() if row.get("error") is not None]
    return f"{len(errors)} on {target['version'].split('-')[0]}, largest error {max(errors):.0e}"


def target_models_table() -> str:
    """How far each model is from Keras in each target, or what the target lacks."""
    record = bench_record("targets")["targets"]
    rows = []
    for name in next(iter(record.values()))["models"]:
        cells = [name]
        for target in record.values():
            row = target["models"][name]
            problem = re.search("got (.*); choose another", row.get("refused", ""))
            if "refused" in row:
                cells.append(problem[1] if problem else row["refused"])
            else:
                error = row.get("error")
                cells.append("exported" if error is None else f"{error:.0e}" if error else "0")
        rows.append(cells)
    return markdown_table(("model", *(f"{target}:" for target in record)), rows)
