"""The page of export.web in Chromium, as people use it."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from export.classifier import Classifier
from export.evidence import Example, evidence_path, read_evidence, write_evidence
from export.verify import verify
from export.web.page import RUNTIME
from export.web.runtime import CDN
from export.web.write import write_page
from tests.browser.conftest import NORMS, Opener, page_of
from tests.browser.installed import DIST
from tests.export.web.helpers import write_checked

if TYPE_CHECKING:
    from playwright.sync_api import Page as Tab
    from playwright.sync_api import Route

pytestmark = pytest.mark.browser

PICTURES = Path(__file__).resolve().parents[2] / "build/browser"
# How people write digits, as points in a square of size 1.
SEVEN = [(0.3, 0.25), (0.5, 0.25), (0.7, 0.25), (0.6, 0.45), (0.5, 0.65), (0.42, 0.85)]
ONE = [(0.5, 0.15), (0.5, 0.4), (0.5, 0.6), (0.5, 0.85)]
ZERO = [(0.5 + 0.18 * np.sin(a), 0.5 - 0.3 * np.cos(a)) for a in np.linspace(0, 2 * np.pi, 16)]
DIGITS = pytest.mark.parametrize(("digit", "points"), [("7", SEVEN), ("1", ONE), ("0", ZERO)])


def draw(tab: Tab, points: Sequence[tuple[float, float]]) -> None:
    """Draw a line through points by the mouse."""
    box = tab.locator("#drawing").bounding_box()
    assert box is not None
    at = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    tab.mouse.move(*at[0])
    tab.mouse.down()
    for x, y in at[1:]:
        tab.mouse.move(x, y, steps=3)
    tab.mouse.up()


def expect_classes(tab: Tab, classes: Sequence[str]) -> None:
    """Wait until the models say these classes."""
    from playwright.sync_api import expect

    expect(tab.locator(".answer .class")).to_have_text(list(classes))


def values(tab: Tab, card: int = 0) -> list[str]:
    """What a model says of each class."""
    return tab.locator(".card").nth(card).locator("td:last-child").all_inner_texts()


def percentages(path: Path, pixels: np.ndarray) -> list[str]:
    """What export.infer says of each class."""
    return [f"{100 * value:.1f} %" for value in Classifier(path).predict(pixels)[0]]


def drop(tab: Tab, name: str, content: bytes, kind: str = "drop") -> None:
    """Drop or paste a file."""
    tab.evaluate(
        """([kind, name, text]) => {
            const transfer = new DataTransfer();
            const bytes = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
            transfer.items.add(new File([bytes], name));
            const options = { bubbles: true, cancelable: true };
            document.body.dispatchEvent(kind === "drop"
                ? new DragEvent("drop", { ...options, dataTransfer: transfer })
                : new ClipboardEvent("paste", { ...options, clipboardData: transfer }));
        }""",
        [kind, name, base64.b64encode(content).decode()],
    )


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def photo(size: tuple[int, int] = (60, 47)) -> Image.Image:
    """A picture in colours with many details."""
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 256, (9, 7, 3), np.uint8))
    return small.resize(size, Image.Resampling.BICUBIC)


@DIGITS
def test_a_digit_drawn_by_the_mouse(
    open_page: Opener, digits_page: str, digit: str, points: Sequence[tuple[float, float]]
) -> None:
    tab = open_page(digits_page)
    draw(tab, points)
    expect_classes(tab, [digit] * len(NORMS))
    assert "ms a run" in tab.locator(".facts").first.inner_text()
    tab.get_by_role("button", name="Clear").click()
    expect_classes(tab, ["–"] * len(NORMS))


def test_a_digit_drawn_by_a_finger(open_page: Opener, digits_page: str) -> None:
    tab = open_page(digits_page, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    box = tab.locator("#drawing").bounding_box()
    assert box is not None
    touch = tab.context.new_cdp_session(tab)
    for index, (x, y) in enumerate(SEVEN):
        at = {"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"]}
        kind = "touchMove" if index else "touchStart"
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [at]})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    expect_classes(tab, ["7"] * len(NORMS))
    assert tab.evaluate("scrollY") == 0  # drawing does not scroll


def test_a_digit_drawn_by_the_keyboard(open_page: Opener, digits_page: str) -> None:
    tab = open_page(digits_page)
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.id") == "drawing"
    for _ in range(6):
        tab.keyboard.press("Shift+ArrowUp")
    tab.keyboard.press("Space")
    for _ in range(12):
        tab.keyboard.press("Shift+ArrowDown")
    expect_classes(tab, ["1"] * len(NORMS))
    tab.wait_for_function("() => document.getElementById('answers').textContent.startsWith('bn: 1, ')")
    tab.keyboard.press("Delete")
    expect_classes(tab, ["–"] * len(NORMS))


def test_controls_have_names(open_page: Opener, digits_page: str) -> None:
    tab = open_page(digits_page)
    for role, name in (
        *(("application", "Drawing"), ("button", "Clear"), ("button", "Check"), ("button", "sample 1")),
        *(("checkbox", "Centre and scale"), ("checkbox", "Dark ink on light"), ("table", "Classes of bn")),
        *(("region", "Classes"), ("heading", "Digits"), ("img", "The picture as the first model gets it")),
    ):
        assert tab.get_by_role(role, name=name, exact=True).count() >= 1, (role, name)
    assert tab.get_by_label("Open a picture").count() == 1


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_a_picture_gets_the_classes_of_infer(
    open_page: Opener, digits_page: str, digits: dict[str, Path], tmp_path: Path, kind: str
) -> None:
    tab = open_page(digits_page)
    content = encoded(photo())
    (tmp_path / "photo.png").write_bytes(content)
    drop(tab, "photo.png", content, kind)
    for card, path in enumerate(digits.values()):
        pixels, _ = Classifier(path).read_image(tmp_path / "photo.png")
        expected = percentages(path, pixels)
        tab.wait_for_timeout(0)
        tab.locator(".card").nth(card).locator("tr.best").wait_for()
        assert values(tab, card) == expected


def test_a_transparent_picture_and_one_that_the_camera_turned(
    open_page: Opener, digits_page: str, digits: dict[str, Path], tmp_path: Path
) -> None:
    tab = open_page(digits_page)
    image = photo((30, 28))
    image.putalpha(Image.linear_gradient("L").resize((30, 28)))
    exif = Image.Exif()
    exif[0x0112] = 6
    files = {
        "transparent.png": encoded(image.convert("RGBA")),
        "turned.jpg": encoded(Image.new("RGB", (40, 20), "white").convert("L"), "JPEG", exif=exif),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        tab.set_input_files("#file", tmp_path / name)
        pixels, changes = Classifier(digits["bn"]).read_image(tmp_path / name)
        tab.wait_for_timeout(500)
        assert ("turned upright" in changes) == (name == "turned.jpg")
        theirs = np.array([float(text.split()[0]) for text in values(tab)])
        ours = np.array([float(text.split()[0]) for text in percentages(digits["bn"], pixels)])
        np.testing.assert_allclose(theirs, ours, atol=2, rtol=0)  # browsers round transparency otherwise


def test_dark_ink_on_paper_is_inverted(open_page: Opener, digits_page: str) -> None:
    from PIL import ImageDraw

    tab = open_page(digits_page)
    paper = Image.new("RGB", (400, 300), (240, 236, 230))
    pencil = ImageDraw.Draw(paper)
    pencil.line([(100 + 120 * x, 60 + 180 * y) for x, y in SEVEN], (40, 40, 60), 12, joint="curve")
    drop(tab, "note.png", encoded(paper))
    expect_classes(tab, ["7"] * len(NORMS))
    assert "dark ink on light paper" in tab.locator("#status").inner_text()
    assert tab.get_by_label("Dark ink on light").is_checked()
    tab.get_by_label("Dark ink on light").uncheck()
    tab.get_by_label("Dark ink on light").check()
    expect_classes(tab, ["7"] * len(NORMS))


def test_a_sample_is_given_as_it_is(open_page: Opener, digits_page: str, digits: dict[str, Path]) -> None:
    tab = open_page(digits_page)
    examples, _ = read_evidence(evidence_path(digits["bn"]))
    tab.get_by_role("button", name="sample 1", exact=True).click()
    tab.locator(".card").first.locator("tr.best").wait_for()
    assert values(tab) == percentages(digits["bn"], examples[0].inputs["image"][:1])
    assert tab.get_by_label("Centre and scale").is_disabled()


def test_what_is_no_picture(open_page: Opener, digits_page: str) -> None:
    tab = open_page(digits_page)
    drop(tab, "notes.png", b"These are words.")
    tab.get_by_text("This file can't be read as a picture. Try a PNG or a JPEG.").wait_for()
    tab.evaluate(
        """() => {
            const transfer = new DataTransfer();
            transfer.setData("text/plain", "words");
            document.body.dispatchEvent(new ClipboardEvent("paste", { bubbles: true, clipboardData: transfer }));
        }"""
    )
    tab.get_by_text("Expected a picture, got something else.").wait_for()
    draw(tab, SEVEN)
    expect_classes(tab, ["7"] * len(NORMS))
    assert tab.locator("#status").inner_text() == ""


def checked(tab: Tab) -> dict[str, Any]:
    """The result of the check, as it is copied."""
    tab.locator("#check[data-passed]").wait_for(timeout=120_000)
    tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    tab.get_by_role("button", name="Copy as JSON").click()
    tab.get_by_text("Copied.").wait_for()
    return json.loads(tab.evaluate("() => navigator.clipboard.readText()"))


@pytest.mark.parametrize("page", ["digits_page", "mobilenet_page"])
def test_the_check_passes_as_it_does_here(
    open_page: Opener, page: str, request: pytest.FixtureRequest
) -> None:
    tab = open_page(f"{request.getfixturevalue(page)}?check")
    result = checked(tab)
    assert result["passed"] is True
    models = request.getfixturevalue("digits") if page == "digits_page" else None
    paths = models.values() if models else [request.getfixturevalue("mobilenet")]
    assert [one["provider"] for one in result["results"]] == ["wasm"] * len(paths)
    for one, path in zip(result["results"], paths, strict=True):
        examples, oracle = read_evidence(evidence_path(path))
        assert (one["model"], one["oracle"], one["passed"]) == (path.stem, oracle, True)
        for theirs, ours in zip(one["differences"], verify(path, examples), strict=True):
            assert (theirs["output"], theirs["data"], theirs["rows"]) == (ours.output, ours.data, ours.rows)
            assert theirs["size"] == pytest.approx(ours.size, rel=1e-12, abs=0)
            assert theirs["allowance"] == ours.allowance
            assert theirs["max_abs"] <= ours.allowance + 1e-5 * ours.size
            assert (theirs["nan"], theirs["within"]) == (0, True)
            if models:  # random weights give all classes nearly the same probability
                assert theirs["argmax_agreement"] == 1


def test_a_wrong_model_fails_the_check(
    open_page: Opener, digits: dict[str, Path], site: Path, tmp_path: Path
) -> None:
    examples, oracle = read_evidence(evidence_path(digits["bn"]))
    wrong = [
        Example(e.kind, e.inputs, {name: x + 1e-4 for name, x in e.outputs.items()}, e.allowances)
        for e in examples
    ]
    path = tmp_path / "wrong.onnx"
    path.write_bytes(digits["bn"].read_bytes())
    write_evidence(evidence_path(path), wrong, oracle)
    write_page(page_of(digits["bn"], path), site / "wrong")
    tab = open_page("wrong/")
    tab.get_by_role("button", name="Check", exact=True).click()
    result = checked(tab)
    assert result["passed"] is False
    assert [one["passed"] for one in result["results"]] == [True, False]
    assert tab.locator("tr.failed").count() == len(examples)


def test_one_file_from_disk_without_a_network(
    open_page: Opener, digits: dict[str, Path], tmp_path: Path
) -> None:
    write_page(page_of(digits["gn"]), tmp_path / "page.html", single_file=True)
    tab = open_page(f"{(tmp_path / 'page.html').as_uri()}?check", offline=True)
    draw(tab, SEVEN)
    expect_classes(tab, ["7"])
    tab.locator("#check[data-passed=true]").wait_for(timeout=60_000)


def test_the_runtime_from_the_cdn(open_page: Opener, digits: dict[str, Path], site: Path) -> None:
    """Its address leads to the files of npm, here as there."""
    from export.web.models import read_model
    from export.web.page import build_page

    write_page(build_page([read_model(digits["ln"])], title="CDN"), site / "cdn")
    asked = []

    def answer(route: Route) -> None:
        asked.append(route.request.url)
        content = (DIST / route.request.url.removeprefix(CDN)).read_bytes()
        route.fulfill(body=content, headers={"Access-Control-Allow-Origin": "*"})

    tab = open_page("cdn/", before=lambda tab: tab.route(f"{CDN}**", answer))
    draw(tab, SEVEN)
    expect_classes(tab, ["7"])
    assert len(asked) == 3


def test_another_runtime_is_refused(open_page: Opener, digits: dict[str, Path], site: Path) -> None:
    write_page(page_of(digits["bn"]), site / "changed")
    with open(site / "changed" / RUNTIME / "ort.wasm.min.mjs", "a") as file:
        file.write("\n")
    tab = open_page("changed/", ready=False)
    tab.get_by_text("can't be loaded: there is no connection, or it is another file than expected").wait_for()
    assert "integrity" in open_page.problems[0]
    open_page.problems.clear()


def test_a_browser_without_wasm(open_page: Opener, digits_page: str) -> None:
    tab = open_page(
        digits_page, before=lambda tab: tab.add_init_script("delete window.WebAssembly"), ready=False
    )
    tab.get_by_text(
        "This browser has no WebAssembly. Use a current Firefox, Chrome, Edge or Safari."
    ).wait_for()


def test_a_folder_opened_from_disk_says_what_it_needs(
    open_page: Opener, site: Path, digits_page: str
) -> None:
    tab = open_page((site / digits_page / "index.html").as_uri(), ready=False)
    tab.wait_for_timeout(4500)
    box = tab.get_by_text("python -m http.server").bounding_box()
    assert box is not None
    assert box["height"] > 10
    open_page.problems.clear()


def test_names_are_text(open_page: Opener, site: Path, tmp_path: Path) -> None:
    attack = "<img src=x onerror=document.title='attacked'>"
    path = write_checked(tmp_path / "three.onnx", {"class_names": json.dumps([attack, "</script>", "&lt;"])})
    named = tmp_path / f"{attack.replace('/', '')}.onnx"
    path.rename(named)
    evidence_path(path).rename(evidence_path(named))
    for page, single in (("names/", False), ("names.html", True)):
        write_page(page_of(named, title=attack), site / page.strip("/"), single_file=single)
        tab = open_page(f"{page}?check")
        tab.get_by_role("button", name="sample 2").click()
        expect_classes(tab, ["</script>"])
        assert tab.locator("h1").inner_text() == attack
        assert tab.locator(".card th").all_inner_texts() == [attack, "</script>", "&lt;"]
        assert tab.title() == attack
        tab.locator("#check[data-passed=true]").wait_for()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_looks_right(open_page: Opener, digits_page: str, width: int, scheme: str) -> None:
    """Nothing moves or sticks out; the pictures in build/browser are for people to look at."""
    watch = """
        window.shifts = [];
        new PerformanceObserver((list) => list.getEntries().forEach((e) => e.hadRecentInput || shifts.push(e.value)))
            .observe({ type: "layout-shift", buffered: true });
    """
    size = {"width": width, "height": 900 if width > 1000 else 844}
    asked: list[str] = []

    def before(tab: Tab) -> None:
        tab.add_init_script(watch)
        tab.on("request", lambda request: asked.append(request.url))

    tab = open_page(digits_page, before=before, viewport=size, color_scheme=scheme)
    draw(tab, SEVEN)
    expect_classes(tab, ["7"] * len(NORMS))
    assert sum(tab.evaluate("() => shifts")) < 0.01
    tab.get_by_role("button", name="Check", exact=True).click()
    tab.locator("#check[data-passed=true]").wait_for()
    PICTURES.mkdir(parents=True, exist_ok=True)
    tab.screenshot(path=PICTURES / f"digits-{width}-{scheme}.png", full_page=True)
    assert tab.evaluate("() => document.documentElement.scrollWidth") <= width
    addresses = {url.split("/")[2] for url in asked if not url.startswith(("blob:", "data:"))}
    assert len(addresses) == 1
