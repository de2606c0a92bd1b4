"""Copy mode of a terminal: moving, searching and selecting in its screen and scrollback."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from textual.message import Message

from sandtop.tui.text import plural

from .app_of import app_of
from .terminal_count import RowCount
from .terminal_screen import TerminalScreen

if TYPE_CHECKING:
    import re

_SEARCH_SECONDS: Final = 0.005
"""How long a search goes on before others have their turn."""


class TerminalCopy(TerminalScreen):
    """Carries out the actions of copy mode; its state is ``copy_mode``."""

    @dataclass
    class Asked(Message):
        """What the operator wants: ``detach``, ``watch``, ``take`` or ``search``.

        ``read`` tells that the operator has seen that no program reads what is typed.
        """

        view: TerminalCopy
        what: str

    @dataclass
    class Said(Message):
        """Something to tell the operator in a line."""

        text: str

    _matches: RowCount | None = None

    def _moved(self, moved: bool = True) -> None:
        if moved:
            self.redraw()

    def action_move(self, rows: int, columns: int) -> None:
        self.copy_mode.move(rows, columns)
        self.redraw()

    def action_page(self, pages: int) -> None:
        self.copy_mode.page(pages)
        self.redraw()

    def action_line_start(self) -> None:
        self.copy_mode.to_column(0)
        self.redraw()

    def action_line_end(self) -> None:
        self.copy_mode.to_end_of_line()
        self.redraw()

    def action_top(self) -> None:
        self.copy_mode.to_oldest()
        self.redraw()

    def action_bottom(self) -> None:
        self.copy_mode.to_present()
        self.redraw()

    def action_search(self) -> None:
        self.post_message(self.Asked(self, "search"))

    def search(self, pattern: re.Pattern[str]) -> None:
        """Search upwards for ``pattern``, from the cursor on."""
        self.copy_mode.pattern = pattern
        self._matches = RowCount(self.copy_mode)
        self.redraw()
        self.action_search_next(-1)

    def stop_searching(self) -> bool:
        """End the search and take its marks away; False when there was none."""
        if self.copy_mode.pattern is None:
            return False
        self.copy_mode.pattern = None
        self.redraw()
        self.post_message(self.Changed(self))
        return True

    def action_search_next(self, step: int) -> None:
        if self.copy_mode.pattern is not None:
            self.run_worker(self._search(step), group="search", exclusive=True)

    async def _search(self, step: int) -> None:
        begun = time.monotonic()
        for found in self.copy_mode.matches(step):
            if found:
                self.redraw()
                await self._count()
                return
            if time.monotonic() - begun > _SEARCH_SECONDS:
                await asyncio.sleep(0)
                begun = time.monotonic()
        app_of(self).bell()
        self.post_message(self.Said("nothing found that way"))
        await self._count()

    async def _count(self) -> None:
        if self._matches is not None:
            await self._matches.count()
        self.post_message(self.Changed(self))

    @property
    def sought(self) -> tuple[str, str] | None:
        """The pattern that is searched for, and how many rows match (`RowCount.text`); None without a search."""
        pattern = self.copy_mode.pattern
        return (pattern.pattern, self._matches.text) if pattern and self._matches is not None else None

    def action_select(self) -> None:
        self.copy_mode.select(whole_lines=False)
        self.redraw()

    def action_select_lines(self) -> None:
        self.copy_mode.select(whole_lines=True)
        self.redraw()

    def action_copy(self) -> None:
        self._copy()
        self.copy_mode.unselect()
        self.redraw()

    def _copy(self) -> None:
        text = self.copy_mode.text
        app_of(self).copy_to_clipboard(text)
        self.post_message(self.Said(f"copied {plural(text.count(chr(10)) + 1, 'line')}"))
