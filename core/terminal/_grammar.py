"""What a control sequence looks like (ECMA-48 §5.4, ECMA-35; the parser states of the VT500).

A sequence is complete; or it is cut off where the input ends, and kept until the rest comes; or it is aborted by CAN,
SUB, another ESC or a character that does not belong into it. `TOKENS` matches at every position of every input.
"""

from __future__ import annotations

import re
from typing import Final

MAX_SEQUENCE: Final = 4096
"""Characters in one control sequence or string. A longer one is read to its end and has no effect."""

# The C1 controls are by definition (ECMA-35 §6.4.3) the same as these pairs.
C1: Final = {code: "\x1b" + chr(code - 0x40) for code in range(0x80, 0xA0)}
C1_PRESENT: Final = re.compile("[\x80-\x9f]")

_TEXT: Final = "[^\x00-\x1f\x7f]"
_INSIDE_CSI: Final = "\x00-\x17\x19\x1c-\x3f\x7f"
_INSIDE_ESC: Final = "\x00-\x17\x19\x1c-\x2f\x7f"

TOKENS: Final = re.compile(
    f"({_TEXT}*+)"
    r"(?:\x1b\[([0-9:;]*+[@-~])"  # plain CSI
    r"|(\r\n|[\x00-\x1a\x1c-\x1f\x7f])"  # control character
    r"|(\x1b\][^\x07\x18\x1a\x1b]*+(?:[\x07\x18\x1a]|\x1b\\)?"  # OSC
    r"|\x1b[PX^_][^\x18\x1a\x1b]*+(?:[\x18\x1a]|\x1b\\)?"  # other strings
    rf"|\x1b\[[{_INSIDE_CSI}]*+[@-~\x18\x1a]?"  # any other CSI
    rf"|\x1b[{_INSIDE_ESC}]*+[0-~\x18\x1a]?))?"  # ESC
)
"""Text, then one of: a CSI with numbers only; a control character; anything else that begins with ESC."""

_OPEN: Final = re.compile(
    rf"\x1b(?:\[[{_INSIDE_CSI}]*+|\][^\x07\x18\x1a\x1b]*+|[PX^_][^\x18\x1a\x1b]*+|[{_INSIDE_ESC}]*+)\Z"
)
_OPEN_STRING: Final = re.compile(r"\x1b(?:\][^\x07\x18\x1a\x1b]*+|[PX^_][^\x18\x1a\x1b]*+)\Z")

CSI_PARTS: Final = re.compile(r"\x1b\[([<-?]?)([0-9:;]*+)([ -/]*+)([@-~])\Z")
C0_INSIDE: Final = re.compile(r"[\x00-\x17\x19\x1c-\x1f\x7f]")


def open_tail(text: str) -> int:
    """Where in ``text`` a sequence begins that the end of the text cuts off; its length when there is none."""
    last = text.rfind("\x1b")
    if last < 0 or not _OPEN.match(text, last):
        return len(text)
    if last == len(text) - 1:
        # It may be the first half of the terminator of a string.
        before = text.rfind("\x1b", 0, last)
        if before >= 0 and _OPEN_STRING.match(text[before:last]):
            return before
    return last


_ENDLESS: Final = {"[": "\x1b[!0!0!0", "]": "\x1b]!!!"}
_ENDLESS_ESC: Final = "\x1b !!!"


def is_endless(sequence: str) -> bool:
    """Whether ``sequence`` is longer than allowed, or was before `shorten` cut it, so that it must have no effect."""
    return len(sequence) > MAX_SEQUENCE or sequence.startswith((_ENDLESS["["], _ENDLESS["]"], _ENDLESS_ESC))


def shorten(tail: str) -> str:
    """A cut-off sequence, bounded: one that is too long becomes a short one that has no effect, however it goes on.

    What it becomes does not depend on where it was cut.
    """
    kind = tail[1:2]
    end = "\x1b" if len(tail) > 1 and tail[-1] == "\x1b" else ""
    if kind and kind in "PX^_":
        return tail[:2] + end
    if is_endless(tail.removesuffix("\x1b")):
        return _ENDLESS.get(kind, _ENDLESS_ESC) + end
    return tail
