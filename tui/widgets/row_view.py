"""Rows in columns, drawn line by line from cached strips: how each row looks, and which of them are in view."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip

from .cells import Column, Placed, fit, place, with_end
from .painted import Painted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from textual import events

TONES: Final = ("plain", "muted", "good", "warn", "bad", "accent")
GUTTER: Final = 2
"""Cells at the left of each row, for the cursor and the mark."""


@dataclass(frozen=True, slots=True)
class Cell:
    """The text in one column of a row; ``tone``, one of `TONES`, is its colour.

    ``end`` comes behind the text, and stays when the text is cut.
    """

    text: str
    tone: str = "plain"
    end: str = ""


class Row:
    """A row of the list. ``key`` names what it shows (a uuid, a session's id); ``cells`` is by the column's key.

    ``rest`` makes the cells of columns that do not grow with their texts: of a long list few rows are in view.
    """

    __slots__ = ("_cells", "_rest", "key")

    def __init__(
        self, key: str, cells: dict[str, Cell], rest: Callable[[], dict[str, Cell]] | None = None
    ) -> None:
        self.key = key
        self._cells = cells
        self._rest = rest

    @property
    def cells(self) -> dict[str, Cell]:
        """All of them."""
        if self._rest is not None:
            self._cells = self._cells | self._rest()
            self._rest = None
        return self._cells

    def growing(self, column: str) -> Cell | None:
        """The cell in a column that grows with its texts."""
        return self._cells.get(column)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Row) and self.key == other.key and self.cells == other.cells

    __hash__ = None  # type: ignore[assignment]


class RowView(Painted):
    """Draws rows below a line of titles.

    The cursor is kept as the key of its row, not as a number, so it stays on its sandbox when the order changes.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "rows--title",
        "rows--cursor",
        "rows--cursor-blurred",
        *(f"rows--{tone}" for tone in TONES),
    }
    DEFAULT_CSS = """
    RowView { height: 1fr; }
    RowView > .rows--title { color: $text-muted; text-style: bold; }
    RowView > .rows--cursor { background: $cursor-row; }
    RowView > .rows--cursor-blurred { background: $cursor-row-blurred; }
    RowView:ansi > .rows--cursor { background: $background; text-style: reverse; }
    RowView > .rows--muted { color: $text-muted; }
    RowView > .rows--good { color: $text-success; }
    RowView > .rows--warn { color: $text-warning; }
    RowView > .rows--bad { color: $text-error; text-style: bold; }
    RowView > .rows--accent { color: $text-accent; }
    """

    def __init__(self, columns: Sequence[Column], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._columns = tuple(columns)
        self._rows: list[Row] = []
        self._index: dict[str, int] = {}
        self._placed: tuple[Placed, ...] = ()
        self._top = 0
        self._strips: dict[str, tuple[Row, bool, bool, Strip]] = {}
        self._sorted: tuple[str, bool] = ("", False)
        self._nothing = ""
        self.cursor: str | None = None
        """The key of the row that the cursor is on; None while there are no rows."""
        self.marked: set[str] = set()

    def use_columns(self, columns: Sequence[Column]) -> None:
        """Show these columns from now on."""
        self._columns = tuple(columns)
        self._placed = ()
        self._place(self.size.width)
        self.refresh()

    def show(
        self, rows: Sequence[Row], *, sort: str = "", descending: bool = False, nothing: str = ""
    ) -> None:
        """Show ``rows``, or say ``nothing`` when there are none.

        The cursor stays on its row. When that row is gone, the cursor is on the one that is now in its place.
        """
        if nothing != self._nothing:
            self._nothing = nothing
            self.refresh()
        before = self._row_number()
        old, self._rows = self._rows, list(rows)
        self._index = {row.key: number for number, row in enumerate(self._rows)}
        self._strips = {key: entry for key, entry in self._strips.items() if key in self._index}
        self.marked &= self._index.keys()
        if self.cursor not in self._index:
            self._set_cursor(self._rows[min(before, len(self._rows) - 1)].key if self._rows else None)
        placed_anew = self._place(self.size.width)
        top = self._top
        self._scroll_to_cursor()
        if (
            (sort, descending) != self._sorted
            or placed_anew
            or top != self._top
            or len(old) != len(self._rows)
        ):
            self._sorted = (sort, descending)
            self.refresh()
            return
        for number in range(top, min(top + self.size.height - 1, len(old))):
            if old[number] != self._rows[number]:
                self._refresh_row(number)

    @property
    def keys(self) -> list[str]:
        """All keys, in the order shown."""
        return [row.key for row in self._rows]

    def _set_cursor(self, key: str | None) -> None:
        self.cursor = key

    def _row_number(self) -> int:
        return self._index.get(self.cursor or "", 0)

    def _refresh_row(self, number: int) -> None:
        line = number - self._top + 1
        if 1 <= line < self.size.height:
            self.refresh(Region(0, line, self.size.width, 1))

    def _scroll_to_cursor(self) -> None:
        height = max(1, self.size.height - 1)
        number = self._row_number()
        top = min(max(self._top, number - height + 1), number)
        self._set_top(top)

    def _set_top(self, top: int) -> None:
        top = max(0, min(top, len(self._rows) - max(1, self.size.height - 1)))
        if top != self._top:
            self._top = top
            self.refresh()

    # drawing

    def forget_drawn(self) -> None:
        self._strips.clear()

    def on_resize(self, event: events.Resize) -> None:
        self._place(event.size.width)
        self._strips.clear()
        self.refresh()
        self._scroll_to_cursor()
        self._set_top(self._top)

    def _place(self, width: int) -> bool:
        """Share the width among the columns; whether that came out differently."""
        if not width:
            return False
        growing = [column.key for column in self._columns if column.most]
        cells = [(key, row.growing(key)) for row in self._rows for key in growing]
        longest: dict[str, int] = {}
        for key, cell in cells:
            if cell is not None and len(cell.text) > longest.get(key, 0):
                longest[key] = len(cell.text)
        placed = place(self._columns, max(1, width - GUTTER - 1), longest)
        changed, self._placed = placed != self._placed, placed
        if changed:
            self._strips.clear()
        return changed

    def on_focus(self) -> None:
        self._refresh_row(self._row_number())

    def on_blur(self) -> None:
        self._refresh_row(self._row_number())

    def _style(self, name: str) -> Style:
        return self.component(f"rows--{name}")

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if y == 0:
            return self._title_strip(width)
        number = self._top + y - 1
        if y == 1 and not self._rows:
            return Strip([Segment("  " + self._nothing, self._style("muted"))]).adjust_cell_length(
                width, self.base
            )
        if number >= len(self._rows):
            return Strip.blank(width, self.base)
        row = self._rows[number]
        on_cursor, marked = row.key == self.cursor, row.key in self.marked
        cached = self._strips.get(row.key)
        if cached is not None and cached[1:3] == (on_cursor, marked) and cached[0] == row and not on_cursor:
            return cached[3]
        strip = self._row_strip(row, on_cursor, marked, width)
        self._strips[row.key] = (row, on_cursor, marked, strip)
        return strip

    def _row_strip(self, row: Row, on_cursor: bool, marked: bool, width: int) -> Strip:
        background = Style()
        if on_cursor:
            cursor = self._style("cursor" if self.has_focus else "cursor-blurred")
            background = Style(bgcolor=cursor.bgcolor, reverse=cursor.reverse or None)
        plain = self.base + background
        gutter = ("❯" if on_cursor else " ") + ("✓" if marked else " ")
        segments = [Segment(gutter, self._style("accent") + background)]
        for placed in self._placed:
            cell = row.cells.get(placed.column.key)
            if cell is None:
                segments.append(Segment(" " * (placed.width + 1), plain))
                continue
            style = plain if cell.tone == "plain" else self._style(cell.tone) + background
            text = fit(with_end(cell.text, cell.end, placed.width), placed.width, placed.column.align)
            if background.reverse:  # the tone would fill the column, also an empty one
                words = text.strip()
                before, _, after = text.partition(words) if words else (text, "", "")
                segments += [Segment(before, plain), Segment(words, style), Segment(f"{after} ", plain)]
            else:
                segments += [Segment(text, style), Segment(" ", plain)]
        return Strip(segments).adjust_cell_length(width, plain)

    def _title_strip(self, width: int) -> Strip:
        style = self._style("title")
        by, descending = self._sorted
        segments = [Segment(" " * GUTTER, style)]
        for placed in self._placed:
            title = placed.column.title
            if placed.column.key == by:
                title = f"{title}{'▼' if descending else '▲'}"
            segments.append(Segment(fit(title, placed.width, placed.column.align) + " ", style))
        return Strip(segments).adjust_cell_length(width, style)
