"""A list of rows, with a cursor and marks that the keyboard and the mouse move and set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual.message import Message

from sandtop.tui.actions import bindings_of

from .row_view import GUTTER, RowView

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from textual import events
    from textual.binding import BindingType

    from .cells import Column


class RowList(RowView, can_focus=True):
    """Says where the cursor is (`Moved`), what is opened (`Opened`), and which title was clicked (`TitleClicked`)."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings_of("list")]

    @dataclass
    class Moved(Message):
        """The cursor is on another row."""

        rows: RowList
        key: str

        @property
        def control(self) -> RowList:
            return self.rows

    @dataclass
    class Opened(Message):
        """Enter, or a double click."""

        rows: RowList
        key: str

        @property
        def control(self) -> RowList:
            return self.rows

    @dataclass
    class TitleClicked(Message):
        """A click on a column's title."""

        rows: RowList
        column: str

        @property
        def control(self) -> RowList:
            return self.rows

    @dataclass
    class Marked(Message):
        """Other rows are marked, or fewer."""

        rows: RowList

        @property
        def control(self) -> RowList:
            return self.rows

    def __init__(self, columns: Sequence[Column], *, id: str | None = None) -> None:
        super().__init__(columns, id=id)
        self._anchor: str | None = None  # the row marked last, where a range begins

    @property
    def chosen(self) -> list[str]:
        """The keys that an action applies to: those of the marked rows, else that of the row under the cursor."""
        if self.marked:
            return [row.key for row in self._rows if row.key in self.marked]
        return [self.cursor] if self.cursor is not None else []

    @property
    def near(self) -> list[str]:
        """The keys of the rows below and above the one under the cursor."""
        number = self._row_number()
        return [
            row.key
            for row in (*self._rows[number + 1 : number + 3], *self._rows[max(0, number - 1) : number])
        ]

    def select(self, key: str) -> bool:
        """Put the cursor on ``key``; False when it is not in the list."""
        if key not in self._index:
            return False
        self._refresh_row(self._row_number())
        self._set_cursor(key)
        self._refresh_row(self._row_number())
        self._scroll_to_cursor()
        return True

    def mark_only(self, keys: Collection[str]) -> None:
        """Mark these rows, and no others."""
        self.marked = self._index.keys() & set(keys)
        self._anchor = None
        self._marks_changed()

    def clear_marks(self) -> bool:
        """Take all marks away; False when there were none."""
        had = bool(self.marked)
        self.marked.clear()
        self._anchor = None
        self._marks_changed()
        return had

    def _marks_changed(self) -> None:
        self.refresh()
        self.post_message(self.Marked(self))

    def _set_cursor(self, key: str | None) -> None:
        moved = key != self.cursor
        super()._set_cursor(key)
        if moved and key is not None:
            self.post_message(self.Moved(self, key))

    # the keyboard and the mouse

    def _go(self, number: int) -> None:
        if self._rows:
            self.select(self._rows[max(0, min(number, len(self._rows) - 1))].key)

    def action_up(self) -> None:
        self._go(self._row_number() - 1)

    def action_down(self) -> None:
        self._go(self._row_number() + 1)

    def action_page_up(self) -> None:
        self._go(self._row_number() - max(1, self.size.height - 2))

    def action_page_down(self) -> None:
        self._go(self._row_number() + max(1, self.size.height - 2))

    def action_first(self) -> None:
        self._go(0)

    def action_last(self) -> None:
        self._go(len(self._rows) - 1)

    def action_open(self) -> None:
        if self.cursor is not None:
            self.post_message(self.Opened(self, self.cursor))

    def action_mark(self) -> None:
        self._mark()
        self.action_down()

    def _mark(self) -> None:
        if self.cursor is not None:
            self.marked ^= {self.cursor}
            self._anchor = self.cursor
            self._marks_changed()

    def action_mark_range(self) -> None:
        """Mark from the last mark to the cursor, both included."""
        if self.cursor is None:
            return
        first, last = sorted((self._index.get(self._anchor or self.cursor, 0), self._row_number()))
        self.marked |= {row.key for row in self._rows[first : last + 1]}
        self._marks_changed()

    def action_mark_all(self) -> None:
        """Mark all rows that show; when all are marked, none."""
        everything = set(self._index)
        self.marked = set() if self.marked >= everything else everything
        self._marks_changed()

    def action_mark_others(self) -> None:
        """Mark what is not marked, and take the marks of the others away."""
        self.marked = set(self._index) - self.marked
        self._marks_changed()

    def on_click(self, event: events.Click) -> None:
        event.stop()
        if event.y == 0:
            left = GUTTER
            for placed in self._placed:
                if left <= event.x <= left + placed.width:
                    self.post_message(self.TitleClicked(self, placed.column.key))
                left += placed.width + 1
            return
        number = self._top + event.y - 1
        if number < len(self._rows):
            self._go(number)
            if event.shift:
                self.action_mark_range()
            elif event.ctrl or event.x < GUTTER:
                self._mark()
            elif event.chain == 2:
                self.action_open()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self._set_top(self._top + 3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self._set_top(self._top - 3)
