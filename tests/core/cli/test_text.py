"""What a terminal is shown of a sandbox's output: text, and every control made visible."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandtop.core.cli import _text
from sandtop.core.cli._text import Neutraliser, visible


def shown(data: bytes, *, returns: bool = False, cut: int = 1 << 20) -> str:
    made = Neutraliser(returns=returns)
    out = b"".join(made.feed(data[at : at + cut]) for at in range(0, len(data), cut))
    return (out + made.feed(b"", final=True)).decode()


@pytest.mark.parametrize("cut", [1, 2, 5, 1000])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain\ttext\n", "plain\ttext\n"),
        ("a\x1b[31m\x07\x7f\x9b1m", "a^[[31m^G^?\\x9b1m"),
        ("progress 1%\rprogress 2%\r\n", "progress 1%^Mprogress 2%\r\n"),
        ("line\r\r\n\r\n", "line^M\r\n\r\n"),
        ("end\r", "end^M"),
        ("ab\u202ecd\u2066\u200b\ufeff\u00ad\u2028", "ab\\u202ecd\\u2066\\u200b\\ufeff\\u00ad\\u2028"),
        ("tags \U000e0041", "tags \\U000e0041"),
        ("rm\u200d -rf \u200cx", "rm\\u200d -rf \\u200cx"),
        ("👨\u200d👩\u200d👧 می\u200cخواهم", "👨\u200d👩\u200d👧 می\u200cخواهم"),
        ("é\u200d\u200dé\u200d", "é\\u200d\\u200dé\\u200d"),
        ("漢字\u3000 nbsp\u00a0 \ue0b0 ❤\ufe0f", "漢字\u3000 nbsp\u00a0 \ue0b0 ❤\ufe0f"),
    ],
)
def test_controls_are_shown_wherever_they_are_cut(text: str, expected: str, cut: int) -> None:
    assert shown(text.encode(), cut=cut) == expected


def test_returns_act_where_they_are_wanted() -> None:
    assert shown(b"1%\r2%\r\n\x1b", returns=True) == "1%\r2%\r\n^["


def test_every_character_of_its_kind_is_known() -> None:
    """Of the Unicode that this Python has."""
    for code in range(0x110000):
        if unicodedata.category(chr(code)) in ("Cc", "Cf", "Zl", "Zp") and chr(code) not in "\n\t":
            assert chr(code) not in shown(f"a{chr(code)}b".encode()), hex(code)
            assert visible(f"a{chr(code)}b").isprintable()


@given(st.text(max_size=20), st.integers(1, 5))
def test_nothing_invisible_passes_and_nothing_is_lost(text: str, cut: int) -> None:
    data = text.encode("utf-8", "surrogatepass")
    out = shown(data, cut=cut)
    assert out == shown(data)
    for at, char in enumerate(out):
        if char == "\r":
            assert out[at + 1] == "\n"
        elif char not in "\n\t\u200c\u200d":
            assert unicodedata.category(char) not in ("Cc", "Cf", "Zl", "Zp")


def test_rows_of_a_screen_keep_their_colours() -> None:
    assert _text.shown("\x1b[31mr\u200dm\x1b[0m é\u200dé\u2066") == "\x1b[31mr\\u200dm\x1b[0m é\u200dé\\u2066"


def test_what_is_held_back_is_bounded() -> None:
    made = Neutraliser()
    out = made.feed(b"x" + b"\r" * 100)
    assert len(out) > 100
