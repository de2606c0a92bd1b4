"""REP (ECMA-48 §8.3.103). Rows full of one grapheme are one `SharedRow`, so no count costs more than the screen."""

from __future__ import annotations

from sandtop.core.terminal._grid import AUTOWRAP, INSERT, Grid
from sandtop.core.terminal._row import Row, SharedRow, pad_before
from sandtop.core.terminal._style import Cell


class Repeating(Grid):
    """A grid that repeats what was printed last."""

    def repeat(self, count: int) -> None:
        """Print the grapheme left of the cursor ``count`` times more, at most a screenful; each is its own cell."""
        cursor, columns = self.cursor, self.columns
        cells = self.buffer[cursor.y].thaw(columns)
        at = cursor.x - 1
        if at > 0 and not cells[at].width:
            at -= 1
        if at < 0 or not 0 < cells[at].width <= columns:
            return
        width, text = cells[at].width, cells[at].text
        count = min(count, columns * self.lines)
        if AUTOWRAP not in self.mode:
            if cursor.x == columns and width == 1:
                cursor.x -= 1
            self._print_cells(text, width, min(count, (columns - cursor.x) // width))
            return
        here = min(count, (columns - cursor.x) // width)
        self._print_cells(text, width, here)
        if count > here:
            rows, rest = divmod(count - here - 1, columns // width)
            self._pad()
            if rows:
                self._wrap_through(self._unit(text, width), rows)
            self.wrap()
            self._print_cells(text, width, rest + 1)

    def _unit(self, text: str, width: int) -> list[Cell]:
        """The one or two cells of a grapheme."""
        pen = self.cursor.attrs
        self.pens.joined(text)
        return [Cell(text, width, pen.style), pen.get("")][:width]

    def _print_cells(self, text: str, width: int, count: int) -> None:
        """Print a grapheme ``count`` times; they must fit."""
        if not count:
            return
        x, row = self.cursor.x, self.own(self.cursor.y)
        self._afford(row)
        unit = self._unit(text, width)
        end = x + count * len(unit)
        if INSERT in self.mode:
            self._make_room(row, x, end - x)
        if row.wide:
            row.mend(x, end)
        row.wide = row.wide or len(unit) == 2
        row.cells[x:end] = unit * count
        self.cursor.x = end
        self.mark(self.cursor.y)

    def _wrap_through(self, unit: list[Cell], count: int) -> None:
        """Go on, after a full row, through ``count`` rows that ``unit`` fills, as `wrap` and printing would."""
        cursor, buffer, columns = self.cursor, self.buffer, self.columns
        full = SharedRow(cursor.attrs, unit * (columns // len(unit)))
        full.wide = len(unit) == 2
        if columns % len(unit):
            full = SharedRow(cursor.attrs, [*full.thaw(columns), pad_before(cursor.attrs.style)])
            full.wide = full.padded = True
        full.wrapped = True
        y = cursor.y
        last = self.bottom if y <= self.bottom else self.lines - 1
        down = min(count, last - y)
        if down or y == self.bottom:
            self.own(y).wrapped = True
        buffer[y + 1 : y + 1 + down] = [full] * down
        cursor.y += down
        if count > down:
            if cursor.y == self.bottom:
                self._scroll_in(full, count - down)
            else:  # below the region nothing moves: the last row is printed again and again
                buffer[cursor.y] = full
                self._end(cursor.y)
        cursor.x = columns
        self.mark_all()

    def _scroll_in(self, row: Row, count: int) -> None:
        """Move the scroll region up ``count`` times; ``row`` comes in each time, and the text continues through all."""
        top, bottom = self.top, self.bottom
        moving = [*self.buffer[top : bottom + 1], *[row] * count]
        if top == 0 and not self.alternate:
            self.retire(moving[:count])
        elif top:
            self._end(top - 1)
        self.buffer[top : bottom + 1] = moving[count:]
