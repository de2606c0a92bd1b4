"""Which lines of a log are on the screen. It reads only as much of the ring as it shows, and draws once a frame."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import TYPE_CHECKING, Final

from rich.segment import Segment
from textual.message import Message
from textual.strip import Strip

from sandtop.tui.ansi import plain
from sandtop.tui.stream.ring import Ring

from .app_of import app_of, priority_of
from .log_line_view import LogLineView
from .log_lines import Budget, ShownLines
from .log_selection import LogSelection

if TYPE_CHECKING:
    from textual import events
    from textual.timer import Timer

    from .log_selection import Row


_MOST_SELECTED: Final = 50_000
"""Lines that are copied at once."""
FRAME: Final = 1 / 12
"""Seconds between two looks at what came: nobody reads faster, and a flood costs half."""


class LogView(LogLineView, can_focus=True):
    """A view of a `Ring`: it follows the end, or stands still while more lines come.

    Attributes:
        ring: the lines that there are.
        lines: which of them are shown.
        following: it shows the newest lines as they come.
        ended: the session has ended, so no more will come.
        sized: set once it has a size.
    """

    @dataclass
    class Changed(Message):
        """Something has changed that the pane's title shows."""

        view: LogView

    @dataclass
    class Selected(Message):
        """Text was selected with the mouse, to be copied."""

        text: str

    def __init__(self) -> None:
        super().__init__()
        self._pressed_at: tuple[int, int] | None = None
        self._selection: LogSelection | None = None
        self.ring = Ring()
        self.lines = ShownLines(self.ring)
        self.following = True
        self.ended = False
        self.sized = asyncio.Event()
        self._top = (0, 0)  # the line and the row in it that is at the top, when not following
        self._seen = 0
        self._rows: list[tuple[int, Strip]] = []
        self._frame: Timer | None = None

    # what comes in

    def took(self) -> None:
        """The ring has got more lines: draw them with the next frame."""
        if self._frame is None:
            self._frame = self.set_timer(FRAME, self._draw)

    def _draw(self) -> None:
        if left := priority_of(self).remaining:
            self._frame = self.set_timer(left, self._draw)
            return
        self._frame = None
        if app_of(self).screen is self.screen and self.display:  # a hidden pane draws nothing
            self._lay_out()

    def renew(self) -> None:
        """Draw all lines anew: what they look like has changed, or which of them are shown."""
        self._strips.clear()
        self.took()

    def replace_ring(self, ring: Ring) -> None:
        """Show another ring from its first line on."""
        self.ring = ring
        patterns, streams = self.lines.patterns, self.lines.streams
        self.lines = ShownLines(ring)
        self.lines.patterns, self.lines.streams = patterns, streams
        self._top, self.following, self._seen = (ring.first, 0), False, ring.total
        self.renew()

    @property
    def unseen(self) -> int:
        """How many lines have come since it stands still."""
        return 0 if self.following else max(0, self.ring.total - self._seen)

    # laying out

    def _lay_out(self) -> None:
        height = max(1, self.size.height)
        budget = Budget()
        rows = self._from_end(height, budget) if self.following else self._from_top(height, budget)
        if rows != self._rows:
            self._rows = rows
            self.refresh()
        if budget.spent:
            self.took()  # go on filtering with the next frame
        self.post_message(self.Changed(self))

    def _from_end(self, height: int, budget: Budget) -> list[tuple[int, Strip]]:
        rows: list[tuple[int, Strip]] = []
        for line in self.lines.backwards(self.ring.end, budget):
            rows += [(line.number, strip) for strip in reversed(self._strips_of(line))]
            if len(rows) >= height:
                break
        return rows[:height][::-1]

    def _from_top(self, height: int, budget: Budget) -> list[tuple[int, Strip]]:
        number, skip = self._top
        if number < self.ring.first:
            number, skip = self._top = (self.ring.first, 0)
        rows: list[tuple[int, Strip]] = []
        for line in self.lines.forwards(number, budget):
            strips = self._strips_of(line)
            rows += [(line.number, strip) for strip in strips[skip if line.number == number else 0 :]]
            if len(rows) >= height:
                break
        return rows[:height]

    def render_line(self, y: int) -> Strip:
        if y < len(self._rows):
            number, strip = self._rows[y]
            if self._selection is None:
                return strip
            row = self._row_at(y)
            return self._selection.drawn(strip, row, self._gutter_of(number), self.component("log--selected"))
        if y == 0 and not self._rows:
            words = " it wrote nothing" if self.ended else " no output yet"
            if self.lines.filtering and self.ring.total:
                words = " nothing matches"
            return Strip([Segment(words, self.component("log--time"))]).adjust_cell_length(
                self.size.width, self.base
            )
        return Strip.blank(self.size.width, self.base)

    def forget_drawn(self) -> None:
        self._strips.clear()
        if self.is_mounted:
            self.took()

    def on_resize(self, event: events.Resize) -> None:
        self._strips.clear()
        self._lay_out()
        if event.size.height:
            self.sized.set()

    # moving

    def stand(self) -> None:
        """Stop following: what shows stays."""
        if self.following:
            self.following = False
            self._seen = self.ring.total
            first = self._rows[0][0] if self._rows else self.ring.first
            skipped = len(self._strips_of(line)) if (line := self.ring.line(first)) else 0
            self._top = (first, max(0, skipped - sum(number == first for number, _ in self._rows)))
            self.post_message(self.Changed(self))

    def follow(self) -> None:
        """Go to the end and stay there."""
        self.following = True
        self._lay_out()

    def scroll_rows(self, count: int) -> None:
        """Move up (negative) or down by so many rows. Moving down beyond the end makes it follow again."""
        self.stand()
        budget = Budget()
        number, skip = self._top
        if count < 0:
            wanted = -count - skip
            position = (number, 0) if wanted > 0 else (number, skip + count)
            for line in self.lines.backwards(number, budget) if wanted > 0 else ():
                rows = len(self._strips_of(line))
                position = (line.number, max(0, rows - wanted))
                wanted -= rows
                if wanted <= 0:
                    break
            self._top = position
        elif not self._down(count, budget):
            self.follow()
            return
        self._lay_out()

    def _down(self, count: int, budget: Budget) -> bool:
        """Move down by ``count`` rows; False, and no move, when that would reach the end."""
        number, skip = self._top
        rows: list[tuple[int, int]] = []
        for line in self.lines.forwards(number, budget):
            first = skip if line.number == number else 0
            rows += [(line.number, index) for index in range(first, len(self._strips_of(line)))]
            if len(rows) > count + self.size.height:
                self._top = rows[count]
                return True
        return False

    def to_top(self) -> None:
        """Scroll to the oldest line that is kept."""
        self.stand()
        self._top = (self.ring.first, 0)
        self._lay_out()

    def sideways(self, step: int) -> None:
        """Move lines that do not fit to the left or right."""
        self._move_sideways(step)
        self._lay_out()

    def reveal(self, number: int) -> None:
        """Put line ``number`` on screen and mark it as found."""
        self.stand()
        self.found = number
        self._strips.clear()
        if (line := self.ring.line(number)) is not None:
            self._bring_match_into_view(line)
        if number not in {shown for shown, _ in self._rows}:
            self._top = (number, 0)
            self._lay_out()
            self.scroll_rows(-(self.size.height // 3))
        else:
            self._lay_out()

    @property
    def first_shown(self) -> int:
        return self._rows[0][0] if self._rows else self.ring.end

    @property
    def last_shown(self) -> int:
        return self._rows[-1][0] if self._rows else self.ring.first

    @property
    def text_shown(self) -> str:
        """The lines on screen, whole, without their colours."""
        numbers = sorted({number for number, _ in self._rows})
        lines = [line for number in numbers if (line := self.ring.line(number))]
        return "\n".join(f"{self.source_of(line)}{plain(line.text)}" for line in lines)

    # the mouse

    def _gutter_of(self, number: int) -> int:
        line = self.ring.line(number)
        return sum(segment.cell_length for segment in self._gutter(line)) if line is not None else 0

    def _row_at(self, y: int) -> Row:
        """The line in row ``y`` of the screen, or in the nearest that has one, and which of its rows that is."""
        if not self._rows:
            return self.ring.first, 0
        y = max(0, min(y, len(self._rows) - 1))
        number = self._rows[y][0]
        above = sum(shown == number for shown, _ in self._rows[:y])
        return number, above + (self._top[1] if number == self._top[0] and not self.following else 0)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        if event.button == 1:
            self._pressed_at = (event.y, event.x)
            self.capture_mouse()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        if self._pressed_at is None:
            return
        if self._selection is None:
            self.stand()
            y, x = self._pressed_at
            self._selection = LogSelection((self._row_at(y), x))
        if beyond := min(event.y, 0) or max(0, event.y - self.size.height + 1):
            self.scroll_rows(beyond)
            self.stand()
        self._selection.move((self._row_at(event.y), max(0, event.x)))
        self.refresh()

    def on_mouse_up(self, event: events.MouseUp) -> None:
        selection, self._selection = self._selection, None
        if self._pressed_at is None:
            return
        self._pressed_at = None
        self.release_mouse()
        if selection is not None:
            first, last = selection.lines
            lines = takewhile(
                lambda line: line.number <= last, self.lines.forwards(first, Budget(_MOST_SELECTED))
            )
            rows = ((line.number, self._strips_of(line)) for line in islice(lines, _MOST_SELECTED))
            if text := selection.text(rows, self._gutter_of(first)):
                self.post_message(self.Selected(text))
            self.refresh()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.scroll_rows(-3)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        if not self.following:
            self.scroll_rows(3)
