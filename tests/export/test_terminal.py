import pytest

from export.terminal import columns, escape


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("seven\nb.png: 8 99.00 %", r"seven\nb.png: 8 99.00 %"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b2J", r"\x9b2J"),  # the one-byte form of ESC [
        ("back\b\b\rover\ttab\x00\x7f", r"back\x08\x08\rover\ttab\x00\x7f"),
        ("line\u2028paragraph\u2029", r"line\u2028paragraph\u2029"),
        ("\u202egnp.exe", r"\u202egnp.exe"),  # right to left
        ("\udcff.png", r"\udcff.png"),  # the byte FF of a file name
        ("\U000e0041", r"\U000e0041"),
    ],
)
def test_control_characters_are_escaped(text: str, expected: str) -> None:
    assert escape(text) == expected


@pytest.mark.parametrize("text", ["", "cat, 9 %", r"C:\new", "Größe", "猫", "می\u200cخواهم", "👩\u200d💻"])
def test_printable_text_stays(text: str) -> None:
    assert escape(text) == text


def test_columns_are_aligned_and_cells_escaped() -> None:
    assert columns([("a", "b"), ("a\nlong", "x\x1b[31m")]) == "a        b\na\\nlong  x\\x1b[31m"
