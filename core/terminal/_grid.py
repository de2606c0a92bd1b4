"""The grid: rows in a list, printing, scrolling and cursor motion, over pyte's `Screen`.

What pyte's screen does cell by cell in dictionaries is done here by slices of shared cells. Cursor, modes, margins
and tab stops keep pyte's names and conventions, so that what pyte has and gains works on this screen as well.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, cast

from sandtop.core.terminal._pyte import CHARSETS, Cursor, Margins
from sandtop.core.terminal._pyte import Screen as PyteScreen
from sandtop.core.terminal._row import Row
from sandtop.core.terminal._style import Pen, PenCase
from sandtop.core.terminal._width import RUNS, cluster_width, stands_alone

if TYPE_CHECKING:
    from collections.abc import Callable

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


class Grid(PyteScreen):
    """A grid of ``lines`` × ``columns`` cells, the rows that were pushed out of it, and a cursor.

    ``cursor.x == columns`` is a pending wrap: the last column was written, the next character goes to the next row.
    ``history`` holds rows that left at the top, oldest first; ``pushed`` counts all that ever did.
    """

    def __init__(self, columns: int, lines: int, scrollback: int) -> None:
        self.pens = PenCase()
        self.history: deque[Row] = deque(maxlen=scrollback)
        self.pushed = 0
        self.bells: int = 0
        self.alternate = False
        self.buffer: list[Row] = []
        self._dirty: set[int] = set()
        self._all_dirty = True
        super().__init__(columns, lines)

    # State that is kept under pyte's names.

    @property
    def dirty(self) -> set[int]:
        """Rows that changed since the caller last cleared the set."""
        if self._all_dirty:
            self._all_dirty = False
            self._dirty.update(range(self.lines))
        return self._dirty

    @dirty.setter
    def dirty(self, rows: set[int]) -> None:
        self._all_dirty = False
        self._dirty = rows

    @property
    def mark(self) -> Callable[[int], None]:
        """Notes that a row changed."""
        return self._dirty.add

    def mark_all(self) -> None:
        self._all_dirty = True

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
        return [Row(self.pen) for _ in range(count)]

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
        self.tabstops = set(range(8, self.columns, 8))
        self.charsets = ["B"] * 4
        self.charset = 0
        self.update_plain()
        self.mark_all()

    def update_plain(self) -> None:
        """Note whether printing needs neither translation nor insertion; after changes to modes and charsets."""
        self.translation = TRANSLATIONS.get(self.charsets[self.charset])
        self.plain = self.translation is None and INSERT not in self.mode

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
                if cursor.x < columns:
                    row = self.buffer[cursor.y]
                    row.thaw(columns)
                    row.pad(cursor.attrs.style)
                    self.mark(cursor.y)
                self.wrap()
                continue
            part, text = text[:room], text[room:]
            row = self.buffer[cursor.y]
            if INSERT in self.mode:
                self._make_room(row, cursor.x, len(part) * width)
            row.thaw(columns)
            if width == 1:
                row.put(cursor.x, part, cursor.attrs)
            else:
                row.put_wide(cursor.x, part, cursor.attrs)
            cursor.x += len(part) * width
            self.mark(cursor.y)

    def _cut(self, text: str, width: int) -> str:
        """Without autowrap: what shows of ``text``, whose end overprints the last column."""
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
        grown = self.buffer[cursor.y].join(cursor.x, character, self.columns, first)
        if grown is not None and cursor.x + grown > self.columns:
            self._move_on(character)
        elif grown is not None:
            cursor.x += grown
            self.mark(cursor.y)
        elif stands_alone(character):
            self._draw_run(character, cluster_width(character))

    def text_before_cursor(self) -> str:
        """The grapheme left of the cursor; empty in the first column."""
        cells = self.buffer[self.cursor.y].thaw(self.columns)
        x = self.cursor.x - 1
        if x > 0 and not cells[x].width:
            x -= 1
        return cells[x].text if x >= 0 else ""

    def _move_on(self, character: str) -> None:
        """The grapheme in the last column needs two columns with ``character``: it goes to the next row, as it would
        have gone had it been wide from the start. Without autowrap the character is dropped."""
        row = self.buffer[self.cursor.y]
        cell = row.thaw(self.columns)[-1]
        if AUTOWRAP not in self.mode or self.columns == 1:
            return
        row.pad(cell.style)
        self.mark(self.cursor.y)
        self.wrap()
        row = self.buffer[self.cursor.y]
        row.thaw(self.columns)
        row.put_wide_text(cell.text + character, cell.style)
        self.cursor.x = 2
        self.mark(self.cursor.y)

    def _make_room(self, row: Row, x: int, count: int) -> None:
        """Shift what is right of column ``x`` by ``count`` columns; what passes the margin is lost."""
        cells = row.thaw(self.columns)
        if row.wide:
            row.mend(x, x)
        cells[x:x] = [self.pen.blank] * count
        del cells[self.columns :]
        if cells[-1].width == 2:
            cells[-1] = self.pen.blank

    def wrap(self) -> None:
        """Go on in the next row: the character to come did not fit in this one."""
        cursor = self.cursor
        row = self.buffer[cursor.y]
        moves = cursor.y == self.bottom or cursor.y < self.lines - 1
        cursor.x = 0
        self.index()
        row.wrapped = moves

    # Scrolling.

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
            self.history.extend(buffer[:count])
            self.pushed += count
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
        """Rows ``first`` to ``last`` are about to move: no row runs on across those edges any more."""
        if first:
            self.buffer[first - 1].wrapped = False
        self.buffer[last].wrapped = False
