"""A fast path for floods: whole lines that are printed on the bottom row are taken many at a time, and kept raw.

Nobody sees most of them. So each becomes a `Row` of raw text, whose cells are made only when somebody looks at it; and
of lines that the scrollback drops before anybody can look, not even a row is made.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sandtop.core.terminal._grid import AUTOWRAP, Grid
from sandtop.core.terminal._row import RAW_TOKENS, Row
from sandtop.core.terminal._width import ALL_NARROW, UPPER

if TYPE_CHECKING:
    from sandtop.core.terminal._style import Pen

_LINES: Final = re.compile(r"(?:[^\x00-\x1f\x7f]++|\r\n|\t|\x1b\[(?:[0-9:;]{0,256}+m|0?K))*+")
_UNPRINTED: Final = re.compile(r"\x1b\[[0-9:;]*+[mK]")
_SGR: Final = re.compile(r"\x1b\[([0-9:;]*+m)")
_MARKED: Final = re.compile(r"[\x1b\t]")
_ENDS_LINE: Final = "\r\n"


def flood(screen: Grid, text: str, at: int, before: int) -> int:
    """Take whole lines of ``text`` from offset ``at`` and before offset ``before``, as many as can be kept raw.

    Returns the offset after them.
    """
    cursor = screen.cursor
    if cursor.x or cursor.y != screen.lines - 1 or not _open(screen):
        return at
    match = _LINES.match(text, at, before)
    end = text.rfind(_ENDS_LINE, at, match.end()) if match else -1
    if end < 0:
        return at
    span = text[at:end]
    lines = span.split(_ENDS_LINE)
    skipped = max(0, len(lines) - screen.lines - (screen.history.maxlen or 0))
    if skipped:
        # Lines that not even the scrollback can hold only change the pen.
        pen = _fold(cursor.attrs, _ENDS_LINE.join(lines[:skipped]) if "\x1b" in span else "")
        taken, rows, pen = _rows(screen, lines[skipped:], pen)
        if taken == len(lines) - skipped:
            if not screen.alternate:
                screen.pushed += skipped
            _push(screen, rows, pen)
            return end + len(_ENDS_LINE)
    taken, rows, pen = _rows(screen, lines, cursor.attrs)
    if taken:
        _push(screen, rows, pen)
    return end + len(_ENDS_LINE) - sum(map(len, lines[taken:])) - len(lines[taken:]) * len(_ENDS_LINE)


def _open(screen: Grid) -> bool:
    """Whether the bottom row is blank, and lines leave the whole screen at its top."""
    last = screen.buffer[-1]
    return (
        screen.plain
        and screen.top == 0
        and screen.bottom == screen.lines - 1
        and last.is_unwritten
        and last.pen is screen.cursor.attrs
        and AUTOWRAP in screen.mode
    )


def _fold(pen: Pen, text: str) -> Pen:
    """The pen after the SGR sequences of ``text``."""
    if "\x1b" in text:
        for sgr in _SGR.findall(text, max(0, text.rfind("\x1b[m"), text.rfind("\x1b[0m"))):
            pen = pen.after[sgr]
    return pen


def _rows(screen: Grid, lines: list[str], pen: Pen) -> tuple[int, list[Row], Pen]:
    """Rows for as many of ``lines`` as can be kept raw: how many lines that was, the rows, the pen after them."""
    columns = screen.columns
    if max(map(len, lines)) <= columns and not _MARKED.search(whole := "".join(lines)) and whole.isascii():
        return len(lines), [Row(pen, line) for line in lines], pen
    rows: list[Row] = []
    for taken, line in enumerate(lines):
        if len(line) <= columns and line.isascii() and "\x1b" not in line and "\t" not in line:
            rows.append(Row(pen, line))
            continue
        printed = _UNPRINTED.sub("", line) if "\x1b" in line else line
        if (
            len(line) > 4 * len(printed) + columns
        ):  # mostly control sequences: as raw text it would take more memory
            return taken, rows, pen
        if "\t" in printed:
            plain_tabs = printed.isascii() and screen.tabstops == screen.usual_stops
            if not plain_tabs or len(printed.expandtabs(8)) > columns:
                return taken, rows, pen
            rows.append(Row(pen, line))
        elif len(printed) <= columns and (
            printed.isascii() or sum(map(UPPER.__getitem__, printed)) <= columns
        ):
            rows.append(Row(pen, line))
        elif _all_narrow(printed):
            rows += _cut(line, pen, columns)
        else:
            return taken, rows, pen
        if "\x1b" in line:
            pen = _fold(pen, line)
    return len(lines), rows, pen


def _all_narrow(text: str) -> bool:
    return text.isascii() or ALL_NARROW.fullmatch(text) is not None


def _cut(line: str, pen: Pen, columns: int) -> list[Row]:
    """A line too long for one row, of characters one column wide, as it wraps."""
    if "\x1b" not in line:
        rows = [Row(pen, line[start : start + columns]) for start in range(0, len(line), columns)]
    else:
        rows = _cut_styled(line, pen, columns)
    for row in rows[:-1]:
        row.wrapped = True
    return rows


def _cut_styled(line: str, pen: Pen, columns: int) -> list[Row]:
    rows, room = [Row(pen)], columns
    for token in RAW_TOKENS.finditer(line):
        text, sgr, erase = token.groups()
        if text is None:
            if erase and not room:
                room = 1  # Erasing ends a pending wrap, and the cursor is in the last column again.
            rows[-1].raw += token.group()
            if sgr:
                pen = pen.after[sgr]
            continue
        while text:
            if not room:
                rows.append(Row(pen))
                room = columns
            part, text = text[:room], text[room:]
            rows[-1].raw += part
            room -= len(part)
    return rows


def _push(screen: Grid, rows: list[Row], pen: Pen) -> None:
    """Put ``rows`` where the blank bottom row is, and a blank one after them; go on with ``pen``."""
    screen.cursor.attrs = pen
    rows = [*screen.buffer[:-1], *rows, Row(pen)]
    leaving = len(rows) - screen.lines
    if not screen.alternate:
        screen.retire(rows[:leaving])
    screen.buffer[:] = rows[leaving:]
    screen.mark_all()
