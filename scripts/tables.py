"""Write the tables of README.md and docs/ from the records in results/; each table is between two comment lines.

usage: python scripts/tables.py [--check]   (--check: only report whether the pages are up to date)
"""

import json
import re
import statistics
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from export.command import run
from export.errors import CheckError, UserError
from export.files import write_text
from export.targets import CLASSICAL, TARGETS
from kerasnorm.norms import NORMS
from kerasnorm.study.plan import Run
from kerasnorm.study.statistics import summarize
from kerasnorm.study.tables import accuracies, differences_table, result_row

ROOT = Path(__file__).resolve().parent.parent
KERAS = "Keras' export"

# What the reference's notebook reported, in percent, of one run each: last epoch, best epoch, train accuracy.
REFERENCE = {"bn": (99.21, 99.38, 99.10), "ln": (99.34, 99.36, 99.19), "gn": (99.40, 99.41, 99.34)}


def study_runs(recipe: str) -> list[Run]:
    """Return the recorded runs of a recipe on MNIST."""
    found = [
        Run(norm, int(path.name.rsplit("seed", 1)[1]), path)
        for norm in NORMS
        for path in (ROOT / "results/runs").glob(f"{norm}-mnist-{recipe}-seed*")
    ]
    return sorted(found, key=lambda run: (run.norm, run.seed))


def results_table() -> str:
    """Test accuracy of each norm and recipe, beside the reference's."""
    runs = {recipe: study_runs(recipe) for recipe in ("notebook", "documented", "best")}
    names = [f"`{recipe}`, {len({run.seed for run in found})} seeds" for recipe, found in runs.items()]
    lines = [f"| norm | PyTorch study | {' | '.join(names)} |", "| --- | ---: | ---: | ---: | ---: |"]
    for norm, (reference, *_) in REFERENCE.items():
        summaries = [summarize(accuracies(found, norm)) for found in runs.values()]
        cells = [f"{summary.mean:.2f} ± {summary.deviation:.2f}" for summary in summaries]
        lines.append(f"| {norm}, {NORMS[norm].name} | {reference:.2f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def study_table() -> str:
    """The study's results on MNIST beside the reference's."""
    lines = [
        "| norm | recipe | seeds | test accuracy, last epoch | smallest to largest | 95 % interval of the mean "
        "| best epoch | train accuracy |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for norm, values in REFERENCE.items():
        last, best, training = (f"{value:.2f}" for value in values)
        lines.append(
            f"| {norm}, {NORMS[norm].name} | reference's notebook | 1 | {last} | | | {best} | {training} |"
        )
        for recipe in ("notebook", "documented"):
            lines.append(f"| | `{recipe}` | {result_cells(study_runs(recipe), norm)} |")
    return "\n".join(lines)


def result_cells(runs: list[Run], norm: str) -> str:
    """Cells for a norm: seeds, last epoch, its range and interval, best epoch, train accuracy."""
    seeds, last, *others = result_row(runs, norm)
    return " | ".join([seeds, f"**{last}**", *others])


def best_table() -> str:
    """Recipe `best` on MNIST's test images, for each norm that has runs."""
    lines = [
        "| norm | seeds | test accuracy, last epoch | smallest to largest | 95 % interval of the mean "
        "| best epoch | train accuracy | minutes |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    runs = study_runs("best")
    for key, norm in NORMS.items():
        minutes = [run.metrics["seconds"] / 60 for run in runs if run.norm == key]
        if minutes:
            cells = result_cells(runs, key)
            lines.append(f"| {key}, {norm.name} | {cells} | {statistics.median(minutes):.1f} |")
    return "\n".join(lines)


def cluster_cost() -> str:
    """What a thousand runs of a recipe cost, by the median of the recorded runs."""
    # scripts/study.py trained one run at a time on two cores, scripts/best.py one on each core.
    cores = {"notebook": 2, "documented": 2, "best": 1}
    lines = [
        "| recipe | recorded runs | cores of a run | minutes of a run, median | 1,000 runs: core hours | hours on 100 "
        "cores |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for recipe, count in cores.items():
        runs = study_runs(recipe)
        seconds = statistics.median(run.metrics["seconds"] for run in runs)
        core_hours = 1000 * count * seconds / 3600
        lines.append(
            f"| `{recipe}` | {len(runs)} | {count} | {seconds / 60:.1f} | {core_hours:.0f} | {core_hours / 100:.1f} |"
        )
    return "\n".join(lines)


def recipe_differences(recipe: str) -> str:
    """Paired differences between the norms that have runs of a recipe."""
    runs = study_runs(recipe)
    found = {run.norm for run in runs}
    return differences_table(runs, [norm for norm in NORMS if norm in found]).markdown()


def written_table(path: str) -> str:
    """Return a table in results/ that scripts/study.py or scripts/best.py wrote."""
    return (ROOT / "results" / path).read_text(encoding="utf-8").strip()


def export_record() -> dict[str, Any]:
    """Return the record of scripts/bench_export.py."""
    record: dict[str, Any] = json.loads((ROOT / "results/bench/export.json").read_text())
    return record


def speed_table() -> str:
    """Latency of each norm's graph and of other ways to run the same model."""
    lines = [
        "| norm | batch | this export | Keras' own export | ratio | tf2onnx route | `tf.function` |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for norm, model in export_record()["models"].items():
        for batch in (1, 32):
            rows = {row["name"]: row for row in model["speed"] if row["batch"] == batch}
            ms = {name: f"{row['median_ms']:.3f} ms" for name, row in rows.items()}
            lines.append(
                f"| {norm} | {batch} | {ms['kerasnorm']} | {ms[KERAS]} | **{rows[KERAS]['ratio']:.1f}x** "
                f"| {ms['tf2onnx route']} | {ms['tf.function']} |"
            )
    return "\n".join(lines)


def agreement_table() -> str:
    """Size, agreement on MNIST's test images, and cold start."""
    lines = [
        "| norm | nodes (Keras' export) | bytes | largest difference of a probability (Keras' export) "
        "| classes that differ | cold start (Keras) |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for norm, model in export_record()["models"].items():
        nodes, agreement, start = model["nodes"], model["agreement"], model["cold_start"]
        lines.append(
            f"| {norm} | {nodes['ours']} ({nodes['keras']}) | {model['bytes']['ours']:,} "
            f"| {agreement['ours']['max_abs']:.1e} ({agreement['keras']['max_abs']:.1e}) "
            f"| {agreement['ours']['classes_that_differ']} of 10,000 "
            f"| {start['infer']:.2f} s ({start['keras']:.1f} s) |"
        )
    return "\n".join(lines)


def quantization_table() -> str:
    """Accuracy, size and latency of quantized graphs, as benchmarks/quantization.py recorded them."""
    record = json.loads((ROOT / "results/bench/quantization.json").read_text())
    lines = [
        "| network | graph | accuracy | bytes | batch 1, ms | batch 32, ms |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for name, network in record["networks"].items():
        for graph, one in network.items():
            times = " | ".join(f"{one['median_ms'][batch]:.3f}" for batch in ("1", "32"))
            lines.append(f"| {name} | {graph} | {100 * one['accuracy']:.2f} % | {one['bytes']:,} | {times} |")
    return "\n".join(lines)


def applications_table() -> str:
    """Size, agreement and latency of larger models, as scripts/bench_applications.py recorded them."""
    record = json.loads((ROOT / "results/bench/applications.json").read_text())
    lines = [
        "| model | route | nodes (Keras' export) | transposes | largest difference | latency, ms | Keras' export, ms "
        "| ratio |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, model in record["models"].items():
        speed, keras = model.get("speed", {}), model.get("keras", {})
        counts = [
            f"{model[key]} ({keras[key]})" if key in keras else model[key] for key in ("nodes", "transposes")
        ]
        cells = ["", "", ""]
        if speed:
            cells = [f"{speed['ours_ms']:.1f}", "fails", ""]
        if "ratio" in speed:
            cells[1:] = [f"{speed['keras_ms']:.1f}", f"**{speed['ratio']:.2f}x**"]
        lines.append(
            f"| {name} | {model['route']} | {counts[0]} | {counts[1]} | {model['max_abs']:.0e} "
            f"| {' | '.join(cells)} |"
        )
    return "\n".join(lines)


def train_record() -> dict[str, Any]:
    """Return the record of benchmarks/train_throughput.py."""
    record: dict[str, Any] = json.loads((ROOT / "results/bench/train.json").read_text())
    return record


def throughput_table() -> str:
    """Images per second in a training epoch, for each network and each way to train it."""
    record = train_record()
    lines = [
        "| norm | stock Keras layers | kerasnorm | ratio | PyTorch (no augmentation) | the convolutions alone "
        "| share of them reached | ratio on one core |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for norm in record["one_core"]:
        kinds = record["networks"][norm]
        speed = {kind: f"{value['images_per_second']:,}" for kind, value in kinds.items()}
        share = kinds["ours"]["ratio"] / kinds["floor"]["ratio"]
        lines.append(
            f"| {norm} | {speed['stock']} | {speed['ours']} | **{kinds['ours']['ratio']:.2f}x** "
            f"| {speed.get('torch', '')} | {speed['floor']} | {100 * share:.0f} % "
            f"| {record['one_core'][norm]['ours']['ratio']:.2f}x |"
        )
    return "\n".join(lines)


def resnet_table() -> str:
    """Images per second in a training epoch of a larger network."""
    lines = [
        "| ResNet of 14 layers, 32x32x3 | stock Keras layers | `speed_up` | ratio |",
        "| --- | ---: | ---: | ---: |",
    ]
    for norm, name in (("bn", "BatchNormalization"), ("gn", "GroupNormalization(groups=8)")):
        kinds = train_record()["networks"][f"resnet-{norm}"]
        stock, ours = kinds["stock"], kinds["ours"]
        lines.append(
            f"| {name} | {stock['images_per_second']:,} | {ours['images_per_second']:,} | **{ours['ratio']:.2f}x** |"
        )
    return "\n".join(lines)


def faults_table() -> str:
    """Single faults in right graphs, and how many of them the parity check finds."""
    lines = [
        "| right graph | error of the graph | of Keras' float32 | allowed | faults that matter | found, random data "
        "| found, with data of the kind |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    cases = json.loads((ROOT / "results/bench/parity_faults.json").read_text())["cases"]
    for name, case in cases.items():
        numbers = " | ".join(f"{case[key]:.0e}" for key in ("error", "keras_error", "allowance"))
        counts = " | ".join(str(case[key]) for key in ("matter", "found", "found_with_data"))
        lines.append(f"| {name} | {numbers} | {counts} |")
    total = {key: sum(case[key] for case in cases.values()) for key in ("matter", "found", "found_with_data")}
    shares = [f"{100 * total[key] / total['matter']:.1f} %" for key in ("found", "found_with_data")]
    lines.append(f"| together | | | | {total['matter']} | {total['found']}, {shares[0]} | {shares[1]} |")
    return "\n".join(lines)


def model_record() -> dict[str, Any]:
    """Return the models of the record of benchmarks/model_table.py."""
    models: dict[str, Any] = json.loads((ROOT / "results/bench/models.json").read_text())["models"]
    return models


def models_table() -> str:
    """Route, size, agreement, cost and latency of designs."""
    lines = [
        "| design | route | nodes (Keras' export) | transposes | error (Keras' float32) | conversion, s | memory, GiB "
        "| batch 1 | batch 32 |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, model in model_record().items():
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


def float16_table() -> str:
    """Files with float16 weights against files with float32 weights."""
    lines = [
        "| model | bytes, float32 / float16 | moves by | other classes | batch 1 | batch 32 |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, model in json.loads((ROOT / "results/bench/float16.json").read_text())["models"].items():
        size = model["bytes"]
        speed = [
            f"{one['float16_ms']:.2f} ms, **{one['ratio']:.2f}x**"
            for one in (model["batch 1"], model["batch 32"])
        ]
        cells = [
            f"{size['float32']:,} / {size['float16']:,}",
            f"{100 * model['move']:.2f} %",
            f"{model['flipped']} of {model['rows']:,}",
            *speed,
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _latency(speed: dict[str, float] | None) -> str:
    if not speed:
        return ""
    ratio = f", **{speed['ratio']:.2f}x**" if "ratio" in speed else ""
    return f"{speed['ours_ms']:.2f} ms{ratio}"


def keras_failures_table() -> str:
    """Why Keras' own export of a design gives no graph that runs."""
    lines = ["| design | Keras' own export |", "| --- | --- |"]
    for name, model in model_record().items():
        reason = model.get("speed", {}).get("keras") or model.get("keras", {}).get("error")
        if reason:
            lines.append(f"| {name} | {_cell(reason)} |")
    return "\n".join(lines)


def _cell(text: str, length: int = 160) -> str:
    """Text for a cell of a table."""
    short = text if len(text) <= length else text[:length].rsplit(" ", 1)[0] + " ..."
    return "`" + short.replace("`", "'").replace("|", "/") + "`"


def parity_of_applications_table() -> str:
    """The parity check on the architectures of keras.applications, with logits."""
    lines = [
        "| architecture | rows | error of the graph | of Keras' float32 | allowed | CPU seconds | memory, GiB |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    models = json.loads((ROOT / "results/bench/parity_applications.json").read_text())["models"]
    for name, model in sorted(models.items()):
        numbers = " | ".join(f"{model[key]:.0e}" for key in ("error", "keras_error", "allowance"))
        seconds = model["seconds"]["parity_cpu"]
        passed = "" if model["passed"] else " (refused)"
        lines.append(
            f"| {name}{passed} | {model['rows']} | {numbers} | {seconds:.0f} | {model['peak_gib']['parity']:.1f} |"
        )
    return "\n".join(lines)


def packages_table() -> str:
    """Models of other packages."""
    lines = [
        "| model | parameters | route | nodes | error of the graph | of Keras' float32 | MiB: model, conversion, "
        "check |",
        "| --- | ---: | --- | ---: | ---: | ---: | ---: |",
    ]
    models = json.loads((ROOT / "results/bench/packages.json").read_text())["models"]
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


def keras_2_table() -> str:
    """Models of published packages, as Keras 2 saved them, against what Keras 2 computed."""
    lines = [
        "| package | file | saved by | options | route | nodes | parity | error |",
        "| --- | --- | --- | --- | --- | ---: | --- | ---: |",
    ]
    for name, row in json.loads((ROOT / "results/bench/keras2.json").read_text())["files"].items():
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
    record = json.loads((ROOT / "results/bench/targets.json").read_text())["targets"]
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
    record = json.loads((ROOT / "results/bench/targets.json").read_text())["targets"]
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


def packages_failures() -> str:
    """Why a model of another package is not converted, or not by the direct route alone."""
    lines = ["| model | reason |", "| --- | --- |"]
    models = json.loads((ROOT / "results/bench/packages.json").read_text())["models"]
    for name, model in models.items():
        reason = model.get("error") or model.get("reason") or model.get("load_error")
        if reason:
            lines.append(f"| {name} | {_cell(' '.join(reason.split()), 300)} |")
    return "\n".join(lines)


TABLES: dict[str, dict[str, Callable[[], str]]] = {
    "README.md": {
        "results": results_table,
        "speed": speed_table,
    },
    "docs/training/speed.md": {
        "throughput": throughput_table,
        "resnet": resnet_table,
    },
    "docs/study/index.md": {
        "study": study_table,
        "differences": partial(recipe_differences, "notebook"),
        "differences-documented": partial(recipe_differences, "documented"),
    },
    "docs/study/penalties.md": {"penalties": partial(written_table, "study/penalties/table.md")},
    "docs/study/batch-size.md": {"batch-size": partial(written_table, "study/batch-size/table.md")},
    "docs/study/cluster.md": {"cluster cost": cluster_cost},
    "docs/study/best.md": {
        "best": best_table,
        "onnx": partial(written_table, "best/onnx.md"),
        "tuning": partial(written_table, "best/tuning.md"),
        "ablation": partial(written_table, "best/ablation.md"),
        "growth": partial(written_table, "best/growth.md"),
    },
    "docs/export/parity.md": {
        "parity-faults": faults_table,
        "parity-applications": parity_of_applications_table,
    },
    "docs/export/dtypes.md": {"float16": float16_table},
    "docs/export/speed.md": {
        "speed": speed_table,
        "agreement": agreement_table,
    },
    "docs/export/keras2.md": {"keras2": keras_2_table},
    "docs/export/models.md": {"models": models_table, "keras-failures": keras_failures_table},
    "docs/export/packages.md": {"packages": packages_table, "packages-failures": packages_failures},
    "docs/export/quantization.md": {"quantization": quantization_table},
    "docs/export/applications.md": {"applications": applications_table},
    "docs/export/options.md": {"targets": targets_table, "target-models": target_models_table},
}


def with_tables(page: str, text: str) -> str:
    """The text of a page with its tables as the records have them.

    Raises:
        UserError: the page lacks the lines that a table is between.
    """
    for name, table in TABLES[page].items():
        start, end = f"<!-- table {name} -->\n", f"<!-- end of table {name} -->"
        if start not in text or end not in text:
            raise UserError(
                f"{page}: expected the lines {start.strip()} and {end}, got a page without them; add them"
            )
        head, rest = text.split(start, 1)
        text = head + start + table() + "\n" + end + rest.split(end, 1)[1]
    return text


def main(argv: Sequence[str] | None = None) -> int:
    """Rewrite the tables, or check them."""
    outdated = []
    for page in TABLES:
        old = (ROOT / page).read_text(encoding="utf-8")
        new = with_tables(page, old)
        if new != old:
            outdated.append(page)
            if "--check" not in sys.argv:
                write_text(ROOT / page, new)
    if outdated and "--check" in sys.argv:
        raise CheckError(
            f"{', '.join(outdated)}: expected the tables of the records in results/, got others; run scripts/tables.py"
        )
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
