"""What a program's output leaves switched on in the terminal that showed it, and how to switch it off again. No I/O.

A program in the alternate screen with the mouse on does not know that its viewer leaves: the viewer's own terminal
must not stay so. Only what differs from a terminal's usual state is undone, since even a needless "off" may move the
cursor (xterm's ctlseqs, mode 1049).
"""

from __future__ import annotations

import re

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from typing import Final

_SEQUENCE: Final = re.compile(
    rb"\x1b(?:\[(?P<mark>[?>=<!]?)(?P<parameters>[0-9;:]*)(?P<between>[ ]?)(?P<final>[hlrmqup])"
    rb"|(?P<short>[c=>])|\((?P<charset>.)|(?P<link>\]8;[^;\x07\x1b]*;[^\x07\x1b]*))",
    re.DOTALL,
)
_UNFINISHED: Final = re.compile(rb"\x1b(?:\[[?>=<!]?[0-9;: ]*|\(|\][^\x07\x1b]*)?\Z")
_LONGEST: Final = 4096
"""Bytes of a sequence that is not complete yet; a longer one is none that matters here."""
_USUALLY_ON: Final = frozenset({7, 25})
"""Autowrap and the cursor (DECAWM, DECTCEM)."""
_ALTERNATE: Final = (1049, 1047, 47)
_UNDONE: Final = frozenset(
    {1, 5, 6, 7, 9, 25, 66, 1000, 1002, 1003, 1004, 1005, 1006, 1015, 1016, 2004, 2026, *_ALTERNATE}
)


class Leftovers:
    """Follows the modes that output sets.

    Attributes:
        midway: the output ends within a sequence or a character: nothing of others may come in between.
    """

    __slots__ = ("_changed", "_rest", "_touched", "midway")

    def __init__(self) -> None:
        self._changed: set[int] = set()
        self._touched: dict[str, bytes] = {}
        self._rest = b""
        self.midway = False

    def feed(self, data: bytes) -> None:
        """Look at what is written to the terminal next."""
        if not data:
            return
        self.midway = data[-1] >= 0x80
        if b"\x1b" not in data and not self._rest:
            return
        data = self._rest + data
        for match in _SEQUENCE.finditer(data):
            self._take(match)
        unfinished = _UNFINISHED.search(data, max(0, len(data) - _LONGEST))
        self._rest = data[unfinished.start() :] if unfinished else b""
        self.midway = self.midway or bool(self._rest)

    def _take(self, match: re.Match[bytes]) -> None:
        mark, parameters, final = match["mark"], match["parameters"], match["final"]
        if match["short"] == b"c" or (mark, final) == (b"!", b"p"):
            alternate = set[int]() if match["short"] else self._changed & set(_ALTERNATE)
            self._changed, self._touched = alternate, {}
        elif match["short"]:
            self._touch("keypad", b"\x1b>", on=match["short"] == b"=")
        elif match["charset"]:
            self._touch("charset", b"\x1b(B\x0f", on=match["charset"] != b"B")
        elif match["link"]:
            self._touch("link", b"\x1b]8;;\x1b\\", on=not match["link"].endswith(b";"))
        elif final in (b"h", b"l"):
            self._switch(mark, parameters, on=final == b"h")
        elif final == b"m" and mark == b">":
            self._touch("keys", b"\x1b[>4m", on=parameters.startswith(b"4;") and parameters != b"4;0")
        elif final == b"m" and not mark:
            self._touch("style", b"\x1b[m", on=parameters not in (b"", b"0"))
        elif final == b"r" and not mark:
            self._touch("margins", b"\x1b7\x1b[r\x1b8", on=parameters != b"")
        elif final == b"q" and match["between"]:
            self._touch("cursor", b"\x1b[0 q", on=parameters not in (b"", b"0"))
        elif final == b"u" and mark in (b">", b"="):
            self._touch("kitty", b"\x1b[=0u", on=parameters not in (b"", b"0"))

    def _switch(self, mark: bytes, parameters: bytes, *, on: bool) -> None:
        numbers = [int(number) for number in parameters.split(b";") if number.isdigit()]
        if mark == b"?":
            for number in _UNDONE.intersection(numbers):
                if on == (number in _USUALLY_ON):
                    self._changed.discard(number)
                else:
                    self._changed.add(number)
        elif not mark and 4 in numbers:
            self._touch("insert", b"\x1b[4l", on=on)

    def _touch(self, name: str, undo: bytes, *, on: bool) -> None:
        if on:
            self._touched[name] = undo
        else:
            self._touched.pop(name, None)

    def undo(self) -> bytes:
        """What to write to the terminal so that it is as usual again."""
        # behind an unfinished sequence nothing would be understood: CAN ends it (ECMA-48), and ST a string
        parts = [b"\x18\x1b\\"] if self._rest else []
        modes = sorted(self._changed - set(_ALTERNATE))
        parts += [b"\x1b[?%d%c" % (mode, b"h" if mode in _USUALLY_ON else b"l") for mode in modes]
        parts += self._touched.values()
        # last: kitty's flags are of one screen, and leaving it puts the cursor back
        parts += [b"\x1b[?%dl" % mode for mode in _ALTERNATE if mode in self._changed]
        if self._changed & set(_ALTERNATE) or "style" in self._touched:
            parts.append(b"\x1b[m")
        return b"".join(parts)
