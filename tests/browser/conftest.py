"""A browser, a server on this machine, and pages for it."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pytest

from export.convert import Options
from export.evidence import evidence_path
from export.export import export_model
from export.load import load_model
from export.web.models import read_model
from export.web.page import Page, build_page
from export.web.samples import from_checks
from export.web.write import write_page
from kerasnorm.data import load_data
from tests.browser.installed import CHROMIUM, DIST

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage
    from playwright.sync_api import Page as Tab

RUNS = Path(__file__).resolve().parents[2] / "results/runs/demo"
NORMS = ("bn", "ln", "gn")


class Quiet(http.server.SimpleHTTPRequestHandler):
    """What `python -m http.server` does, without its log."""

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that is served."""
    return tmp_path_factory.mktemp("site")


@pytest.fixture(scope="session")
def address(site: Path) -> Iterator[str]:
    """The address of the site."""
    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@dataclass
class Opener:
    """Opens addresses of the site, or any other, and notes the errors that pages log."""

    browser: Browser
    address: str
    contexts: list[BrowserContext] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def __call__(
        self, path: str, *, before: Callable[[Tab], object] | None = None, ready: bool = True, **options: Any
    ) -> Tab:
        """Open a page.

        Args:
            path: an address, or a path in the site.
            before: called with the tab before it goes there.
            ready: wait until the page can be used.
            options: of the browser context, such as the size of the window.
        """
        context = self.browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        self.contexts.append(context)
        tab = context.new_page()
        tab.on("pageerror", lambda error: self.problems.append(str(error)))
        tab.on("console", self.note)
        if before is not None:
            before(tab)
        tab.goto(path if ":" in path else f"{self.address}/{path}")
        if ready:
            tab.wait_for_selector("#page[aria-busy=false]", timeout=60_000)
        return tab

    def note(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.problems.append(message.text)


@pytest.fixture
def open_page(browser: Browser, address: str) -> Iterator[Opener]:
    """Opens pages, and fails if one of them logs an error."""
    opener = Opener(browser, address)
    yield opener
    for context in opener.contexts:
        context.close()
    assert opener.problems == []


def page_of(*paths: Path, title: str = "Digits") -> Page:
    """A page with the runtime that npm installed."""
    models = [read_model(path) for path in paths]
    return build_page(models, from_checks(models), title=title, runtime_folder=DIST)


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The recorded models, exported with real digits in their checks."""
    folder = tmp_path_factory.mktemp("digits")
    data = load_data("digits").x_test[:10].astype(np.float32)
    paths = {}
    for norm in NORMS:
        paths[norm] = folder / f"{norm}.onnx"
        model = load_model(RUNS / f"{norm}-mnist-best-seed0/model.keras")
        options = Options(class_names=tuple("0123456789"))
        check = evidence_path(paths[norm])
        export_model(model, paths[norm], options, data=[data], source="digits", check=check, quick=True)
    return paths


@pytest.fixture(scope="session")
def digits_page(site: Path, digits: dict[str, Path]) -> str:
    """A page with the three models; its path in the site."""
    write_page(page_of(*digits.values()), site / "digits")
    return "digits/"


@pytest.fixture(scope="session")
def mobilenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MobileNetV2 with random weights."""
    path = tmp_path_factory.mktemp("mobilenet") / "mobilenet_v2.onnx"
    keras.utils.set_random_seed(0)
    model = keras.applications.MobileNetV2(weights=None)
    export_model(model, path, check=evidence_path(path), quick=True)
    return path


@pytest.fixture(scope="session")
def mobilenet_page(site: Path, mobilenet: Path) -> str:
    """A page with MobileNetV2; its path in the site."""
    write_page(page_of(mobilenet, title="MobileNetV2"), site / "mobilenet")
    return "mobilenet/"
