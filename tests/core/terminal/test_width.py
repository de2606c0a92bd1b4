"""The short cuts of the width module against the wcwidth library itself."""

from __future__ import annotations

import re
import sys
import unicodedata

import pytest
from wcwidth import wcwidth
from wcwidth.grapheme import iter_graphemes

from sandtop.core.terminal import _width


def matching(pattern: str) -> list[str]:
    return re.findall(f"[{pattern}]", "".join(map(chr, range(sys.maxunicode + 1))))


@pytest.mark.slow
def test_the_narrow_and_wide_classes_are_what_they_say() -> None:
    for pattern, width in ((_width.NARROW, 1), (_width.WIDE, 2)):
        characters = matching(pattern)
        assert len(characters) > 1000
        assert [character for character in characters if wcwidth(character) != width] == []
        # None joins another of its kind: the text has as many graphemes as characters.
        assert sum(1 for _ in iter_graphemes("".join(characters))) == len(characters)
        assert sum(1 for _ in iter_graphemes("a".join(characters))) == 2 * len(characters) - 1


def test_what_joins_a_letter_joins_every_grapheme() -> None:
    """So rules GB9 and GB9a of UAX #29 have it, and the short cut relies on it."""
    every = map(chr, range(0x80, sys.maxunicode + 1))
    marks = [mark for mark in every if unicodedata.category(mark)[0] == "M" and _width.joins("a", mark)]
    assert len(marks) > 2000
    for before in ("中", "\u1100", "क\u094d", "\U0001f469\u200d", "\U0001f1e9", "\u0600"):
        text = before + f"\0{before}".join(marks)  # a control ends a grapheme
        assert sum(1 for _ in iter_graphemes(text)) == 2 * len(marks) - 1, repr(before)


@pytest.mark.slow
def test_the_upper_width_is_never_too_small() -> None:
    for character in map(chr, range(0xA0, sys.maxunicode + 1)):
        assert _width.UPPER[character] >= max(1, wcwidth(character))
