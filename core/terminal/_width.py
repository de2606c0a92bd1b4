"""How many columns text takes, and which characters join the one before them, according to the wcwidth library.

Most text need not be looked at character by character: `RUNS` cuts a string into runs of characters that are all one
column wide, or all two, and never join each other. Only the other characters are looked at one by one.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from wcwidth import wcswidth, wcwidth
from wcwidth.grapheme import grapheme_boundary_before

_MAX_CACHED: Final = 4096

MAX_CLUSTER: Final = 16
"""Code points kept in one cell; further combining marks are dropped, so that a cell stays small."""

# No character here is Extend, Prepend, a pictograph or an Indic consonant: a test checks each against wcwidth.
NARROW: Final = (
    "\x20-\x7e\xa1-\xa8\xaa-\xac\xaf-\u02ff\u0370-\u0482\u048a-\u052f\u05d0-\u05ea\u1e00-\u1fff\u2010-\u2027"
    "\u2030-\u203b\u2070-\u20cf\u2100-\u2121\u213a-\u2193\u21ab-\u2319\u232b-\u23ce\u24c3-\u25a9\u25c1-\u25fa"
    "\u2765-\u2794\u27c0-\u2933\u2b1d-\u2b4f\ue000-\uf8ff\uff61-\uff9d"
)
WIDE: Final = "\u3041-\u3096\u309b-\u30ff\u3105-\u312f\u329a-\ua48c\uac00-\ud7a3\uf900-\ufaff\uff01-\uff60"
RUNS: Final = re.compile(f"([{NARROW}]+)|([{WIDE}]+)|(.)", re.DOTALL)
ALL_NARROW: Final = re.compile(f"[{NARROW}]*+")


class _UpperWidths(dict[str, int]):
    """By character, the most columns that it can add to a line: never fewer than it takes when it is drawn."""

    __slots__ = ()

    def __missing__(self, character: str) -> int:
        if len(self) >= _MAX_CACHED:
            self.clear()
        # A mark may widen what it joins (VS16), and so counts one.
        width = self[character] = max(1, wcwidth(character))
        return width


UPPER: Final = _UpperWidths((chr(code), 1) for code in range(0x20, 0x7F))


@lru_cache(maxsize=_MAX_CACHED)
def cluster_width(text: str) -> int:
    """Columns of one grapheme: 1 or 2."""
    width = wcwidth(text) if len(text) == 1 else wcswidth(text)
    return 2 if width >= 2 else 1


def may_join(character: str) -> bool:
    """Whether ``character`` can belong to a grapheme that something else began."""
    run = RUNS.match(character)
    return run is None or run.lastindex == 3


def joins(before: str, character: str) -> bool:
    """Whether ``character`` belongs to the same grapheme as ``before`` (UAX #29)."""
    return bool(before) and (_joins_any(character) or _joins(before, character))


@lru_cache(maxsize=_MAX_CACHED)
def _joins_any(character: str) -> bool:
    """Whether ``character`` is a mark, which joins any character but a control (rules GB9 and GB9a)."""
    return _joins("a", character)


@lru_cache(maxsize=_MAX_CACHED)
def _joins(before: str, character: str) -> bool:
    return grapheme_boundary_before(before + character, len(before) + 1) == 0


@lru_cache(maxsize=_MAX_CACHED)
def stands_alone(character: str) -> bool:
    """Whether ``character`` takes columns of its own when it joins nothing (format controls do not)."""
    return wcwidth(character) > 0
