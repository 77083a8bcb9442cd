"""Tables of speed and size, from the records in results/bench/."""

from bench_records import bench_record
from markdown_tables import markdown_table

KERAS = "Keras' export"


def speed_table() -> str:
    """Latency of each norm's graph and of other ways to run the same model."""
    titles = (
        "norm",
        "batch:",
        "this export:",
        "Keras' own export:",
        "ratio:",
        "tf2onnx route:",
        "`tf.function`:",
    )
    cells = []
    for norm, model in bench_record("export")["models"].items():
        for batch in (1, 32):
            rows = {row["name"]: row for row in model["speed"] if row["batch"] == batch}
            ms = {name: f"{row['median_ms']:.3f} ms" for name, row in rows.items()}
            ratio = f"**{rows[KERAS]['ratio']:.1f}x**"
            cells.append(
                (norm, batch, ms["kerasnorm"], ms[KERAS], ratio, ms["tf2onnx route"], ms["tf.function"])
            )
    return markdown_table(titles, cells)


def agreement_table() -> str:
    """Size, agreement on MNIST's test images, and cold start."""
    titles = (
        *("norm", "nodes (Keras' export):", "bytes:", "largest difference of a probability (Keras' export):"),
        *("classes that differ:", "cold start (Keras):"),
    )
    rows = []
    for norm, model in bench_record("export")["models"].items():
        nodes, agreement, start = model["nodes"], model["agreement"], model["cold_start"]
        rows.append(
            (
                norm,
                f"{nodes['ours']} ({nodes['keras']})",
                f"{model['bytes']['ours']:,}",
                f"{agreement['ours']['max_abs']:.1e} ({agreement['keras']['max_abs']:.1e})",
                f"{agreement['ours']['classes_that_differ']} of 10,000",
                f"{start['infer']:.2f} s ({start['keras']:.1f} s)",
            )
        )
    return markdown_table(titles, rows)


def quantization_table() -> str:
    """Accuracy, size and latency of quantized graphs, as benchmarks/quantization.py recorded them."""
    titles = ("network", "graph", "accuracy:", "bytes:", "batch 1, ms:", "batch 32, ms:")
    rows = []
    for name, network in bench_record("quantization")["networks"].items():
        for graph, one in network.items():
            times = (f"{one['median_ms'][batch]:.3f}" for batch in ("1", "32"))
            rows.append((name, graph, f"{100 * one['accuracy']:.2f} %", f"{one['bytes']:,}", *times))
    return markdown_table(titles, rows)


def throughput_table() -> str:
    """Images per second in a training epoch, for each network and each way to train it."""
    record = bench_record("train")
    titles = (
        *("norm", "stock Keras layers:", "kerasnorm:", "ratio:", "PyTorch (no augmentation):"),
        *("the convolutions alone:", "share of that reached:", "ratio on one core:"),
    )
    rows = []
    for norm in record["one_core"]:
        kinds = record["networks"][norm]
        speed = {kind: f"{value['images_per_second']:,}" for kind, value in kinds.items()}
        share = kinds["ours"]["ratio"] / kinds["floor"]["ratio"]
        ratio, on_one_core = f"**{kinds['ours']['ratio']:.2f}x**", record["one_core"][norm]["ours"]["ratio"]
        torch, reached = speed.get("torch", ""), f"{100 * share:.0f} %"
        rows.append(
            (
                norm,
                speed["stock"],
                speed["ours"],
                ratio,
                torch,
                speed["floor"],
                reached,
                f"{on_one_core:.2f}x",
            )
        )
    return markdown_table(titles, rows)


def resnet_table() -> str:
    """Images per second in a training epoch of a larger network."""
    titles = ("ResNet of 14 layers, 32x32x3", "stock Keras layers:", "`speed_up`:", "ratio:")
    networks = bench_record("train")["networks"]
    rows = []
    for norm, name in (("bn", "BatchNormalization"), ("gn", "GroupNormalization(groups=8)")):
        kinds = networks[f"resnet-{norm}"]
        speed = (f"{kinds[kind]['images_per_second']:,}" for kind in ("stock", "ours"))
        rows.append((name, *speed, f"**{kinds['ours']['ratio']:.2f}x**"))
    return markdown_table(titles, rows)


def float16_table() -> str:
    """Files with float16 weights against files with float32 weights."""
    titles = ("model", "bytes, float32 / float16:", "moves by:", "other classes:", "batch 1:", "batch 32:")
    rows = []
    for name, model in bench_record("float16")["models"].items():
        size = model["bytes"]
        speed = (
            f"{one['float16_ms']:.2f} ms, **{one['ratio']:.2f}x**"
            for one in (model["batch 1"], model["batch 32"])
        )
        rows.append(
            (
                name,
                f"{size['float32']:,} / {size['float16']:,}",
                f"{100 * model['move']:.2f} %",
                f"{model['flipped']} of {model['rows']:,}",
                *speed,
            )
        )
    return markdown_table(titles, rows)


def applications_table() -> str:
    """Size, agreement and latency of larger models, as scripts/bench_applications.py recorded them."""
    titles = (
        *("model", "route", "nodes (Keras' export):", "transposes:", "largest difference:"),
        *("latency, ms:", "Keras' export, ms:", "ratio:"),
    )
    rows = []
    for name, model in bench_record("applications")["models"].items():
        speed, keras = model.get("speed", {}), model.get("keras", {})
        counts = [
            f"{model[key]} ({keras[key]})" if key in keras else model[key] for key in ("nodes", "transposes")
        ]
        times = ["", "", ""]
        if speed:
            times = [f"{speed['ours_ms']:.1f}", "fails", ""]
        if "ratio" in speed:
            times[1:] = [f"{speed['keras_ms']:.1f}", f"**{speed['ratio']:.2f}x**"]
        rows.append((name, model["route"], *counts, f"{model['max_abs']:.0e}", *times))
    return markdown_table(titles, rows)
