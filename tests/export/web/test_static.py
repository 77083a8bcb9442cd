"""The modules that compute something, run by Node.js, against what they are ports of."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from PIL import Image

from export.image_input import ImageInput
from export.images import ImageFormat, looks_like_ink_on_paper
from export.layout import LAYOUTS, to_graph
from export.served_model import Value
from export.verify import compare
from export.web.page import STATIC

NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="needs Node.js (node)")
INF, NAN = float("inf"), float("nan")


def call(module: str, function: str, arguments: list[list[Any]]) -> list[Any]:
    """Call a function of a module once for each list of arguments. NaN and infinity pass as texts."""
    script = f"""
        import {{ {function} }} from "{STATIC / module}";
        const read = (key, value) => ({{ NaN, Infinity, "-Infinity": -Infinity }})[value] ?? value;
        let text = "";
        for await (const part of process.stdin) text += part;
        const results = JSON.parse(text, read).map((one) => {function}(...one));
        console.log(JSON.stringify(results, (_, v) => ArrayBuffer.isView(v) ? Array.from(v) : v));
    """
    text = json.dumps(arguments)
    for name in ("NaN", "-Infinity", "Infinity"):
        text = text.replace(f" {name}", f' "{name}"').replace(f"[{name}", f'["{name}"')
    done = subprocess.run(
        [str(NODE), "--input-type=module", "-e", script],
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


RANDOM = np.random.default_rng(0).normal(size=(4, 5))
# Of each case: the output, the true values, and the allowance.
CASES: dict[str, tuple[Any, Any, float, float]] = {
    "equal": (RANDOM, RANDOM, 0.0, 0.0),
    "within the absolute allowance": (RANDOM + 1e-6, RANDOM, 1.1e-6, 0.0),
    "above it": (RANDOM + 1e-6, RANDOM, 0.9e-6, 0.0),
    "within the relative allowance": (RANDOM * (1 + 1e-6), RANDOM, 0.0, 1.1e-6),
    "above the relative one": (RANDOM * (1 + 1e-6), RANDOM, 0.0, 0.9e-6),
    "other classes": (RANDOM[:, ::-1], RANDOM, 9.0, 0.0),
    "NaN on both sides": ([[NAN, 1.0, 2.0]], [[NAN, 1.0, 2.0]], 0.0, 0.0),
    "NaN on one side": ([[NAN, 1.0, 2.0]], [[0.0, 1.0, 2.0]], 9.0, 0.0),
    "infinity on both sides": ([[INF, -INF, 2.0]], [[INF, -INF, 2.0]], 0.0, 0.0),
    "infinity on one side": ([[INF, -INF, 2.0]], [[-INF, 3.0, 2.0]], 9.0, 0.0),
    "integers": ([[3], [2]], [[3], [1]], 0.0, 0.0),
    "scalars": ([1.0, 2.0], [1.0, 2.5], 0.4, 0.04),
    "the first of two largest": ([[1.0, 1.0, 0.0]], [[0.9, 1.0, 0.0]], 0.2, 0.0),
}


@needs_node
def test_the_rule_is_that_of_verify() -> None:
    expected, arguments = [], []
    for ours, true, absolute, relative in map(tuple, CASES.values()):
        ours, true = np.asarray(ours), np.asarray(true)
        expected.append(asdict(compare("y", "batch", ours, true, absolute, relative)))
        flat = [ours.ravel().tolist(), true.ravel().tolist()]
        arguments.append(["y", "batch", *flat, list(true.shape), [absolute, relative]])
    for name, got, want in zip(CASES, call("rule.js", "compare", arguments), expected, strict=True):
        assert list(got) == list(want), name
        assert got.pop("size") == pytest.approx(want.pop("size"), rel=1e-14, abs=0), name
        assert got == want, name
    assert {want["within"] for want in expected} == {True, False}


@needs_node
def test_the_rule_for_strings() -> None:
    for words in (["a", "b"], ["a", "c"]):
        true = np.array(["a", "b"], object)
        expected = compare("y", "batch", np.array(words, object), true, 0.0, 0.0)
        (got,) = call("rule.js", "compare", [["y", "batch", words, ["a", "b"], [2], [0, 0]]])
        assert got == asdict(expected)


@needs_node
def test_resizing_is_pillows() -> None:
    rng = np.random.default_rng(1)
    cases, expected = [], []
    for (height, width, channels), size in [
        *(((280, 280, 1), (28, 28)), ((28, 28, 1), (280, 280)), ((37, 50, 3), (24, 20))),
        *(((5, 90, 3), (31, 7)), ((1, 1, 1), (3, 2)), ((28, 28, 1), (28, 28)), ((28, 20, 1), (28, 28))),
    ]:
        pixels = rng.integers(0, 256, (height, width, channels), np.uint8)
        image = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
        resized = np.asarray(image.resize(size[::-1], Image.Resampling.BILINEAR))
        cases.append([pixels.ravel().tolist(), [height, width, channels], list(size)])
        expected.append(resized.ravel().tolist())
    assert call("resize.js", "resize", cases) == expected


def picture(pixels: np.ndarray) -> dict[str, Any]:
    """A grey image of shape (height, width) as the page has it."""
    rgba = np.repeat(pixels[..., None], 4, axis=2)
    rgba[..., 3] = 255
    return {"height": pixels.shape[0], "width": pixels.shape[1], "data": rgba.ravel().tolist()}


@needs_node
def test_ink_on_paper_is_found_by_the_rule_of_infer() -> None:
    rng = np.random.default_rng(2)
    paper = rng.integers(200, 256, (40, 30), dtype=np.uint8)
    ink, edge = paper.copy(), paper.copy()
    ink[10:20, 12:16] = 30
    edge[:, :8] = 20
    images = [paper, ink, edge, 255 - ink, ink[:2], np.full((3, 3), 128, np.uint8)]
    assert call("pictures.js", "looksLikeInkOnPaper", [[picture(image)] for image in images]) == [
        looks_like_ink_on_paper(image) for image in images
    ]
    assert looks_like_ink_on_paper(ink)


@needs_node
def test_the_grey_levels_are_pillows() -> None:
    rgb = np.random.default_rng(3).integers(0, 256, (16, 16, 3), np.uint8)
    rgba = np.concatenate([rgb, np.full((16, 16, 1), 255, np.uint8)], axis=2)
    given = {"height": 16, "width": 16, "data": rgba.ravel().tolist()}
    size = {"height": 16, "width": 16}
    grey, inverted, same = call(
        "pictures.js",
        "prepare",
        [
            [given, {**size, "channels": 1}, {}],
            [given, {**size, "channels": 1}, {"invert": True}],
            [given, {**size, "channels": 3}, {}],
        ],
    )
    expected = np.asarray(Image.fromarray(rgb).convert("L"))
    np.testing.assert_array_equal(np.reshape(grey["pixels"], (16, 16)), expected)
    np.testing.assert_array_equal(np.reshape(inverted["pixels"], (16, 16)), 255 - expected)
    np.testing.assert_array_equal(np.reshape(same["pixels"], (16, 16, 3)), rgb)


@needs_node
def test_centred_ink_has_the_size_of_mnists_digits() -> None:
    image = np.zeros((280, 280), np.uint8)
    image[200:260, 20:50] = 255  # 60 high, 30 wide
    (got,) = call(
        "pictures.js",
        "prepare",
        [[picture(image), {"height": 28, "width": 28, "channels": 1}, {"centre": True}]],
    )
    rows, columns = np.nonzero(np.reshape(got["pixels"], (28, 28)) > 127)
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (20, 10)
    assert abs(rows.mean() - 13.5) <= 0.5
    assert abs(columns.mean() - 13.5) <= 0.5


@needs_node
def test_the_values_of_an_input_are_those_of_infer() -> None:
    pixels = np.random.default_rng(4).integers(0, 256, (1, 2, 4, 3), np.uint8)
    image = {"height": 2, "width": 4, "channels": 3, "pixels": pixels.ravel().tolist()}
    kinds = itertools.product(
        ("float32", "float64", "uint8"), LAYOUTS, [(0.0, 255.0), (0.0, 1.0), (-1.0, 1.0)]
    )
    expected, arguments = [], []
    for dtype, layout, (low, high) in kinds:
        images = ImageInput(Value("x", np.dtype(dtype), (None, 2, 4, 3)), ImageFormat(2, 4, 3), low, high)
        expected.append(to_graph(np.repeat(images.values(pixels), 2, axis=0), layout).ravel())
        arguments.append([image, {"dtype": dtype, "layout": layout, "low": low, "high": high, "batch": 2}])
    got = call("model.js", "inputValues", arguments)
    np.testing.assert_allclose(np.array(got), np.array(expected), rtol=1e-7, atol=1e-8)


@needs_node
def test_which_values_are_probabilities() -> None:
    rows = [[0.25, 0.75], [1.0004, 0.0], [0.5, 0.7], [1.5, -0.5], [0.9], [NAN, 1.0]]
    assert call("model.js", "areProbabilities", [[row] for row in rows]) == [
        True,
        True,
        False,
        False,
        False,
        False,
    ]
