"""The grid: rows in a list, printing, scrolling and cursor motion, over pyte's `Screen`.

What pyte's screen does cell by cell in dictionaries is done here by slices of shared cells. Cursor, modes, margins
and tab stops keep pyte's names and conventions, so that what pyte has and gains works on this screen as well.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Final, cast

from sandtop.core.terminal._pyte import CHARSETS, Cursor, Margins
from sandtop.core.terminal._pyte import Screen as PyteScreen
from sandtop.core.terminal._row import Row, SharedRow
from sandtop.core.terminal._style import Pen, PenCase
from sandtop.core.terminal._width import RUNS, cluster_width, stands_alone

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_HISTORY_BYTES: Final = 16 << 20
"""Bytes of the styles and cells of the scrollback, about."""
_PARTS: Final = 16
"""Parts of a history after it was wrapped anew, each of which counts for the same share of its bytes."""
MAX_HISTORY_CELLS: Final = 1_000_000
"""Cells of the scrollback: when rows are wide, fewer are kept."""
MAX_CELL_BYTES: Final = 512
"""Bytes of the largest cell: it has a style of its own, in three true colours, and a grapheme of 16 code points."""
PRIVATE: Final = 5
"""pyte keeps private modes shifted left by this."""
INSERT: Final = 4
NEW_LINE: Final = 20
ORIGIN: Final = 6 << PRIVATE
AUTOWRAP: Final = 7 << PRIVATE
CURSOR_VISIBLE: Final = 25 << PRIVATE

# DEC special graphics has 0x60 to 0x7e; pyte's table also replaces digits and signs, and has a shade for the newline
# symbol (VT220 manual, table 2-4).
_GRAPHICS: Final = {code: CHARSETS["0"][code] for code in range(0x60, 0x7F)} | {ord("h"): "␤"}
TRANSLATIONS: Final[dict[str, dict[int, str]]] = {"0": _GRAPHICS, "A": {0x23: "£"}}


def _scrollback(rows: int, columns: int) -> int:
    return min(rows, MAX_HISTORY_CELLS // columns)


class Grid(PyteScreen):
    """A grid of ``lines`` × ``columns`` cells, the rows that were pushed out of it, and a cursor.

    ``cursor.x == columns`` is a pending wrap: the last column was written, the next character goes to the next row.
    ``history`` holds rows that left at the top, oldest first; ``pushed`` counts all that ever did.
    """

    def __init__(self, columns: int, lines: int, scrollback: int) -> None:
        self.pens = PenCase()
        self.usual_stops = list(range(8, columns, 8))
        self.scrollback = scrollback
        self.history: deque[Row] = deque(maxlen=_scrollback(scrollback, columns))
        self.pushed = 0
        self._costs: deque[tuple[int, int]] = deque()
        self._cost = self._counted = 0
        self.bells: int = 0
        self.alternate = False
        self.buffer: list[Row] = []
        self._dirty: set[int] = set()
        self._span = (0, 0)
        super().__init__(columns, lines)

    # State that is kept under pyte's names.

    @property
    def dirty(self) -> set[int]:
        """Rows that changed since the caller last cleared the set."""
        first, end = self._span
        if first < end:
            self._span = (0, 0)
            self._dirty.update(range(first, min(end, self.lines)))
        return self._dirty

    @dirty.setter
    def dirty(self, rows: set[int]) -> None:
        self._span = (0, 0)
        self._dirty = rows

    @property
    def mark(self) -> Callable[[int], None]:
        """Notes that a row changed."""
        return self._dirty.add

    def mark_rows(self, first: int, end: int) -> None:
        """Notes that rows ``first`` to ``end`` changed. What lies between two such spans counts as changed, too."""
        if first < end:
            start, stop = self._span
            self._span = (min(first, start), max(end, stop)) if start < stop else (first, end)

    def mark_all(self) -> None:
        self._span = (0, self.lines)

    @property
    def margins(self) -> Margins | None:
        if self.top == 0 and self.bottom == self.lines - 1:
            return None
        return Margins(self.top, self.bottom)

    @margins.setter
    def margins(self, margins: Margins | None) -> None:
        self.top, self.bottom = margins or (0, self.lines - 1)

    @property
    def pen(self) -> Pen:
        return self.cursor.attrs

    def blank_rows(self, count: int) -> list[Row]:
        """``count`` new rows in the current background colour."""
        return [SharedRow(self.pen)] * count

    def own(self, y: int) -> Row:
        """The row at ``y`` for writing, its cells made."""
        row = self.buffer[y]
        if not row.cells:
            row = self.buffer[y] = row.own(self.columns)
        return row

    def _end(self, y: int) -> None:
        """The text of row ``y`` does not continue in the next row any more."""
        if self.buffer[y].wrapped:
            self.own(y).wrapped = False

    def reset(self) -> None:
        """Everything as in a new terminal (RIS), scrollback included."""
        self.history.clear()
        self.cursor = Cursor(0, 0, self.pens.default)
        self.mode = {AUTOWRAP, CURSOR_VISIBLE}
        self.alternate = False
        self.buffer = self.blank_rows(self.lines)
        self.other: list[Row] = []
        self.margins = None
        self.title = self.icon_name = ""
        self.tabstops = self.usual_stops.copy()
        self.charsets = ["B"] * 4
        self.charset = 0
        self.update_plain()
        self.mark_all()

    def update_plain(self) -> None:
        """Note whether printing can do without translation, insertion and links. To be called when these change."""
        self.translation = TRANSLATIONS.get(self.charsets[self.charset])
        linked = bool(self.cursor.attrs.style.link)
        self.plain = self.translation is None and INSERT not in self.mode and not linked

    # Printing.

    def draw(self, data: str, continues: bool = False) -> None:
        """Print characters at the cursor. ``continues``: they come straight after another character."""
        if self.translation is not None:
            data = data.translate(self.translation)
        if data.isascii():
            self._draw_run(data, 1)
            return
        for run in RUNS.finditer(data):
            if run.lastindex == 3:
                self._draw_odd(run.group(), not continues)
            else:
                self._draw_run(run.group(), cast("int", run.lastindex))
            continues = True

    def _draw_run(self, text: str, width: int) -> None:
        """Print characters that all take ``width`` columns and join nothing."""
        cursor, columns = self.cursor, self.columns
        if AUTOWRAP not in self.mode:
            text = self._cut(text, width)
        while text:
            room = (columns - cursor.x) // width
            if not room:
                if AUTOWRAP not in self.mode or columns < width:
                    return
                self._pad()
                self.wrap()
                continue
            part, text = text[:room], text[room:]
            row = self.own(cursor.y)
            if INSERT in self.mode:
                self._make_room(row, cursor.x, len(part) * width)
            if not self.plain:
                self._afford(row)
            if width == 1:
                row.put(cursor.x, part, cursor.attrs)
            else:
                row.put_wide(cursor.x, part, cursor.attrs)
            cursor.x += len(part) * width
            self.mark(cursor.y)

    def _afford(self, row: Row) -> None:
        """End the link that is open when ``row`` has no room for it."""
        pen = self.cursor.attrs
        if pen.style.link and not row.afford(pen):
            self.cursor.attrs = self.pens.pen(replace(pen.style, link="", link_id=""))
            self.update_plain()

    def _cut(self, text: str, width: int) -> str:
        """Without autowrap: the part of ``text`` that shows. What does not fit overwrites the last column."""
        cursor = self.cursor
        if cursor.x == self.columns and width == 1:
            cursor.x -= 1
        room = (self.columns - cursor.x) // width
        if len(text) <= room:
            return text
        return text[: room - 1] + text[-1] if width == 1 else text[:room]

    def _draw_odd(self, character: str, first: bool) -> None:
        """Print a character that may belong to the one before it."""
        cursor = self.cursor
        grown = self.own(cursor.y).join(cursor.x, character, self.columns, first)
        if grown is not None and cursor.x + grown > self.columns:
            self._move_on(character)
        elif grown is not None:
            cursor.x += grown
            self.mark(cursor.y)
        elif stands_alone(character):
            self._draw_run(character, cluster_width(character))

    def _pad(self) -> None:
        """Leave the last column empty, when the cursor is in it: the wide character to come does not fit."""
        cursor = self.cursor
        if cursor.x < self.columns:
            self.own(cursor.y).pad(cursor.attrs.style)
            self.mark(cursor.y)

    def _move_on(self, character: str) -> None:
        """With ``character`` the grapheme in the last column needs two columns. Move it to the next row, where it would
        be had it been wide from the start; without autowrap drop the character."""
        row = self.own(self.cursor.y)
        cell = row.cells[-1]
        if AUTOWRAP not in self.mode or self.columns == 1:
            return
        row.pad(cell.style)
        self.mark(self.cursor.y)
        self.wrap()
        row = self.own(self.cursor.y)
        row.put_wide_text(cell.text + character, cell.style)
        self.cursor.x = 2
        self.mark(self.cursor.y)

    def _make_room(self, row: Row, x: int, count: int) -> None:
        """Shift what is right of column ``x`` by ``count`` columns; what passes the margin is lost."""
        cells = row.cells
        if row.wide:
            row.mend(x, x)
        cells[x:x] = [self.pen.blank] * count
        del cells[self.columns :]
        if cells[-1].width == 2:
            cells[-1] = self.pen.blank

    def wrap(self) -> None:
        """Go on in the next row: the character to come did not fit in this one."""
        cursor = self.cursor
        row = self.own(cursor.y)
        moves = cursor.y == self.bottom or cursor.y < self.lines - 1
        cursor.x = 0
        self.index()
        row.wrapped = moves

    # Scrolling.

    def retire(self, rows: list[Row]) -> None:
        """Rows left the primary screen at its top. The oldest of the history go when it takes too much."""
        self.history.extend(rows)
        self.pushed += len(rows)
        if self.pens.made > self._counted:
            self._account(len(rows))

    def _account(self, count: int) -> None:
        """Count styles and cells that were made since rows last left the screen as those of the ``count`` newest."""
        cost = min(self.pens.made - self._counted, count * self.columns * MAX_CELL_BYTES)
        self._counted = self.pens.made
        self._costs.append((self.pushed, cost))
        self._cost += cost
        history, costs = self.history, self._costs
        while costs and (self._cost > MAX_HISTORY_BYTES or costs[0][0] <= self.pushed - len(history)):
            end, cost = costs.popleft()
            self._cost -= cost
            for _ in range(len(history) - (self.pushed - end)):
                history.popleft()

    def refill(self, rows: list[Row], columns: int) -> None:
        """Make ``rows`` of ``columns`` columns the history; what it takes is counted as equally much for each."""
        self.history = deque(rows, _scrollback(self.scrollback, columns))
        first, part = self.pushed - len(self.history), -(-self._cost // _PARTS)
        self._costs = deque((first + len(self.history) * n // _PARTS, part) for n in range(1, _PARTS + 1))
        self._cost = part * _PARTS

    def index(self) -> None:
        """Down one row; at the end of the scroll region the region moves up (IND, LF)."""
        cursor = self.cursor
        if cursor.x == self.columns:
            cursor.x -= 1
        if cursor.y == self.bottom:
            self.scroll_up(1)
        elif cursor.y < self.lines - 1:
            cursor.y += 1

    def reverse_index(self) -> None:
        """Up one row; at the start of the scroll region the region moves down (RI)."""
        cursor = self.cursor
        if cursor.x == self.columns:
            cursor.x -= 1
        if cursor.y == self.top:
            self.scroll_down(1)
        elif cursor.y > 0:
            cursor.y -= 1

    def scroll_up(self, count: int = 1) -> None:
        """Move the scroll region up (SU). What leaves the primary screen at its top goes to the history."""
        top, bottom, buffer = self.top, self.bottom, self.buffer
        count = min(count or 1, bottom - top + 1)
        if top == 0 and not self.alternate:
            self.retire(buffer[:count])
        else:
            self._part(top, bottom)
        pen = self.cursor.attrs
        del buffer[top : top + count]
        if count == 1:
            buffer.insert(bottom, Row(pen))
        else:
            buffer[bottom + 1 - count : bottom + 1 - count] = self.blank_rows(count)
        self.mark_all()

    def scroll_down(self, count: int = 1) -> None:
        """Move the scroll region down (SD)."""
        self._insert_rows(self.top, count or 1)

    def _insert_rows(self, at: int, count: int) -> None:
        """Blank rows at row ``at``; what is pushed past the scroll region is lost."""
        count = min(count, self.bottom - at + 1)
        self._part(at, self.bottom)
        del self.buffer[self.bottom + 1 - count : self.bottom + 1]
        self.buffer[at:at] = self.blank_rows(count)
        self._part(at, self.bottom)
        self.mark_all()

    def _delete_rows(self, at: int, count: int) -> None:
        """Take rows out at row ``at``; blank rows come in at the end of the scroll region."""
        count = min(count, self.bottom - at + 1)
        self._part(at, self.bottom)
        del self.buffer[at : at + count]
        self.buffer[self.bottom + 1 - count : self.bottom + 1 - count] = self.blank_rows(count)
        self._part(at, self.bottom)
        self.mark_all()

    def _part(self, first: int, last: int) -> None:
        """Rows ``first`` to ``last`` are about to move: no text continues across those edges any more."""
        if first:
            self._end(first - 1)
        self._end(last)
