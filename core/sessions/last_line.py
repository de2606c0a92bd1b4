"""The last line that a session wrote, for a list: read from its log when somebody asks, kept until that grows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sandtop.core.sessions.output import STDERR, STDOUT

if TYPE_CHECKING:
    from sandtop.core.sessions.log import SessionLog

_LOOK: Final = 1024
"""Bytes at the end of a log that are looked at."""
_MOST: Final = 200
"""Characters of a line that are kept."""
_SEQUENCE: Final = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\|\Z)|\x1b[ -/]*[0-~]?|[\x80-\x9f]"
)
"""Control sequences (ECMA-48), also those that are cut short."""
_MOVES: Final = re.compile(rb"\x1b\[[0-9;]*[ABHdf]|\x1b\[\?(?:47|1047|1049)h")
"""CUU, CUD, CUP, VPA, HVP, the alternate screen: what comes then is not written line by line."""


def last_line_of(data: bytes) -> str:
    """The last line in ``data`` that is not empty, as plain text; empty when a program draws a whole screen there."""
    if _MOVES.search(data):
        return ""
    for line in reversed(data.decode(errors="replace").split("\n")):
        text = _SEQUENCE.sub("", line.rstrip("\r").rpartition("\r")[2])
        text = "".join(c if c.isprintable() else " " if c == "\t" else "" for c in text).strip()
        if text:
            return text[:_MOST]
    return ""


class LastLine:
    """The last line of ``log``, stdout or stderr, whichever wrote last."""

    __slots__ = ("_ends", "_log", "_text")

    def __init__(self, log: SessionLog) -> None:
        self._log = log
        self._ends = (0, 0)
        self._text = ""

    @property
    def text(self) -> str:
        """The line; empty when there is none. It may cost a read of a kilobyte when the log has grown."""
        ends = self._log.end(STDOUT), self._log.end(STDERR)
        if ends != self._ends:
            before, self._ends = self._ends, ends
            order = (STDERR, STDOUT) if ends[1] > before[1] else (STDOUT, STDERR)
            self._text = next(
                (text for stream in order if (text := self._read(stream, ends[stream - 1]))), ""
            )
        return self._text

    def _read(self, stream: int, end: int) -> str:
        start = max(self._log.first(stream), end - _LOOK)
        try:
            return last_line_of(self._log.read(stream, start, end - start))
        except OSError:  # who reads the log is told; a list shows the other sandboxes
            return ""
