"""Write README.md's tables from the records in docs/; each stands between two comment lines.

usage: python scripts/tables.py [--check]   (--check: only say whether README.md is up to date)
"""

import json
import sys
from pathlib import Path
from typing import Any

from kerasnorm.compare import NORM_NAMES

ROOT = Path(__file__).resolve().parent.parent
KERAS = "Keras' export"


def training_table() -> str:
    """The runs of recipe `documented` on MNIST."""
    lines = [
        "| norm | penalties | parameters | test accuracy, last epoch | best epoch | train accuracy | minutes |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for norm, name in NORM_NAMES.items():
        folder = ROOT / f"docs/runs/{norm}-mnist-documented-seed0"
        config, metrics = (
            json.loads((folder / f"{file}.json").read_text()) for file in ("config", "metrics")
        )
        recipe = config["recipe"]
        penalties = " + ".join(f"{key.upper()} {recipe[key]:g}" for key in ("l1", "l2") if recipe[key])
        lines.append(
            f"| {norm}, {name} | {penalties} | {metrics['trainable_parameters']:,} "
            f"| {100 * metrics['test_accuracy']:.2f} % "
            f"| {100 * metrics['best_test_accuracy']:.2f} % ({metrics['best_epoch']}) "
            f"| {100 * metrics['train_accuracy']:.2f} % | {metrics['seconds'] / 60:.1f} |"
        )
    return "\n".join(lines)


def export_record() -> dict[str, Any]:
    """What scripts/bench_export.py recorded."""
    record: dict[str, Any] = json.loads((ROOT / "docs/bench/export.json").read_text())
    return record


def speed_table() -> str:
    """Latency of each norm's graph against other ways to run the same model."""
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


def int8_table() -> str:
    """What scripts/bench_int8.py recorded."""
    record = json.loads((ROOT / "docs/bench/int8.json").read_text())
    lines = [
        "| norm | test accuracy, float32 / int8 | batch 1, ms | batch 32, ms | batch 256, ms |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for norm, model in record["models"].items():
        both = [model["float32"], model["int8"]]
        accuracy = " / ".join(f"{100 * one['test_accuracy']:.2f} %" for one in both)
        times = [" / ".join(f"{one['median_ms'][batch]:.3f}" for one in both) for batch in ("1", "32", "256")]
        lines.append(f"| {norm} | {accuracy} | {times[0]} | {times[1]} | {times[2]} |")
    return "\n".join(lines)


def train_record() -> dict[str, Any]:
    """What benchmarks/train_throughput.py recorded."""
    record: dict[str, Any] = json.loads((ROOT / "docs/bench/train.json").read_text())
    return record


def throughput_table() -> str:
    """Images per second of a training epoch, each network's candidates side by side."""
    record = train_record()
    lines = [
        "| norm | stock Keras layers | kerasnorm | ratio | PyTorch (no augmentation) | the convolutions alone "
        "| share of them reached | ratio on one core |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for norm in NORM_NAMES:
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
    """The fast layers in a bigger network."""
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


TABLES = {
    "training": training_table,
    "throughput": throughput_table,
    "resnet": resnet_table,
    "speed": speed_table,
    "agreement": agreement_table,
    "int8": int8_table,
}


def main() -> int:
    """Rewrite each table, or compare it."""
    path = ROOT / "README.md"
    old = text = path.read_text(encoding="utf-8")
    for name, table in TABLES.items():
        start, end = f"<!-- table {name} -->\n", f"<!-- end of table {name} -->"
        if start not in text or end not in text:
            print(f"README.md: expected the lines {start.strip()} and {end}", file=sys.stderr)
            return 1
        head, rest = text.split(start, 1)
        text = head + start + table() + "\n" + end + rest.split(end, 1)[1]
    if "--check" in sys.argv:
        if text != old:
            print(
                "README.md: its tables are not those of the records in docs/; run scripts/tables.py",
                file=sys.stderr,
            )
        return int(text != old)
    path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
