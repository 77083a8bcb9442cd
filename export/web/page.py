"""A page: what it consists of, and its one HTML file.

Every name that comes from a file goes into `page.json`, and the page's code shows it as text. Of what the user gives,
the title alone is part of the HTML; it is escaped.
"""

from __future__ import annotations

import html
import json
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from export.web import runtime
from export.web.check_data import pack
from export.web.models import PageModel
from export.web.samples import Sample

STATIC = Path(__file__).parent / "static"
INDEX, STYLE, MAIN, RECORD = "index.html", "page.css", "main.js", "page.json"
RUNTIME = "runtime/"


@dataclass(frozen=True)
class Page:
    """A page before it is written.

    Attributes:
        title: its title.
        record: the content of `page.json`.
        data: the files that the code reads, by name: models, checks, samples, and the runtime unless it is elsewhere.
        code: modules and style sheets, by name.
        sections: HTML of further sections, which `scripts` fill.
        scripts: the modules that are started, in order.
        connects_to: where else the page may load files from: the address of the runtime, or nothing.
    """

    title: str
    record: dict[str, Any]
    data: dict[str, bytes] = field(repr=False)
    code: dict[str, bytes] = field(repr=False)
    sections: str = ""
    scripts: tuple[str, ...] = (MAIN,)
    connects_to: str = ""

    def with_extension(self, files: Mapping[str, bytes], sections: str, script: str, record: Any) -> Page:
        """The page with another module, which finds its record in `page.json` by the module's name.

        Args:
            files: modules, style sheets and data, by name.
            sections: HTML of the sections that the module fills.
            script: the module that is started.
            record: what the module has to know.
        """
        code = {name: content for name, content in files.items() if name.endswith((".js", ".css"))}
        data = {name: content for name, content in files.items() if name not in code}
        return replace(
            self,
            record={**self.record, script: record},
            data={**self.data, **data},
            code={**self.code, **code},
            sections=self.sections + sections,
            scripts=(*self.scripts, script),
        )


def build_page(
    models: Sequence[PageModel],
    samples: Sequence[Sample] = (),
    *,
    title: str,
    runtime_folder: Path | None = None,
    webgpu: bool = False,
) -> Page:
    """Put a page together.

    Args:
        models: the models, side by side.
        samples: pictures to choose from.
        title: title of the page.
        runtime_folder: the folder `dist` of onnxruntime-web, which is then part of the page; None: a CDN has it.
        webgpu: include the build for WebGPU with it.

    Raises:
        UserError: the folder doesn't have the files of that version.
    """
    data: dict[str, bytes] = {}
    builds = ["wasm", "webgpu"] if webgpu or runtime_folder is None else ["wasm"]
    if runtime_folder is not None:
        for build in builds:
            files = runtime.read_build(runtime_folder, build)
            data |= {f"{RUNTIME}{name}": content for name, content in files.items()}
    record: dict[str, Any] = {
        "generator": "kerasnorm",
        "runtime": runtime.describe(RUNTIME if runtime_folder else runtime.CDN, builds),
        "models": [_add_model(data, index, model) for index, model in enumerate(models)],
        "samples": [_add_sample(data, index, sample) for index, sample in enumerate(samples)],
    }
    code = {path.name: path.read_bytes() for path in [*sorted(STATIC.glob("*.js")), STATIC / STYLE]}
    return Page(title, record, data, code, connects_to="" if runtime_folder else runtime.CDN)


def page_html(page: Page, head: str, body: str, policy: Mapping[str, str]) -> str:
    """The HTML file.

    Args:
        page: the page.
        head: HTML for the style sheets and scripts.
        body: HTML at the end.
        policy: the sources that the content security policy allows, by directive; nothing else is loaded.
    """
    template = string.Template((STATIC / INDEX).read_text(encoding="utf-8"))
    rules = {"default-src": "'none'", "base-uri": "'none'", "form-action": "'none'", **policy}
    return template.substitute(
        title=html.escape(page.title),
        policy=html.escape("; ".join(f"{name} {sources}" for name, sources in rules.items())),
        head=head,
        sections=page.sections,
        body=body,
    )


def record_json(page: Page) -> bytes:
    """The content of `page.json`."""
    return json.dumps(page.record, ensure_ascii=True, allow_nan=False, indent=1).encode()


def _add_model(data: dict[str, bytes], index: int, model: PageModel) -> dict[str, Any]:
    record = {**model.interface(), "file": _add(data, f"model-{index}.onnx", model.content), "check": None}
    if model.examples:
        content, sets = pack(model.examples)
        file = _add(data, f"check-{index}.bin", content)
        record["check"] = {"file": file, "oracle": model.oracle, "source": model.source, "sets": sets}
    return record


def _add_sample(data: dict[str, bytes], index: int, sample: Sample) -> dict[str, Any]:
    return {"label": sample.label, "file": _add(data, f"sample-{index}.png", sample.png)}


def _add(data: dict[str, bytes], name: str, content: bytes) -> dict[str, Any]:
    data[name] = content
    return {"name": name, "size": len(content), "integrity": runtime.integrity(content)}
