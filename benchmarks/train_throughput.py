"""Images per second of a training epoch: ours, stock Keras layers, PyTorch; recorded in results/bench/train.json.

usage: python benchmarks/train_throughput.py [--rounds 5] [--images 25600] [--batch-size 128]

Each candidate trains in a process of its own, because thread settings apply to a process. The processes take turns,
so that all of them run in the same state of the machine. The record has medians, and the median of the ratio within a
turn. A turn is a `fit` of one epoch, without evaluation.

    ours    as kerasnorm.train trains: speed_up, parts, augmentation and penalties
    stock   the same network, penalties and augmented batches in `fit` with Keras' own layers
    torch   the same network and penalties in a PyTorch loop, without augmentation; if torch is installed
    floor   ours without normalization, dropout, ReLU, penalties and augmentation: the convolutions alone

A ResNet of 14 layers trains on an eighth as many 32x32x3 images, as arrays given to `fit`: stock and ours. The
study's networks are measured on one core too. PyTorch is not a dependency: `pip install torch` adds its column. Run
nothing else meanwhile; it takes a quarter of an hour.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from export.files import write_json
from kerasnorm.norms import NORMS, REFERENCE

ROOT = Path(__file__).resolve().parent.parent
RESNETS = ("resnet-bn", "resnet-gn")
TORCH_LAYERS: dict[str, Callable[[Any], Any]] = {
    "bn": lambda nn: nn.BatchNorm2d(16),
    "ln": lambda nn: nn.GroupNorm(1, 16),
    "gn": lambda nn: nn.GroupNorm(4, 16),
}
Epoch = Callable[[], float]


def cnn_images(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return random images of MNIST's size and labels; the speed does not depend on their values."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, 28, 28, 1), np.uint8), rng.integers(0, 10, count)


def keras_epoch(kind: str, norm: str, count: int, batch_size: int) -> Epoch:
    """Return a function that trains an epoch with Keras and returns its seconds."""
    from export.command import import_tensorflow_quietly

    import_tensorflow_quietly()
    import keras

    from kerasnorm.augment import Augmentation, steps_per_epoch, training_batches
    from kerasnorm.speed import set_threads, speed_up, steps_per_execution

    parts = set_threads() if kind in ("ours", "floor") else 0
    keras.utils.set_random_seed(0)
    x, y = cnn_images(count)
    augmentation = Augmentation()
    if norm in RESNETS:
        x = np.random.default_rng(1).integers(0, 256, (count, 32, 32, 3), np.uint8)
        model = resnet(norm.removeprefix("resnet-"))
    elif kind == "floor":
        model = convolutions()
        augmentation = Augmentation(rotation=0.0, brightness=0.0, contrast=0.0)
    else:
        model = study_model(norm)
    if parts:
        model.steps_per_execution = steps_per_execution(steps_per_epoch(count, batch_size))
        speed_up(model, parts)

    class Clock(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
            self.start = time.perf_counter()

        def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
            self.seconds = time.perf_counter() - self.start

    def epoch() -> float:
        clock = Clock()
        if norm in RESNETS:
            model.fit(x, y, batch_size, verbose=0, callbacks=[clock])
        else:
            batches = training_batches(x, y, batch_size, epochs=1, seed=0, augmentation=augmentation)
            model.fit(
                batches, steps_per_epoch=steps_per_epoch(count, batch_size), shuffle=False, verbose=0,
                callbacks=[clock],
            )  # fmt: skip
        return float(clock.seconds)

    return epoch


def compiled(model: Any) -> Any:
    """Compile a model as the recipe `documented` does."""
    from kerasnorm import RECIPES

    recipe = RECIPES["documented"]
    model.compile(recipe.optimizer(steps_per_epoch=1), recipe.loss(), metrics=recipe.metrics())
    return model


def study_model(norm: str) -> Any:
    """Return the study's network with its own penalties."""
    from kerasnorm import RECIPES, build_cnn

    recipe = RECIPES["documented"].for_norm(norm)
    return compiled(build_cnn(norm, l1=recipe.l1 or 0.0, l2=recipe.l2 or 0.0))


def convolutions() -> Any:
    """Return the network without normalization, dropout, ReLU and penalties."""
    import keras

    inputs = keras.Input((28, 28, 1))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    for index in range(5):
        x = keras.layers.Conv2D(16, 3, use_bias=False)(x)
        if index == 1:
            x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return compiled(keras.Model(inputs, keras.layers.Dense(10, "softmax", use_bias=False)(x)))


def resnet(norm: str) -> Any:
    """Return a ResNet of 14 layers, 16 to 64 channels (He et al. 2016, arXiv:1603.05027), with bn or gn."""
    import keras

    def normalized(x: Any) -> Any:
        if norm == "bn":
            return keras.layers.BatchNormalization()(x)
        return keras.layers.GroupNormalization(groups=8)(x)

    inputs = keras.Input((32, 32, 3))
    x = keras.layers.Rescaling(1 / 127.5, -1)(inputs)
    x = keras.layers.Conv2D(16, 3, padding="same", use_bias=False)(x)
    for filters in (16, 32, 64):
        for block in range(2):
            strides = 2 if filters > 16 and block == 0 else 1
            y = keras.layers.ReLU()(normalized(x))
            if block == 0:
                x = keras.layers.Conv2D(filters, 1, strides, use_bias=False)(y)
            y = keras.layers.Conv2D(filters, 3, strides, "same", use_bias=False)(y)
            y = keras.layers.Dropout(0.1)(keras.layers.ReLU()(normalized(y)))
            y = keras.layers.Conv2D(filters, 3, 1, "same", use_bias=False)(y)
            x = keras.layers.Add()([x, y])
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(normalized(x)))
    return compiled(keras.Model(inputs, keras.layers.Dense(10, "softmax")(x)))


def torch_epoch(norm: str, count: int, batch_size: int) -> Epoch:
    """Return a function that trains an epoch with PyTorch and returns its seconds."""
    import torch
    from torch import nn

    from kerasnorm import RECIPES

    recipe = RECIPES["documented"].for_norm(norm)
    torch.manual_seed(0)
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    layers: list[nn.Module] = []
    for index in range(5):
        conv = nn.Conv2d(16 if index else 1, 16, 3, bias=False)
        layers += [conv, nn.ReLU(), TORCH_LAYERS[norm](nn), nn.Dropout(0.05)]
        layers += [nn.MaxPool2d(2)] if index == 1 else []
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Conv2d(16, 10, 1, bias=False), nn.Flatten())
    optimizer = torch.optim.SGD(model.parameters(), 0.025, 0.8, weight_decay=recipe.l2 or 0.0)
    images, labels = cnn_images(count)
    x, y = torch.from_numpy(images.transpose(0, 3, 1, 2)), torch.from_numpy(labels)

    def epoch() -> float:
        start = time.perf_counter()
        order = torch.randperm(count)
        for first in range(0, count, batch_size):
            indices = order[first : first + batch_size]
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model((x[indices] / 255 - 0.1307) / 0.3081), y[indices])
            if recipe.l1:
                loss = loss + recipe.l1 * sum(weight.abs().mean() for weight in model.parameters())
            loss.backward()
            optimizer.step()
        return time.perf_counter() - start

    return epoch


def work(kind: str, norm: str, cores: int, count: int, batch_size: int) -> None:
    """Run a worker: for each line on stdin, train an epoch and print its seconds."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    os.environ["OMP_NUM_THREADS"] = str(cores)
    count //= 8 if norm in RESNETS else 1
    epoch = (
        torch_epoch(norm, count, batch_size)
        if kind == "torch"
        else keras_epoch(kind, norm, count, batch_size)
    )
    epoch()  # traces and compiles
    print("ready", flush=True)
    for _ in sys.stdin:
        print(epoch(), flush=True)


def turns(
    arguments: argparse.Namespace, candidates: list[tuple[str, str]], cores: int
) -> Iterator[list[float]]:
    """Let the candidates take turns, and yield their seconds for an epoch, turn by turn."""
    workers = []
    for kind, norm in candidates:
        settings = [kind, norm, str(cores), str(arguments.images), str(arguments.batch_size)]
        worker = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.train_throughput", "--worker", *settings],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
        workers.append(worker)
        assert worker.stdout is not None
        if (
            worker.stdout.readline() != "ready\n"
        ):  # one after the other: no worker starts while another trains
            raise RuntimeError(f"{kind} {norm}: expected the worker to start, but it ended; see above")
    try:
        for _ in range(arguments.rounds):
            seconds = []
            for worker in workers:
                assert worker.stdin is not None
                assert worker.stdout is not None
                print("go", file=worker.stdin, flush=True)
                seconds.append(float(worker.stdout.readline()))
            yield seconds
    finally:
        for worker in workers:
            worker.communicate()


def measure(arguments: argparse.Namespace, kinds: list[str], norm: str, cores: int) -> dict[str, Any]:
    """Return the medians of a network's candidates on some cores; the ratios are speeds relative to `stock`."""
    rounds = list(turns(arguments, [(kind, norm) for kind in kinds], cores))
    stock = kinds.index("stock")
    images = arguments.images // (8 if norm in RESNETS else 1)
    result = {}
    for index, kind in enumerate(kinds):
        result[kind] = {
            "images_per_second": round(images / statistics.median(r[index] for r in rounds)),
            "ratio": round(statistics.median(r[stock] / r[index] for r in rounds), 3),
            "rounds": [round(images / r[index]) for r in rounds],
        }
    print(f"{norm}, {cores} cores: " + json.dumps({k: {**v, "rounds": None} for k, v in result.items()}))
    return result


def main() -> int:
    """Measure the networks and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=25600)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--networks", nargs="+", default=[*REFERENCE, *RESNETS])
    parser.add_argument("--no-record", action="store_true", help="print only")
    parser.add_argument("--worker", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        kind, norm, *numbers = arguments.worker
        work(kind, norm, *map(int, numbers))
        return 0
    cores = len(os.sched_getaffinity(0))
    record: dict[str, Any] = {}
    for norm in arguments.networks:
        kinds = ["stock", "ours"]
        if norm in NORMS:
            kinds.append("floor")
        if norm in TORCH_LAYERS and find_spec("torch"):
            kinds.append("torch")
        record[norm] = measure(arguments, kinds, norm, cores)
    one_core = {
        norm: measure(arguments, ["stock", "ours"], norm, 1) for norm in arguments.networks if norm in NORMS
    }
    if not arguments.no_record:
        settings = {key: getattr(arguments, key) for key in ("rounds", "images", "batch_size")}
        results = {"cores": cores, "networks": record, "one_core": one_core}
        write_json(
            ROOT / "results/bench/train.json", {"date": time.strftime("%Y-%m-%d"), **settings, **results}
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
