"""How many lines of a log match what is searched for, counted a piece at a time so that keys need not wait."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from typing import TYPE_CHECKING, Final

from sandtop.tui.ansi import plain

if TYPE_CHECKING:
    import re

    from .log_lines import ShownLines

_STEP: Final = 2000
"""Lines looked at before others have their turn."""
MOST: Final = 100_000
"""Matches that are counted; there may be more then."""


class MatchCount:
    """Counts the matches of ``pattern`` in the lines that a log shows."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self._pattern = pattern
        self._found: list[int] = []
        self._next = 0

    def behind(self, lines: ShownLines) -> bool:
        """Whether there are lines that were not looked at."""
        return self._next < lines.ring.total and len(self._found) < MOST

    def at(self, number: int | None) -> str:
        """``3/17``: line ``number`` is the third of seventeen that match; without it ``17``."""
        total = f"{len(self._found)}{'+' if len(self._found) >= MOST else ''}"
        if number is None:
            return total
        return f"{bisect_left(self._found, number) + 1}/{total}"

    async def go_on(self, lines: ShownLines) -> None:
        """Count up to the last whole line."""
        while self.behind(lines):
            stop = lines.ring.total
            self._next = max(self._next, lines.ring.first)
            for looked, line in enumerate(lines.ring.forwards(self._next), 1):
                if line.number >= stop:
                    break
                self._next = line.number + 1
                if self._pattern.search(plain(line.text)) and lines.passes(line):
                    self._found.append(line.number)
                if looked >= _STEP or len(self._found) >= MOST:
                    break
            del self._found[: bisect_left(self._found, lines.ring.first)]
            await asyncio.sleep(0)
