"""Resizing: the primary screen and its scrollback are wrapped anew, the alternate screen is cut or padded."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from sandtop.core.terminal._row import Row, SharedRow, is_padded, pad_before

if TYPE_CHECKING:
    from sandtop.core.terminal._screen import EmulatedScreen
    from sandtop.core.terminal._style import Cell, Pen

_Place: TypeAlias = tuple[int, int]


def resize(screen: EmulatedScreen, columns: int, lines: int) -> None:
    """Give ``screen`` a new size. Rows that no longer fit go to the scrollback, or come back from it."""
    old_columns = screen.columns
    if (columns, lines) == (old_columns, screen.lines):
        return
    saved = screen.saved[0]
    cursor = screen.cursor
    if screen.alternate:
        # The program's cursor is on the alternate screen; the primary one waits where it was saved.
        places = [(saved.y, saved.x)] if saved else [(0, 0)]
        rows, places = _primary(screen, screen.other, places, columns, lines)
        screen.other = rows
        screen.buffer = _cut_rows(screen.buffer, screen, columns, lines)
    else:
        places = [(cursor.y, cursor.x), (saved.y, saved.x) if saved else (0, 0)]
        rows, places = _primary(screen, screen.buffer, places, columns, lines)
        screen.buffer = rows
        cursor.y, cursor.x = places[0]
    if saved:
        y, x = places[-1]
        screen.saved[0] = replace(saved, x=x, y=y)
    if (other := screen.saved[1]) is not None:
        screen.saved[1] = replace(other, x=min(other.x, columns - 1), y=min(other.y, lines - 1))
    screen.columns, screen.lines = columns, lines
    screen.margins = None
    screen.usual_stops = list(range(8, columns, 8))
    screen.tabstops = [stop for stop in screen.tabstops if stop < columns]
    screen.tabstops += [stop for stop in screen.usual_stops if stop >= old_columns]
    screen.dirty = set()
    screen.mark_all()


def _primary(
    screen: EmulatedScreen, buffer: list[Row], places: list[_Place], columns: int, lines: int
) -> tuple[list[Row], list[_Place]]:
    """The rows of the primary screen in its new size, and where ``places`` are in it. Rebuilds the history.

    The first place is the cursor: it stays on the screen.
    """
    above = len(screen.history)
    rows = [*screen.history, *buffer]
    places = [(y + above, x) for y, x in places]
    last = len(rows) - 1
    while last > places[0][0] and _is_blank(rows[last], screen):
        last -= 1
    del rows[last + 1 :]
    if columns != screen.columns:
        rows, places = _rewrap(rows, places, screen.columns, columns, screen.pens.default)
    top = min(max(0, len(rows) - lines), places[0][0])
    screen.refill(rows[:top], columns)
    rows = rows[top : top + lines]
    rows[-1] = rows[-1].own(columns)
    rows[-1].wrapped = False
    rows += [SharedRow(screen.pens.default)] * (lines - len(rows))
    return rows, [(min(max(y - top, 0), lines - 1), min(x, columns)) for y, x in places]


def _is_blank(row: Row, screen: EmulatedScreen) -> bool:
    blank = screen.pens.default.blank
    return all(cell is blank or cell == blank for cell in row.thaw(screen.columns))


def _rewrap(
    rows: list[Row], places: list[_Place], old: int, new: int, pen: Pen
) -> tuple[list[Row], list[_Place]]:
    """``rows`` of ``old`` columns as rows of ``new`` columns, and where ``places`` went."""
    result: list[Row] = []
    moved = list(places)
    start = 0
    for end in range(1, len(rows) + 1):
        if rows[end - 1].wrapped and end < len(rows):
            continue
        cells, starts = _join(rows[start:end], old)
        inside = [number for number, (y, _) in enumerate(places) if start <= y < end]
        offsets = [starts[places[number][0] - start] + places[number][1] for number in inside]
        keep = max([_length(cells, pen), *(min(offset, len(cells)) for offset in offsets)])
        pieces = _pieces(cells[:keep], new)
        for number, offset in zip(inside, offsets, strict=True):
            y, x = _find(pieces, min(offset, keep), new)
            moved[number] = (len(result) + y, x)
        result += _rows(cells, pieces, new, pen)
        start = end
    return result, moved


def _join(rows: list[Row], old: int) -> tuple[list[Cell], list[int]]:
    """The cells of one line that wrapped over ``rows``, and at which of them each row began."""
    cells: list[Cell] = []
    starts: list[int] = []
    for y, row in enumerate(rows):
        starts.append(len(cells))
        part = row.thaw(old)
        padded = is_padded(row, rows[y + 1] if y + 1 < len(rows) else None, old)
        cells += part[:-1] if padded else part
    return cells, starts


def _length(cells: list[Cell], pen: Pen) -> int:
    length = len(cells)
    blank = pen.blank
    while length and ((last := cells[length - 1]) is blank or last == blank):
        length -= 1
    return length


def _pieces(cells: list[Cell], columns: int) -> list[tuple[int, int]]:
    """First and last+1 cell of each row that ``cells`` fill; a wide character is never cut."""
    pieces: list[tuple[int, int]] = []
    start = 0
    while len(cells) - start > columns:
        end = start + columns
        if not cells[end].width and columns > 1:
            end -= 1
        pieces.append((start, end))
        start = end
    pieces.append((start, len(cells)))
    return pieces


def _find(pieces: list[tuple[int, int]], offset: int, columns: int) -> _Place:
    """Row and column of the cell at ``offset``; after the last cell of a full row it is a pending wrap."""
    for y, (start, end) in enumerate(pieces):
        if offset < end or y == len(pieces) - 1:
            return y, min(offset - start, columns)
    return 0, 0


def _rows(cells: list[Cell], pieces: list[tuple[int, int]], columns: int, pen: Pen) -> list[Row]:
    rows: list[Row] = []
    for start, end in pieces:
        row = Row(pen)
        row.cells = cells[start:end] + [pen.blank] * (columns - end + start)
        if end < len(cells) and end - start < columns:
            row.cells[-1] = pad_before(cells[end].style)
            row.padded = True
        row.wide = any(cell.width != 1 for cell in row.cells)
        if columns == 1:
            row.cells = [cell if cell.width == 1 else pen.blank for cell in row.cells]
        row.wrapped = True
        rows.append(row)
    rows[-1].wrapped = False
    return rows


def _cut_rows(buffer: list[Row], screen: EmulatedScreen, columns: int, lines: int) -> list[Row]:
    """The alternate screen in its new size; rows go at its top only as far as the cursor needs it."""
    cursor = screen.cursor
    pen = screen.pens.default
    dropped = max(0, cursor.y - lines + 1)
    rows = [row.own(screen.columns) for row in buffer[dropped : dropped + lines]]
    for row in rows:
        cells = row.cells
        if columns < len(cells):
            row.erase(columns, len(cells), pen, screen.columns)
        del cells[columns:]
        cells += [pen.blank] * (columns - len(cells))
        row.wrapped = False
    rows += [SharedRow(pen)] * (lines - len(rows))
    cursor.y -= dropped
    cursor.x = min(cursor.x, columns - 1)
    return rows
