"""The short cuts of the width module against the wcwidth library itself."""

from __future__ import annotations

import re
import sys

from wcwidth import wcwidth
from wcwidth.grapheme import iter_graphemes

from sandtop.core.terminal import _width


def matching(pattern: str) -> list[str]:
    return re.findall(f"[{pattern}]", "".join(map(chr, range(sys.maxunicode + 1))))


def test_the_narrow_and_wide_classes_are_what_they_say() -> None:
    for pattern, width in ((_width.NARROW, 1), (_width.WIDE, 2)):
        characters = matching(pattern)
        assert len(characters) > 1000
        assert [character for character in characters if wcwidth(character) != width] == []
        # None joins another of its kind: the text has as many graphemes as characters.
        assert sum(1 for _ in iter_graphemes("".join(characters))) == len(characters)
        assert sum(1 for _ in iter_graphemes("a".join(characters))) == 2 * len(characters) - 1


def test_the_upper_width_is_never_too_small() -> None:
    for character in map(chr, range(0xA0, sys.maxunicode + 1)):
        assert _width.UPPER[character] >= max(1, wcwidth(character))
