"""Copy mode as plain state: which rows are in view, the cursor, the selection, and the pattern that is searched for.

Rows are numbered from the first one that ever scrolled off the screen, so each keeps its number while more comes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.segment import Segment
from textual.strip import Strip

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator

    from sandtop.core.terminal import Emulator

Place = tuple[int, int]
"""The number of a row, and a column."""


class CopyMode:
    """A view of ``emulator``: its screen (the present), until it is moved back into the scrollback.

    Attributes:
        cursor: where the next move or selection begins; None until it is first moved.
        pattern: what is searched for, or None.
    """

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._top: int | None = None  # None: at the present
        self._anchor: Place | None = None
        self._whole_lines = False
        self.cursor: Place | None = None
        self.pattern: re.Pattern[str] | None = None

    # where it stands

    @property
    def present(self) -> int:
        """The number of the screen's first row."""
        return self._emulator.scrolled

    @property
    def _oldest(self) -> int:
        return self.present - self._emulator.scrollback_rows

    @property
    def rows(self) -> range:
        """The numbers of all rows that there are."""
        return range(self._oldest, self.present + self._emulator.rows)

    @property
    def top(self) -> int:
        """The number of the first row in view."""
        return self.present if self._top is None else max(self._top, self._oldest)

    @property
    def back(self) -> int:
        """How many rows the view is above the present; 0 at the present."""
        return self.present - self.top

    def row_of(self, y: int) -> int:
        """The emulator's row in line ``y`` of the view; negative rows are scrollback."""
        return y - self.back

    def number_of(self, row: int) -> int:
        """The number of the emulator's row ``row``."""
        return row + self.present

    # moving

    def leave(self) -> bool:
        """Go back to the present, without cursor, selection and pattern; False if there was none of that."""
        if (self._top, self._anchor, self.cursor, self.pattern) == (None, None, None, None):
            return False
        self._top = self._anchor = self.cursor = self.pattern = None
        return True

    def scroll(self, count: int) -> bool:
        """Move the view back by ``count`` rows, forwards when negative; whether it moved."""
        before = self.top
        top = max(self._oldest, min(before - count, self.present))
        self._top = None if top == self.present and self.cursor is None else top
        if self.cursor is not None:
            lowest = top + self._emulator.rows - 1
            self.cursor = (max(top, min(self.cursor[0], lowest)), self.cursor[1])
        return top != before

    def move(self, rows: int, columns: int) -> None:
        """Move the cursor; the view follows it."""
        number, column = self._start()
        last = self.present + self._emulator.rows - 1
        self._go(max(self._oldest, min(number + rows, last)), column + columns)

    def page(self, pages: int) -> None:
        """Move view and cursor by so many screens, back when negative."""
        rows = max(1, self._emulator.rows - 1) * pages
        self.cursor = self._start()
        moved = self.scroll(-rows)
        if not moved:
            self.move(rows, 0)

    def to_oldest(self) -> None:
        self._go(self._oldest, 0)

    def to_present(self) -> None:
        """Move to the program's cursor."""
        cursor = self._emulator.cursor
        if self._anchor is None:
            self.cursor = self._top = None
        else:
            self._go(self.number_of(cursor.row), cursor.column)

    def to_column(self, column: int) -> None:
        """Move to ``column`` in the cursor's row, or to its last column."""
        self._go(self._start()[0], column)

    def to_end_of_line(self) -> None:
        number = self._start()[0]
        self._go(number, max(0, cell_len(self._text(number)) - 1))

    def _start(self) -> Place:
        """Where the cursor is; before its first move, where it will appear."""
        if self.cursor is not None:
            return (max(self.cursor[0], self._oldest), self.cursor[1])
        cursor = self._emulator.cursor
        return (min(self.number_of(cursor.row), self.top + self._emulator.rows - 1), cursor.column)

    def _go(self, number: int, column: int) -> None:
        self.cursor = (number, max(0, min(column, self._emulator.columns - 1)))
        top, height = self.top, self._emulator.rows
        self._top = min(max(top, number - height + 1), number, self.present)

    # searching

    def matches(self, step: int) -> Iterator[bool]:
        """Search row by row, up (-1) or down (1), and go to the first match. Each row yields whether it had one."""
        pattern = self.pattern  # it may be cleared between two rows
        if pattern is None:
            return
        beyond = self._emulator.rows if step < 0 else -1  # all that is in view is looked at, too
        number = self._start()[0] if self.cursor is not None else self.top + beyond
        stop = self.present + self._emulator.rows
        while self._oldest <= (number := number + step) < stop:
            text = self._text(number)
            if match := pattern.search(text):
                in_view = self.top <= number < self.top + self._emulator.rows
                self._go(number, cell_len(text[: match.start()]))
                if not in_view:
                    self._top = max(self._oldest, min(number - self._emulator.rows // 3, self.present))
                yield True
                return
            yield False

    def has_match(self, number: int) -> bool:
        """Whether row ``number`` matches the pattern."""
        return self.pattern is not None and self.pattern.search(self._text(number)) is not None

    def _text(self, number: int) -> str:
        """The text of a row without the blanks behind it, so that a pattern's ``$`` matches where the text ends."""
        return "".join(text for text, _ in self._emulator.runs(number - self.present)).rstrip()

    # selecting

    @property
    def selecting(self) -> bool:
        """Whether something is selected."""
        return self._anchor is not None

    def select(self, *, whole_lines: bool) -> None:
        """Begin to select at the cursor; the second time end the selection."""
        again = self.selecting and self._whole_lines == whole_lines
        self.cursor = self._start()
        self._go(*self.cursor)
        if again:
            self._anchor = None
        else:
            self._anchor = self._anchor or self.cursor
            self._whole_lines = whole_lines

    def drag(self, start: Place, end: Place) -> None:
        """Select from ``start`` to ``end``."""
        self._anchor, self.cursor, self._whole_lines = start, end, False

    def unselect(self) -> None:
        """Select nothing."""
        self._anchor = None

    def selected_in(self, number: int) -> tuple[int, int] | None:
        """The columns of row ``number`` that are selected: the first, and the one behind the last."""
        if self._anchor is None or self.cursor is None:
            return None
        first, last = sorted((self._anchor, self.cursor))
        if not first[0] <= number <= last[0]:
            return None
        columns = self._emulator.columns
        if self._whole_lines:
            return 0, columns
        return (
            first[1] if number == first[0] else 0,
            last[1] + 1 if number == last[0] else columns,
        )

    @property
    def text(self) -> str:
        """The text that is selected, else the text in view. A line that wraps over rows is one line in it."""
        if self._anchor is not None and self.cursor is not None:
            first, last = sorted((self._anchor[0], self.cursor[0]))
        else:
            first, last = self.top, self.top + self._emulator.rows - 1
        text = ""
        for number in range(max(first, self._oldest), last + 1):
            row = number - self.present
            strip = Strip([Segment(text) for text, _ in self._emulator.runs(row)])
            part = self.selected_in(number)
            piece = (strip.crop(*part) if part else strip).text
            text += piece if self._emulator.wraps(row) else f"{piece.rstrip()}\n"
        return text.rstrip("\n")
