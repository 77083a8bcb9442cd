import json
from pathlib import Path

import pytest

from export.errors import UserError
from export.web.runtime import BUILDS, CDN, FILES, VERSION, describe, integrity, read_build

BROWSER = Path(__file__).resolve().parents[2] / "browser"
DIST = BROWSER / "node_modules/onnxruntime-web/dist"


def test_every_file_has_a_hash() -> None:
    assert {name for build in BUILDS.values() for name in build.values()} == set(FILES)
    assert integrity(b"").startswith("sha384-OLBgp1GsljhM2TJ+sbHjaiH9txEUvgdDTAzHv2P24donTt6")


def test_the_tests_run_the_pinned_version() -> None:
    assert json.loads((BROWSER / "package.json").read_text())["dependencies"]["onnxruntime-web"] == VERSION


@pytest.mark.skipif(not DIST.is_dir(), reason="needs onnxruntime-web: npm ci --prefix tests/browser")
@pytest.mark.parametrize("build", BUILDS)
def test_the_files_of_the_package_have_these_hashes(build: str) -> None:
    assert sorted(read_build(DIST, build)) == sorted(BUILDS[build].values())


def test_another_file(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=rf"expected the folder dist of onnxruntime-web {VERSION}, found no ort\.wasm"
    ):
        read_build(tmp_path, "wasm")
    (tmp_path / "ort.wasm.min.mjs").write_text("alert()")
    with pytest.raises(
        UserError, match=rf"expected the file of onnxruntime-web {VERSION}, got another one; npm"
    ):
        read_build(tmp_path, "wasm")


def test_what_the_page_knows() -> None:
    record = describe(CDN, ["wasm"])
    assert list(record["builds"]) == ["wasm"]
    module = record["builds"]["wasm"]["module"]
    assert module == {"name": f"{CDN}ort.wasm.min.mjs", "integrity": FILES["ort.wasm.min.mjs"]}
    assert f"@{VERSION}/" in CDN
