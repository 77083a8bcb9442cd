from io import BytesIO

import pytest
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font

from kerasnorm.plot_text import set_literal, shorten, wrap


def titled(title: str) -> Figure:
    figure = Figure()
    figure.suptitle(title)
    return set_literal(figure)


def test_dollar_signs_are_no_formula() -> None:
    figure = titled("$\\frac{1$ and $x$")
    assert figure.get_suptitle() == "$\\frac{1$ and $x$"
    figure.savefig(BytesIO())


@pytest.mark.filterwarnings("error")
def test_a_character_without_a_glyph_is_a_white_square() -> None:
    figure = titled("a\U0010ffffb\nc\udcff")
    assert figure.get_suptitle() == "a□b\nc□"
    figure.savefig(BytesIO())


@pytest.mark.filterwarnings("error")
def test_a_font_of_the_system_is_used_where_it_has_the_character() -> None:
    """Matplotlib brings STIXNonUnicode, which has characters that its default font lacks."""
    files = {font.name: font.fname for font in font_manager.fontManager.ttflist if font.weight == 400}
    default, other = (set(FT2Font(files[name]).get_charmap()) for name in ("DejaVu Sans", "STIXNonUnicode"))
    title = f"a{chr(min(other - default))}"
    figure = Figure()
    text = figure.text(0.5, 0.5, title)
    set_literal(figure)
    assert text.get_text() == title
    assert text.get_fontfamily()[0] == "DejaVu Sans"
    assert len(text.get_fontfamily()) == 2
    figure.savefig(BytesIO())


def test_long_names_are_shortened_and_long_titles_wrapped() -> None:
    assert shorten("ankle boot", 10) == "ankle boot"
    assert shorten("abcdefghij", 7) == "abc…hij"
    assert len(shorten("abcdefghij", 6)) == 6
    assert wrap("", 4) == ""
    assert wrap("one two", 4) == "one two"
    assert max(map(len, wrap("word " * 50, 4).splitlines())) <= 36
