"""How many rows of a terminal match what is searched for, counted a slice at a time so that keys need not wait."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .copy_mode import CopyMode

_SLICE_SECONDS: Final = 0.005
"""How long it counts before others have their turn."""


class RowCount:
    """Counts matches in the rows of ``copy_mode``: scrollback and screen, as they are when `count` is awaited.

    Rows that have scrolled off do not change, so they are looked at once.
    """

    def __init__(self, copy_mode: CopyMode) -> None:
        self._copy_mode = copy_mode
        self._past: list[int] = []
        self._screen: list[int] = []
        self._next = 0

    async def count(self) -> None:
        """Count up to the last row of the screen."""
        copy_mode, begun = self._copy_mode, time.monotonic()
        present = copy_mode.present
        number = max(self._next, copy_mode.rows.start)
        screen: list[int] = []
        while number < copy_mode.rows.stop:
            past = number < present
            if copy_mode.has_match(number):
                (self._past if past else screen).append(number)
            number += 1
            self._next = number if past else self._next
            if time.monotonic() - begun > _SLICE_SECONDS:
                await asyncio.sleep(0)
                begun = time.monotonic()
        self._screen = screen

    @property
    def text(self) -> str:
        """``3/17``: the cursor is on the third of seventeen rows that match; without such a row ``17``."""
        found = [*self._past[bisect_left(self._past, self._copy_mode.rows.start) :], *self._screen]
        cursor = self._copy_mode.cursor
        if cursor is not None and cursor[0] in found:
            return f"{found.index(cursor[0]) + 1}/{len(found)}"
        return str(len(found))
