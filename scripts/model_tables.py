"""Tables of what the export makes of models, and how far it is from Keras, from the records in results/bench/."""

import re
from typing import Any

from bench_records import bench_record

from export.targets import CLASSICAL, TARGETS


def faults_table() -> str:
    """Single faults in right graphs, and how many of them the parity check finds."""
    lines = [
        "| right graph | error of the graph | of Keras' float32 | allowed | faults that matter | found, random data "
        "| found, with data of the kind |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    cases = bench_record("parity_faults")["cases"]
    for name, case in cases.items():
        numbers = " | ".join(f"{case[key]:.0e}" for key in ("error", "keras_error", "allowance"))
        counts = " | ".join(str(case[key]) for key in ("matter", "found", "found_with_data"))
        lines.append(f"| {name} | {numbers} | {counts} |")
    total = {key: sum(case[key] for case in cases.values()) for key in ("matter", "found", "found_with_data")}
    shares = [f"{100 * total[key] / total['matter']:.1f} %" for key in ("found", "found_with_data")]
    lines.append(f"| together | | | | {total['matter']} | {total['found']}, {shares[0]} | {shares[1]} |")
    return "\n".join(lines)


def parity_of_applications_table() -> str:
    """The parity check on the architectures of keras.applications, with logits."""
    lines = [
        "| architecture | rows | error of the graph | of Keras' float32 | allowed | CPU seconds | memory, GiB |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    models = bench_record("parity_applications")["models"]
    for name, model in sorted(models.items()):
        numbers = " | ".join(f"{model[key]:.0e}" for key in ("error", "keras_error", "allowance"))
        seconds = model["seconds"]["parity_cpu"]
        passed = "" if model["passed"] else " (refused)"
        lines.append(
            f"| {name}{passed} | {model['rows']} | {numbers} | {seconds:.0f} | {model['peak_gib']['parity']:.1f} |"
        )
    return "\n".join(lines)


def models_table() -> str:
    """Route, size, agreement, cost and latency of designs."""
    lines = [
        "| design | route | nodes (Keras' export) | transposes | error (Keras' float32) | conversion, s | memory, GiB "
        "| batch 1 | batch 32 |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, model in bench_record("models")["models"].items():
        if "route" not in model:
            lines.append(f"| {name} | {model['error']} | | | | | | | |")
            continue
        theirs = model.get("keras", {}).get("nodes")
        nodes = f"{model['nodes']}" + (f" ({theirs})" if theirs else "")
        error = f"{model['max_error']:.0e} ({model['keras_error']:.0e})" if model["passed"] else "refused"
        times = [_latency(model.get("speed", {}).get(batch)) for batch in ("1", "32")]
        cost = f"{model['seconds']['conversion']:.2f} | {model['peak_gib']['conversion']:.1f}"
        shown = f"{name} (`--unsafe`)" if model["loads"] == "unsafe" else name
        lines.append(
            f"| {shown} | {model['route']} | {nodes} | {model['transposes']} | {error} | {cost} | {' | '.join(times)} |"
        )
    return "\n".join(lines)


def _latency(speed: dict[str, float] | None) -> str:
    if not speed:
        return ""
    ratio = f", **{speed['ratio']:.2f}x**" if "ratio" in speed else ""
    return f"{speed['ours_ms']:.2f} ms{ratio}"


def keras_failures_table() -> str:
    """Why Keras' own export of a design gives no graph that runs."""
    lines = ["| design | Keras' own export |", "| --- | --- |"]
    for name, model in bench_record("models")["models"].items():
        reason = model.get("speed", {}).get("keras") or model.get("keras", {}).get("error")
        if reason:
            lines.append(f"| {name} | {_cell(reason)} |")
    return "\n".join(lines)


def _cell(text: str, length: int = 160) -> str:
    """Text for a cell of a table."""
    short = text if len(text) <= length else text[:length].rsplit(" ", 1)[0] + " ..."
    return "`" + short.replace("`", "'").replace("|", "/") + "`"


def packages_table() -> str:
    """Models of other packages."""
    lines = [
        "| model | parameters | route | nodes | error of the graph | of Keras' float32 | MiB: model, conversion, "
        "check |",
        "| --- | ---: | --- | ---: | ---: | ---: | ---: |",
    ]
    models = bench_record("packages")["models"]
    for name, model in models.items():
        if not model.get("passed"):
            lines.append(f"| {name} | {model.get('parameters', 0):,} | no graph | | | | |")
            continue
        errors = " | ".join(f"{model[key]:.0e}" for key in ("max_error", "keras_error"))
        memory = ", ".join(str(model["peak_mib"][stage]) for stage in ("model", "conversion", "parity"))
        lines.append(
            f"| {name} | {model['parameters']:,} | {model['route']} | {model['nodes']} | {errors} | {memory} |"
        )
    return "\n".join(lines)


def packages_failures() -> str:
    """Why a model of another package is not converted, or not by the direct route alone."""
    lines = ["| model | reason |", "| --- | --- |"]
    models = bench_record("packages")["models"]
    for name, model in models.items():
        reason = model.get("error") or model.get("reason") or model.get("load_error")
        if reason:
            lines.append(f"| {name} | {_cell(' '.join(reason.split()), 300)} |")
    return "\n".join(lines)


def keras_2_table() -> str:
    """Models of published packages, as Keras 2 saved them, against what Keras 2 computed."""
    lines = [
        "| package | file | saved by | options | route | nodes | parity | error |",
        "| --- | --- | --- | --- | --- | ---: | --- | ---: |",
    ]
    for name, row in bench_record("keras2")["files"].items():
        package, file = name.split("--")
        options = " ".join(f"`{option}`" for option in row["options"])
        cells = [package, f"`{file}`", row["keras"], options]
        if "message" in row:
            cells += ["", "", row["message"], ""]
        else:
            cells += [row["route"], str(row["nodes"]), "passed", f"{row['error']:.0e}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def targets_table() -> str:
    """What each target of the export has, from the table that the export uses."""
    record = bench_record("targets")["targets"]
    lines = [
        "| target | default opset | possible opsets | several groups of a normalization | operators that it lacks "
        "| models run there |",
        "| --- | ---: | --- | --- | --- | --- |",
    ]
    for name, target in TARGETS.items():
        form = "`GroupNormalization`" if target.portable else "`InstanceNormalization` between reshapes"
        lacks = f"{len(target.missing)}" if target.missing else "none"
        if CLASSICAL not in target.domains:
            lacks += f", and all of `{CLASSICAL}`"
        lines.append(
            f"| `{name}` | {target.opset} | {target.lowest_opset} to {target.highest_opset} | {form} | {lacks} "
            f"| {_models_run(record.get(name))} |"
        )
    return "\n".join(lines)


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
    lines = [f"| model | {' | '.join(record)} |", f"| --- |{' ---: |' * len(record)}"]
    for name in next(iter(record.values()))["models"]:
        cells = []
        for target in record.values():
            row = target["models"][name]
            problem = re.search("got (.*); choose another", row.get("refused", ""))
            if "refused" in row:
                cells.append(problem[1] if problem else row["refused"])
            else:
                error = row.get("error")
                cells.append("exported" if error is None else f"{error:.0e}" if error else "0")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)
