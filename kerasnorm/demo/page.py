"""The demo's page: the classes of each run, and the activations before and after its normalizations."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from export.conversion import Options
from export.errors import UserError
from export.evidence import evidence_path
from export.export import export_model
from export.web.models import read_model
from export.web.page import Page, build_page
from export.web.runtime import integrity
from export.web.samples import from_checks
from kerasnorm.demo.activations import activations_model, describe_blocks
from kerasnorm.demo.runs import DemoRun, named

STATIC = Path(__file__).parent / "static"
SCRIPT, SECTION = "activations.js", "activations.html"


def build_demo(
    runs: Sequence[DemoRun],
    images: np.ndarray | None,
    *,
    title: str | None = None,
    runtime_folder: Path | None = None,
    webgpu: bool = False,
) -> Page:
    """Put the page together; the models are exported, with their parity checks.

    Args:
        runs: the runs, side by side.
        images: images to check with and to offer, (n, height, width, channels), pixels 0..255; None: random numbers.
        title: title of the page; None: one that says what it shows.
        runtime_folder: the folder `dist` of onnxruntime-web; None: the page loads it from a CDN.
        webgpu: include its build for WebGPU.

    Raises:
        UserError: the runs take images of different shapes or classes, or a file can't be used.
        CheckError: a graph computes something else than Keras.
    """
    shapes = {run.image_shape for run in runs}
    if len(shapes) > 1:
        raise UserError(f"runs: expected images of one shape, got {', '.join(map(str, sorted(shapes)))}")
    if len({run.class_names for run in runs}) > 1:
        raise UserError(
            f"runs: expected runs with the same classes, got others in {runs[0].name} than in "
            f"{next(run.name for run in runs if run.class_names != runs[0].class_names)}; make a page for each"
        )
    data = None if images is None else [images.astype(np.float32)]
    models, files, records = [], {}, []
    with tempfile.TemporaryDirectory() as folder:
        for index, (name, run) in enumerate(named(runs)):
            path = Path(folder) / f"model-{index}.onnx"
            source = "random numbers" if images is None else "images"
            options = Options(class_names=run.class_names)
            export_model(run.model, path, options, data=data, source=source, check=evidence_path(path))
            models.append(read_model(path, name))
            path = Path(folder) / f"activations-{index}.onnx"
            export_model(activations_model(run.model), path, data=data, source=source, quick=True)
            files[path.name] = path.read_bytes()
            records.append(_record(name, run, path.name, files[path.name]))
    page = build_page(
        models,
        from_checks(models) if images is not None else (),
        title=title or "What each normalization sees",
        runtime_folder=runtime_folder,
        webgpu=webgpu,
    )
    files |= {path.name: path.read_bytes() for path in STATIC.iterdir() if path.name != SECTION}
    section = (STATIC / SECTION).read_text(encoding="utf-8")
    record = {"models": records, "pixelMean": list(runs[0].pixel_mean)}
    return page.with_extension(files, section, SCRIPT, record)


def _record(name: str, run: DemoRun, file: str, content: bytes) -> dict[str, Any]:
    return {
        "name": name,
        "title": run.norm.name,
        "description": run.norm.description,
        "file": {"name": file, "size": len(content), "integrity": integrity(content)},
        "blocks": describe_blocks(run),
    }
