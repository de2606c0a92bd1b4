"""Cursor motion, erasing, inserting and deleting (ECMA-48 §8.3), as xterm does them.

Counts of 0 mean 1. Whatever moves the cursor or changes its row also ends a pending wrap.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from sandtop.core.terminal._grid import ORIGIN
from sandtop.core.terminal._repeat import Repeating
from sandtop.core.terminal._row import Row, SharedRow


class Editing(Repeating):
    """The control functions that take a count or a position. Positions are 1-based, as in the sequences."""

    # Motion.

    def cursor_up(self, count: int | None = None) -> None:
        """CUU. The scroll region stops only a cursor that is inside or below it."""
        cursor = self.cursor
        first = self.top if cursor.y >= self.top else 0
        cursor.y = max(cursor.y - (count or 1), first)
        self.ensure_hbounds()

    def cursor_down(self, count: int | None = None) -> None:
        """CUD. The scroll region stops only a cursor that is inside or above it."""
        cursor = self.cursor
        last = self.bottom if cursor.y <= self.bottom else self.lines - 1
        cursor.y = min(cursor.y + (count or 1), last)
        self.ensure_hbounds()

    def cursor_forward(self, count: int | None = None) -> None:
        self.cursor.x = min(self.cursor.x + (count or 1), self.columns - 1)

    def cursor_back(self, count: int | None = None) -> None:
        self.ensure_hbounds()
        self.cursor.x = max(self.cursor.x - (count or 1), 0)

    def cursor_position(self, line: int | None = None, column: int | None = None) -> None:
        """CUP. In origin mode lines count from the scroll region, which the cursor cannot leave."""
        cursor = self.cursor
        first, last = (self.top, self.bottom) if ORIGIN in self.mode else (0, self.lines - 1)
        cursor.y = min(first + (line or 1) - 1, last)
        cursor.x = min((column or 1) - 1, self.columns - 1)

    def cursor_to_column(self, column: int | None = None) -> None:
        self.cursor.x = min((column or 1) - 1, self.columns - 1)

    def cursor_to_line(self, line: int | None = None) -> None:
        self.cursor_position(line, min(self.cursor.x, self.columns - 1) + 1)

    def line_position_forward(self, count: int | None = None) -> None:
        """VPR: down, and unlike CUD not stopped by the scroll region, but in origin mode."""
        last = self.bottom if ORIGIN in self.mode else self.lines - 1
        self.cursor.y = max(self.cursor.y, min(self.cursor.y + (count or 1), last))
        self.ensure_hbounds()

    def ensure_hbounds(self) -> None:
        if self.cursor.x >= self.columns:
            self.cursor.x = self.columns - 1

    def tab(self) -> None:
        """HT."""
        self.cursor_tabs(1)

    def cursor_tabs(self, count: int | None = None) -> None:
        """CHT: forward by tab stops. In the last column nothing happens, and a pending wrap stays."""
        x = self.cursor.x
        if x >= self.columns - 1:
            return
        stops = self.tabstops
        index = bisect_right(stops, x) + (count or 1) - 1
        self.cursor.x = stops[index] if index < len(stops) else self.columns - 1

    def cursor_back_tabs(self, count: int | None = None) -> None:
        """CBT: back by tab stops."""
        self.ensure_hbounds()
        stops = self.tabstops
        index = bisect_left(stops, self.cursor.x) - (count or 1)
        self.cursor.x = stops[index] if index >= 0 else 0

    def set_tab_stop(self) -> None:
        x = min(self.cursor.x, self.columns - 1)
        at = bisect_left(self.tabstops, x)
        if self.tabstops[at : at + 1] != [x]:
            self.tabstops.insert(at, x)

    def clear_tab_stop(self, how: int = 0) -> None:
        """TBC: 0 clears the stop at the cursor, 3 all."""
        if how == 0:
            x = min(self.cursor.x, self.columns - 1)
            at = bisect_left(self.tabstops, x)
            if self.tabstops[at : at + 1] == [x]:
                del self.tabstops[at]
        elif how == 3:
            self.tabstops.clear()

    def set_margins(self, top: int | None = None, bottom: int | None = None) -> None:
        """DECSTBM. A region of fewer than two rows is refused; otherwise the cursor goes home."""
        first = (top or 1) - 1
        last = min(bottom or self.lines, self.lines) - 1
        if first < last:
            self.top, self.bottom = first, last
            self.cursor_position()
        elif self.lines == 1:
            self.cursor_position()

    def next_line(self) -> None:
        """NEL."""
        self.cursor.x = 0
        self.index()

    # Erasing, in the current background colour.

    def erase_in_line(self, how: int = 0) -> None:
        """EL: 0 from the cursor on, 1 up to and with it, 2 all."""
        self.ensure_hbounds()
        self._erase_in_row(how)

    def _erase_in_row(self, how: int) -> None:
        x, y, columns = self.cursor.x, self.cursor.y, self.columns
        if how == 2 or (how == 0 and x == 0):
            self.buffer[y] = Row(self.pen)
        elif how == 0:
            self.own(y).erase(x, columns, self.pen, columns)
        elif how == 1:
            self.own(y).erase(0, x + 1, self.pen, columns)
        else:
            return
        self.mark(y)

    def erase_in_display(self, how: int = 0) -> None:
        """ED: 0 from the cursor on, 1 up to and with it, 2 the screen, 3 the scrollback (xterm)."""
        y = self.cursor.y
        if how == 3:
            self.history.clear()
            return
        if how not in (0, 1, 2):
            return
        self.ensure_hbounds()
        if how != 2:
            self._erase_in_row(how)
        rows = {0: range(y + 1, self.lines), 1: range(y), 2: range(self.lines)}[how]
        self.buffer[rows.start : rows.stop] = self.blank_rows(len(rows))
        self.mark_rows(rows.start, rows.stop)

    def erase_characters(self, count: int | None = None) -> None:
        """ECH: blank from the cursor on, nothing moves."""
        self.ensure_hbounds()
        x = self.cursor.x
        end = min(x + (count or 1), self.columns)
        self.own(self.cursor.y).erase(x, end, self.pen, self.columns)
        self.mark(self.cursor.y)

    def alignment_display(self) -> None:
        """DECALN: the screen full of E, no margins, the cursor at home."""
        self.margins = None
        self.cursor.x = self.cursor.y = 0
        row = SharedRow(self.pens.default, [self.pens.default.get("E")] * self.columns)
        self.buffer[:] = [row] * self.lines
        self.mark_all()

    # Inserting and deleting.

    def insert_characters(self, count: int | None = None) -> None:
        """ICH: blanks at the cursor, the rest of the row moves right."""
        self.ensure_hbounds()
        x, row = self.cursor.x, self.own(self.cursor.y)
        self._make_room(row, x, min(count or 1, self.columns - x))
        row.wrapped = False
        self.mark(self.cursor.y)

    def delete_characters(self, count: int | None = None) -> None:
        """DCH: the rest of the row moves left, blanks come in at its end."""
        self.ensure_hbounds()
        x, columns, row = self.cursor.x, self.columns, self.own(self.cursor.y)
        count = min(count or 1, columns - x)
        cells = row.cells
        if row.wide:
            row.mend(x, x + count)
        del cells[x : x + count]
        cells += [self.pen.blank] * count
        row.wrapped = False
        self.mark(self.cursor.y)

    def insert_lines(self, count: int | None = None) -> None:
        """IL: only inside the scroll region."""
        if self.top <= self.cursor.y <= self.bottom:
            self._insert_rows(self.cursor.y, count or 1)
            self.cursor.x = 0

    def delete_lines(self, count: int | None = None) -> None:
        """DL: only inside the scroll region."""
        if self.top <= self.cursor.y <= self.bottom:
            self._delete_rows(self.cursor.y, count or 1)
            self.cursor.x = 0
