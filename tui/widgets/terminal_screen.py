"""Draws an emulator's screen, or its scrollback: once a frame, and only the rows that have changed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip

from sandtop.core.terminal import Emulator
from sandtop.tui.input_priority import SLICE_SECONDS

from .app_of import app_of
from .copy_mode import CopyMode
from .painted import Painted
from .strips import restyle
from .terminal_style import rich_style

if TYPE_CHECKING:
    from collections.abc import Iterator

    from textual.timer import Timer

_FIRST: Final = 0.004
"""Seconds from the first output after a silence to its frame, so that output written in pieces is drawn at once."""
FRAME: Final = 1 / 30
"""Seconds between frames."""
_FLOOD_FRAME: Final = 1 / 10
"""Seconds between frames in a flood, which nobody could read."""
_FLOOD_BYTES: Final = 64 * 1024
"""Bytes in one frame that make it a flood."""
_HOLD: Final = 0.15
"""How long a program may hold drawing back while it makes up a frame (mode 2026, synchronized output)."""
SCROLLBACK: Final = 5000
"""Rows of scrollback."""
_KEPT_STRIPS: Final = 400
"""Rows whose strips are kept."""


class TerminalScreen(Painted):
    """Shows an emulator, where its ``copy_mode`` stands.

    Attributes:
        live: keys go to the program; otherwise the terminal is in copy mode, and keys are its commands.
        holds_input: the keys that go to the program reach it: this terminal holds the session's input.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {"terminal--selection", "terminal--found"}
    DEFAULT_CSS = """
    TerminalScreen { height: 1fr; }
    TerminalScreen > .terminal--selection { background: $selected; }
    TerminalScreen > .terminal--found { background: $match; color: $match-text; }
    """

    @dataclass
    class Changed(Message):
        """The title, the number of bells, or who types has changed."""

        view: TerminalScreen

    def __init__(self) -> None:
        super().__init__()
        self.emulator = Emulator(80, 24, SCROLLBACK)
        self.copy_mode = CopyMode(self.emulator)
        self.live = True
        self.holds_input = False
        self._cursor_row: int | None = None
        self._strips: dict[int, Strip] = {}
        self._past_strips: dict[int, Strip] = {}
        self._timer: Timer | None = None
        self._frame = FRAME
        self._fed = 0
        self._drawn_at = 0.0
        self._told: tuple[str, int, int] = ("", 0, 0)
        self._held = 0

    # what comes in

    def take(self, data: bytes) -> tuple[int, bytes]:
        """Feed output to the emulator for `SLICE_SECONDS`.

        Returns how many bytes were taken, and the emulator's replies to what they asked the terminal.
        """
        taken = self.emulator.feed(data, SLICE_SECONDS)
        self._fed += taken
        if self._timer is None:
            due = self._drawn_at + self._frame - time.monotonic()
            self._timer = self.set_timer(max(_FIRST, due), self._draw)
        return taken, self.emulator.take_replies()

    def _draw(self) -> None:
        self._timer = None
        emulator = self.emulator
        if app_of(self).screen is not self.screen or not self.display:
            return  # a hidden terminal is drawn when it is shown again
        if emulator.modes.synchronized and self._held < 5:
            self._held += 1
            self._timer = self.set_timer(_HOLD / 5, self._draw)
            return
        self._held = 0
        self._drawn_at = time.monotonic()
        self._frame = _FLOOD_FRAME if self._fed > _FLOOD_BYTES else FRAME
        self._fed = 0
        if self.copy_mode.back:
            self._strips.clear()
            self.refresh()
        else:
            self._refresh_dirty()
        emulator.dirty.clear()
        self._tell()

    def _tell(self) -> None:
        told = (self.emulator.title, self.emulator.bells, self.copy_mode.back)
        if told != self._told:
            self._told = told
            self.post_message(self.Changed(self))

    def _refresh_dirty(self) -> None:
        cursor = self.emulator.cursor
        rows = set(self.emulator.dirty)
        rows |= {cursor.row} if self._cursor_row is None else {cursor.row, self._cursor_row}
        self._cursor_row = cursor.row
        for row in rows:
            self._strips.pop(row, None)
        width = self.size.width
        if len(rows) > self.size.height // 2:
            self.refresh()
        else:
            self.refresh(*[Region(0, row, width, 1) for row in rows if row < self.size.height])

    def resize_to(self, rows: int, columns: int) -> None:
        """Give the emulator so many rows and columns."""
        self.emulator.resize(columns, rows)
        self.copy_mode.leave()  # lines wrap anew, so rows get other numbers
        self.redraw()

    def start_over(self) -> None:
        """Show an empty screen."""
        self._put(Emulator(self.emulator.columns, self.emulator.rows, SCROLLBACK))

    def show(self, data: bytes, rows: int, columns: int) -> Iterator[None]:
        """Show the screen that ``data`` makes on a terminal of ``rows`` and ``columns``, brought to this one's size.

        Each step of the iterator takes `SLICE_SECONDS`; the screen is shown after the last.
        """
        emulator, done = Emulator(columns, rows, SCROLLBACK), 0
        while done < len(data):
            done += emulator.feed(data[done:], SLICE_SECONDS)
            yield
        emulator.take_replies()
        emulator.resize(self.emulator.columns, self.emulator.rows)
        self._put(emulator)

    def _put(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.copy_mode = CopyMode(emulator)
        self.redraw()

    def forget_drawn(self) -> None:
        self._strips.clear()
        self._past_strips.clear()

    def redraw_cursor(self) -> None:
        """Draw the row of the program's cursor anew: the cursor's shape tells whether the keys reach the program."""
        row = self.emulator.cursor.row
        self._strips.pop(row, None)
        self.refresh(Region(0, row, self.size.width, 1))

    def redraw(self) -> None:
        """Draw all rows anew."""
        self.forget_drawn()
        self.emulator.dirty.clear()
        self.refresh()
        self._tell()

    # drawing

    def render_line(self, y: int) -> Strip:
        row = self.copy_mode.row_of(y)
        emulator = self.emulator
        if row >= emulator.rows or -row > emulator.scrollback_rows:
            return Strip.blank(self.size.width, self.base)
        strips, key = (self._strips, row) if row >= 0 else (self._past_strips, self.copy_mode.number_of(row))
        strip = strips.get(key)
        if strip is None:
            if len(strips) > _KEPT_STRIPS:
                strips.clear()
            strip = strips[key] = self._row_strip(row)
        return strip

    def _row_strip(self, row: int) -> Strip:
        segments = [
            Segment(text, self.over_base(rich_style(style))) for text, style in self.emulator.runs(row)
        ]
        strip = Strip(segments).adjust_cell_length(self.size.width, self.base)
        copy_mode, number = self.copy_mode, self.copy_mode.number_of(row)
        if copy_mode.pattern is not None:
            found = self.component("terminal--found", partial=True)
            text = strip.text.rstrip()
            for match in copy_mode.pattern.finditer(text):
                start = cell_len(text[: match.start()])
                strip = restyle(strip, start, start + cell_len(match[0]), found)
        if (span := copy_mode.selected_in(number)) is not None:
            strip = restyle(strip, *span, self.component("terminal--selection", partial=True))
        if copy_mode.cursor is not None and not self.live:
            if copy_mode.cursor[0] == number:
                strip = restyle(strip, copy_mode.cursor[1], copy_mode.cursor[1] + 1, Style(reverse=True))
            return strip
        cursor = self.emulator.cursor
        if row == cursor.row and cursor.visible and not copy_mode.back:
            strip = restyle(strip, cursor.column, cursor.column + 1, self._cursor_style(cursor.shape))
        return strip

    def _cursor_style(self, shape: str) -> Style:
        if not (self.has_focus and self.live and self.holds_input):
            return Style(underline=True)
        return Style(reverse=True) if shape == "block" else Style(underline2=True, bold=True)
