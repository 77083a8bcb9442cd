"""Tables of speed and size, from the records in results/bench/."""

from bench_records import bench_record

KERAS = "Keras' export"


def speed_table() -> str:
    """Latency of each norm's graph and of other ways to run the same model."""
    lines = [
        "| norm | batch | this export | Keras' own export | ratio | tf2onnx route | `tf.function` |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for norm, model in bench_record("export")["models"].items():
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
    for norm, model in bench_record("export")["models"].items():
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
    record = bench_record("quantization")
    lines = [
        "| network | graph | accuracy | bytes | batch 1, ms | batch 32, ms |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for name, network in record["networks"].items():
        for graph, one in network.items():
            times = " | ".join(f"{one['median_ms'][batch]:.3f}" for batch in ("1", "32"))
            lines.append(f"| {name} | {graph} | {100 * one['accuracy']:.2f} % | {one['bytes']:,} | {times} |")
    return "\n".join(lines)


def throughput_table() -> str:
    """Images per second in a training epoch, for each network and each way to train it."""
    record = bench_record("train")
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
        kinds = bench_record("train")["networks"][f"resnet-{norm}"]
        stock, ours = kinds["stock"], kinds["ours"]
        lines.append(
            f"| {name} | {stock['images_per_second']:,} | {ours['images_per_second']:,} | **{ours['ratio']:.2f}x** |"
        )
    return "\n".join(lines)


def float16_table() -> str:
    """Files with float16 weights against files with float32 weights."""
    lines = [
        "| model | bytes, float32 / float16 | moves by | other classes | batch 1 | batch 32 |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, model in bench_record("float16")["models"].items():
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


def applications_table() -> str:
    """Size, agreement and latency of larger models, as scripts/bench_applications.py recorded them."""
    record = bench_record("applications")
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
