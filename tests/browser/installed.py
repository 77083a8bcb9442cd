"""What the tests in a browser need, and what of it is missing."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

DIST = Path(__file__).parent / "node_modules/onnxruntime-web/dist"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def missing() -> str:
    """What is missing, and how to install it; empty if nothing is."""
    if find_spec("playwright") is None:
        return "needs Playwright: pip install -e .[browser]"
    if CHROMIUM is None:
        return "needs Chromium: apt-get install chromium"
    if not DIST.is_dir():
        return "needs onnxruntime-web: npm ci --prefix tests/browser"
    return ""
