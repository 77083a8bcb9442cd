"""Text in plots as it is written: no formulas between dollar signs, and no warnings about missing glyphs."""

from __future__ import annotations

import functools
import textwrap

from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text

_NO_GLYPH = "\N{WHITE SQUARE}"


def set_literal(figure: Figure) -> Figure:
    """Let a figure draw every text as it is written, and return the figure.

    Matplotlib reads `$x$` as a formula, which may be a wrong one, and warns of each character that its font lacks.
    Such a character is drawn in a font of the system that has it, or else as a white square.
    """
    for text in figure.findobj(Text):
        text.set_parse_math(False)
        families = _families(text.get_text())
        if len(families) > 1:
            text.set_fontfamily(families)
        drawn = drawable(text.get_text())
        if drawn != text.get_text():
            text.set_text(drawn)
    return figure


def drawable(content: str) -> str:
    """Return a text with a white square for each character that no font has.

    The labels of ticks need it, because matplotlib sets their text again as it draws.
    """
    glyphs = frozenset("\n").union(*map(_glyphs, _families(content)))
    return "".join(char if char in glyphs else _NO_GLYPH for char in content)


def shorten(name: str, width: int) -> str:
    """Return a name of at most `width` characters; what is left out in the middle becomes an ellipsis."""
    if len(name) <= width:
        return name
    start = (width - 1) // 2
    return f"{name[:start]}…{name[len(name) - (width - 1 - start) :]}"


def wrap(title: str, inches: float) -> str:
    """Break a title into lines that fit a figure of this width; of a longer one, the first two are kept."""
    return textwrap.fill(title, max(20, round(9 * inches)), max_lines=2, placeholder="…")


def _families(content: str) -> list[str]:
    """The default font, and a font of the system for what it lacks."""
    default = font_manager.FontProperties().get_name()
    lacking = {char for char in content if char != "\n" and char not in _glyphs(default)}
    best, found = default, set[str]()
    for family in _system_fonts() if lacking else ():
        has = lacking & _glyphs(family)
        if len(has) > len(found):
            best, found = family, has
        if found == lacking:
            break
    return [default, best] if found else [default]


@functools.cache
def _system_fonts() -> dict[str, str]:
    """The file of each upright font of normal weight."""
    return {
        font.name: font.fname
        for font in font_manager.fontManager.ttflist
        if font.style == "normal"
        and font.weight in (400, "normal", "regular", "book")
        and not font.name.startswith("Last Resort")  # its glyphs are placeholders
    }


@functools.cache
def _glyphs(family: str) -> frozenset[str]:
    """The characters that a font has a glyph for; none if it can't be read."""
    try:
        return frozenset(map(chr, FT2Font(_system_fonts()[family]).get_charmap()))
    except (KeyError, OSError, RuntimeError, ValueError):
        return frozenset()
