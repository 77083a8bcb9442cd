"""The page of kerasnorm.demo in Chromium."""

from __future__ import annotations

from pathlib import Path

import pytest

from export.web.write import write_page
from kerasnorm.data import load_data
from kerasnorm.demo.page import build_demo
from kerasnorm.demo.runs import read_run
from tests.browser.conftest import NORMS, RUNS, Opener
from tests.browser.installed import DIST
from tests.browser.test_page import PICTURES, SEVEN, draw, expect_classes

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def demo_page(site: Path) -> str:
    runs = [read_run(RUNS / f"{norm}-mnist-best-seed0") for norm in NORMS]
    write_page(build_demo(runs, load_data("digits").x_test[:5], runtime_folder=DIST), site / "demo")
    return "demo/"


def test_contrast_changes_what_batch_normalization_returns_alone(open_page: Opener, demo_page: str) -> None:
    from playwright.sync_api import expect

    tab = open_page(demo_page)
    draw(tab, SEVEN)
    expect_classes(tab, ["7"] * len(NORMS))
    cards = tab.locator(".activation-card")
    expect(cards).to_have_count(len(NORMS))
    tab.get_by_label("Contrast").fill("0.5")
    expect(cards.nth(0).locator(".moved.some")).to_be_visible()
    for index in (1, 2):
        expect(cards.nth(index).locator(".moved.none")).to_be_visible()
    tab.get_by_role("button", name="Reset").click()
    expect(tab.locator(".moved.some, .moved.none")).to_have_count(0)


def test_the_statistics_of_each_normalization(open_page: Opener, demo_page: str) -> None:
    tab = open_page(demo_page)
    tab.get_by_role("button", name="sample 1", exact=True).click()
    tab.locator("#block").select_option("4")
    rows = [tab.get_by_role("table", name=f"Statistics of {norm}").locator("tbody tr") for norm in NORMS]
    rows[0].nth(16).wait_for()
    assert [row.count() for row in rows] == [17, 1, 5]  # the image, and its channels or groups
    assert "running" in tab.get_by_role("table", name="Statistics of bn").inner_text()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark"), (320, "light")])
def test_the_demo_looks_right(open_page: Opener, demo_page: str, width: int, scheme: str) -> None:
    """Nothing sticks out; the pictures in build/browser are for people to look at."""
    tab = open_page(demo_page, viewport={"width": width, "height": 900}, color_scheme=scheme)
    draw(tab, SEVEN)
    expect_classes(tab, ["7"] * len(NORMS))
    tab.get_by_label("Contrast").fill("0.5")
    tab.locator(".moved.some").first.wait_for()
    PICTURES.mkdir(parents=True, exist_ok=True)
    tab.screenshot(path=PICTURES / f"demo-{width}-{scheme}.png", full_page=True)
    assert tab.evaluate("() => document.documentElement.scrollWidth") <= width
