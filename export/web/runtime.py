"""onnxruntime-web, which runs the models: its version, its files and their hashes.

The page refuses a file with another hash, wherever it comes from. To change the version, change `VERSION` and `FILES`;
`integrity` computes the hashes.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

from export.errors import UserError

VERSION = "1.30.0"
CDN = f"https://cdn.jsdelivr.net/npm/onnxruntime-web@{VERSION}/dist/"

# A build is a module, the loader that it imports, and the code of the operators. The smaller build runs them on the
# CPU; the other one, which the check uses, on WebGPU.
BUILDS = {
    "wasm": {
        "module": "ort.wasm.min.mjs",
        "loader": "ort-wasm-simd-threaded.mjs",
        "binary": "ort-wasm-simd-threaded.wasm",
    },
    "webgpu": {
        "module": "ort.webgpu.min.mjs",
        "loader": "ort-wasm-simd-threaded.asyncify.mjs",
        "binary": "ort-wasm-simd-threaded.asyncify.wasm",
    },
}
FILES = {
    "ort.wasm.min.mjs": "sha384-SfFfy/pvthiOsgaw3KX0bV5TfQ6Iq+oY9KutMe4SxIuHH4cl+DCSD4rTsYOoG1tJ",
    "ort-wasm-simd-threaded.mjs": "sha384-XcXA/MtAf0WpB8e023xQH9CM7RIjiugakT7x99DIwpFf7k56BIFFcAPerIF7FDad",
    "ort-wasm-simd-threaded.wasm": "sha384-vjBJ1z7qrhkTyYsNqKeF6c7N+nOJSU94czEo+tvZcu8G75JparGq9kB+kTnEUNVM",
    "ort.webgpu.min.mjs": "sha384-FPQBMbud8ICuP0Ii+Gr95KWEX9pKHtUC3lacIp0aPI8WYluKvTsEGQ3AE2Ze3QlL",
    "ort-wasm-simd-threaded.asyncify.mjs": (
        "sha384-qViEcCGzsR/m8nlQwIsbYh7afN4thuraqFYDQY6huvmoLVoZq/eYawQ1wrv8nnhA"
    ),
    "ort-wasm-simd-threaded.asyncify.wasm": (
        "sha384-EPVDLTxuO663dkZO/pcKJF6vOyyfq/5z9FY1oksN0UWFX2ABH4wDDZQHeNoUleWR"
    ),
}


def integrity(content: bytes) -> str:
    """The hash of a file, as a browser's `integrity` has it."""
    return f"sha384-{base64.b64encode(hashlib.sha384(content).digest()).decode()}"


def read_build(folder: Path, build: str) -> dict[str, bytes]:
    """The files of a build from a folder, by name, if they are those of `VERSION`.

    Raises:
        UserError: a file is missing, or it is another one.
    """
    files = {}
    for name in BUILDS[build].values():
        path = folder / name
        if not path.is_file():
            raise UserError(
                f"{folder}: expected the folder dist of onnxruntime-web {VERSION}, found no {name}; npm install "
                f"onnxruntime-web@{VERSION} brings it to node_modules/onnxruntime-web/dist"
            )
        files[name] = path.read_bytes()
        if integrity(files[name]) != FILES[name]:
            raise UserError(
                f"{path}: expected the file of onnxruntime-web {VERSION}, got another one; npm install "
                f"onnxruntime-web@{VERSION}"
            )
    return files


def describe(base: str, builds: list[str]) -> dict[str, Any]:
    """What the page has to know of the runtime: where its files are, and their hashes.

    Args:
        base: the address of the folder with the files, as the page resolves it.
        builds: the builds that are there.
    """
    return {
        "version": VERSION,
        "builds": {
            build: {
                role: {"name": f"{base}{name}", "integrity": FILES[name]}
                for role, name in BUILDS[build].items()
            }
            for build in builds
        },
    }
