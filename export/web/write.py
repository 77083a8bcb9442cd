"""Writing a page: to a folder, or all in one HTML file that opens from disk without a network."""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import json
import re
import shlex
from functools import partial
from pathlib import Path

from export.errors import UserError
from export.files import write_text, write_whole
from export.web.page import INDEX, RECORD, Page, page_html, record_json

# What a page with fewer models or samples than the last one leaves over.
NUMBERED = re.compile(r"(?:activations|check|model|sample)-\d+\.(?:bin|onnx|png)")
RELATIVE_IMPORT = re.compile(r'(\bfrom\s*|\bimport\s*)"\./')
LARGEST = 200 * 2**20  # bytes of a single file; browsers hold its text in memory several times
COMPRESSION = 6


def write_page(page: Page, path: Path, *, single_file: bool = False) -> str:
    """Write a page, to a folder or to one file.

    Returns:
        What was written and how to see it, in one line.
    """
    size = write_single_file(page, path) if single_file else write_folder(page, path)
    where = f"runtime from {page.connects_to}" if page.connects_to else "runtime included"
    serve = f"see it with: python -m http.server --directory {shlex.quote(str(path))}"
    see = "open it in a browser" if single_file else serve
    count = len(page.record["models"])
    return f"{path}: {count} model{'s' if count > 1 else ''}, {size:,} bytes, {where}; {see}"


def write_folder(page: Page, folder: Path) -> int:
    """Write a page to a folder, `page.json` and `index.html` last. An earlier page in it is replaced.

    Returns:
        The number of bytes written.

    Raises:
        UserError: the folder has files of something else that a page would replace, or a file can't be written.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: expected a folder for the page, got a file; name another with -o")
    policy = {
        "script-src": "'self' blob: 'wasm-unsafe-eval'",  # the runtime's modules are blobs, once their hash is right
        "style-src": "'self'",
        "img-src": "'self' blob: data:",
        "connect-src": f"'self' {page.connects_to}".strip(),
    }
    styles = [f'<link rel="stylesheet" href="{name}">' for name in page.code if name.endswith(".css")]
    scripts = [f'<script type="module" src="{name}"></script>' for name in page.scripts]
    # The record is first: a folder in which the disk was full is an earlier page, too.
    files = {RECORD: record_json(page), **page.data, **page.code}
    files[INDEX] = page_html(page, "\n".join(styles + scripts), "", policy).encode()
    is_ours = _is_ours(folder / RECORD)
    foreign = [] if is_ours else [name for name in files if (folder / name).exists()]
    if foreign:
        raise UserError(
            f"{folder}: expected a new folder or an earlier page, got one with {foreign[0]}; name another folder with "
            "-o"
        )
    for name, content in files.items():
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"{path.parent}: cannot make the folder: {error.strerror}; name another with -o"
            ) from error
        write_whole(path, partial(_write, content))
    for path in folder.iterdir() if is_ours else ():
        if NUMBERED.fullmatch(path.name) and path.name not in files:
            with contextlib.suppress(OSError):
                path.unlink()
    return sum(map(len, files.values()))


def write_single_file(page: Page, path: Path) -> int:
    """Write a page to one HTML file. Its data are compressed, and its modules are an import map's data addresses.

    Returns:
        The number of bytes written.

    Raises:
        UserError: the page is too large for one file, or the file can't be written.
    """
    if path.is_dir() or path.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"{path}: expected the name of an HTML file for --single-file, as in -o page.html")
    modules = {name: content.decode() for name, content in page.code.items() if name.endswith(".js")}
    styles = "\n".join(content.decode() for name, content in page.code.items() if name.endswith(".css"))
    imports = {
        f"page/{name}": f"data:text/javascript;base64,{_base64(RELATIVE_IMPORT.sub(_absolute, text).encode())}"
        for name, text in modules.items()
    }
    import_map = json.dumps({"imports": imports})
    start = "\n".join(f'import "page/{name}";' for name in page.scripts)
    policy = {
        "script-src": f"{_hash(import_map)} {_hash(start)} data: blob: 'wasm-unsafe-eval'",
        "style-src": _hash(styles),
        "img-src": "blob: data:",
    }
    head = (
        f"<style>{styles}</style>\n"
        f'<script type="importmap">{import_map}</script>\n'
        f'<script type="module">{start}</script>'
    )
    data = {**page.data, RECORD: record_json(page)}
    body = "\n".join(
        f'<script type="application/octet-stream" id="file:{name}">{_packed(content)}</script>'
        for name, content in data.items()
    )
    text = page_html(page, head, body, policy)
    if len(text) > LARGEST:
        raise UserError(
            f"{path}: expected a page of at most {LARGEST:,} bytes for one file, got {len(text):,}; leave out "
            "--single-file"
        )
    write_text(path, text)
    return len(text.encode())


def _is_ours(record: Path) -> bool:
    try:
        return json.loads(record.read_bytes()).get("generator") == "kerasnorm"
    except (OSError, ValueError, AttributeError, RecursionError):
        return False


def _write(content: bytes, path: Path) -> None:
    path.write_bytes(content)


def _absolute(match: re.Match[str]) -> str:
    return f'{match[1]}"page/'


def _hash(text: str) -> str:
    return f"'sha256-{_base64(hashlib.sha256(text.encode()).digest())}'"


def _packed(content: bytes) -> str:
    return _base64(gzip.compress(content, COMPRESSION, mtime=0))


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
