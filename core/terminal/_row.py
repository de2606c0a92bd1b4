"""One row of cells, which is kept as raw text until its cells are needed.

A program that floods writes whole lines to the bottom of the screen, and they scroll off before anybody sees them. Such
a row is kept as the text that came (printable characters, SGR, tabs, erase-to-the-right) and the pen at its beginning;
`Row.thaw` makes the cells. A blank row is a raw row without text.

Many equal rows (of a cleared screen, of a repeated character) are one `SharedRow` until one of them is written to.
"""

from __future__ import annotations

import re
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from sandtop.core.terminal._style import Cell, Pen, Style, blank
from sandtop.core.terminal._width import MAX_CLUSTER, RUNS, cluster_width, joins, stands_alone

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_LINKS: Final = 4096
"""Characters that all different links in one row may have, with their ids. Beyond it text is printed without a link."""
_style_of: Final = attrgetter("style")
RAW_TOKENS: Final = re.compile(r"([^\x1b\t]+)|\x1b\[([0-9;:]*m)|(\x1b\[0?K)|\t")


class Row:
    """One row.

    Attributes:
        cells: the cells; empty while the row is raw.
        wrapped: whether the text wrapped into the next row.
        padded: whether it wrapped a column early, because a wide character did not fit; see `is_padded`.
        wide: False only when no cell of the row is part of a wide character.
        links: the characters that the links in the row have at the most, and the pen of the last; see `afford`.
    """

    __slots__ = ("cells", "links", "padded", "pen", "raw", "wide", "wrapped")

    def __init__(self, pen: Pen, raw: str = "") -> None:
        self.cells: list[Cell] = []
        self.raw = raw
        self.pen = pen
        self.wrapped = False
        self.padded = False
        self.wide = False
        self.links: tuple[int, Pen] | None = None

    def thaw(self, columns: int) -> list[Cell]:
        """The cells, ``columns`` of them; the list is the row's own, and made at most once."""
        if not self.cells:
            self.cells = [self.pen.blank] * columns
            raw, self.raw = self.raw, ""
            if raw:
                self._write_raw(raw, columns)
        return self.cells

    def own(self, columns: int) -> Row:
        """This row for writing, its cells made: itself, unless it is shared."""
        self.thaw(columns)
        return self

    @property
    def is_unwritten(self) -> bool:
        """Whether nothing was ever written to it, so that it is blank for certain."""
        return not self.cells and not self.raw

    def afford(self, pen: Pen) -> bool:
        """Whether a link of ``pen`` has room in the row beside the links that are in it (`MAX_LINKS`).

        They are counted only when it could be too many.
        """
        total, last = self.links or (0, None)
        if pen is last:
            return True
        own = _link_size(pen.style)
        if total + own > MAX_LINKS:
            styles = {id(style): style for style in map(_style_of, self.cells)}
            linked = {(style.link, style.link_id): style for style in styles.values() if style.link}
            linked.pop((pen.style.link, pen.style.link_id), None)
            total = sum(map(_link_size, linked.values()))
        if total + own > MAX_LINKS:
            return False
        self.links = total + own, pen
        return True

    def _write_raw(self, raw: str, columns: int) -> None:
        pen, x = self.pen, 0
        cells = self.thaw(columns)
        for token in RAW_TOKENS.finditer(raw):
            text, sgr, erase = token.groups()
            if text is not None:
                x = self._write_fitting(x, text, pen, columns)
            elif sgr is not None:
                pen = pen.after[sgr]
            elif erase is not None:
                first = min(x, columns - 1)
                cells[first:] = [pen.blank] * (columns - first)
                x = first
            elif x < columns:
                x = min(x // 8 * 8 + 8, columns - 1)

    def _write_fitting(self, x: int, text: str, pen: Pen, columns: int) -> int:
        """Write text that is known to fit. Returns the column after it."""
        if text.isascii():
            self.thaw(columns)[x : x + len(text)] = map(pen.get, text)
            return x + len(text)
        first = True
        for run in RUNS.finditer(text):
            characters = run.group()
            if run.lastindex == 1:
                self.put(x, characters, pen)
                x += len(characters)
            elif run.lastindex == 2:
                self.put_wide(x, characters, pen)
                x += 2 * len(characters)
            elif (grown := self.join(x, characters, columns, first)) is not None:
                x += grown
            elif stands_alone(characters):
                x += cluster_width(characters)
                self._put_one(x, characters, pen)
            first = False
        return x

    def put(self, x: int, text: str, pen: Pen) -> None:
        """Write one-column characters from column ``x`` on; they must fit."""
        cells = self.cells
        end = x + len(text)
        if self.wide:
            self.mend(x, end)
        cells[x:end] = map(pen.get, text)

    def put_wide(self, x: int, text: str, pen: Pen) -> None:
        """Write two-column characters from column ``x`` on; they must fit."""
        cells = self.cells
        end = x + 2 * len(text)
        if self.wide:
            self.mend(x, end)
        self.wide = True
        cells[x:end:2] = map(pen.get, text)
        cells[x + 1 : end : 2] = [pen.get("")] * len(text)

    def _put_one(self, end: int, character: str, pen: Pen) -> None:
        """Write one character that ends before column ``end``."""
        width = cluster_width(character)
        if width == 2:
            self.put_wide(end - 2, character, pen)
        else:
            self.put(end - 1, character, pen)

    def join(self, x: int, character: str, columns: int, first: bool) -> int | None:
        """Add ``character`` to the grapheme left of column ``x``, if it belongs there.

        ``first``: a control function came before it. Then only a mark that has no width of its own still joins.
        Returns by how many columns the grapheme grew, or None when the character joins nothing. At the margin a
        grapheme cannot grow: then nothing is changed and it returns 1 nevertheless, for it has to move.
        """
        if first and stands_alone(character):
            return None
        cells = self.thaw(columns)
        at = x - 1
        if at > 0 and not cells[at].width:
            at -= 1
        if at < 0:
            return None
        before = cells[at]
        if len(before.text) >= MAX_CLUSTER:
            return None if stands_alone(character) else 0
        if not joins(before.text, character):
            return None
        text = before.text + character
        width = max(before.width, cluster_width(text))
        if at + width > columns:
            return 1
        cells[at] = Cell(text, width, before.style)
        self.pen.case.joined(text)
        if width > before.width:
            self.wide = True
            self.mend(at + 1, at + 2)
            cells[at + 1] = Cell("", 0, before.style)
        return width - before.width

    def put_wide_text(self, text: str, style: Style) -> None:
        """Write a grapheme of two columns at the start of the row."""
        self.mend(0, 2)
        self.wide = True
        self.cells[:2] = [Cell(text, 2, style), Cell("", 0, style)]

    def pad(self, style: Style) -> None:
        """Leave the last column empty, because the wide character to come, in ``style``, does not fit there."""
        self.mend(len(self.cells) - 1, len(self.cells))
        self.cells[-1] = pad_before(style)
        self.padded = True

    def mend(self, start: int, end: int) -> None:
        """Blank the halves of wide characters that will be left when columns ``start`` to ``end`` are overwritten."""
        cells = self.cells
        if start < len(cells) and not cells[start].width and start:
            cells[start - 1] = _half(cells[start - 1])
        if end < len(cells) and not cells[end].width:
            cells[end] = _half(cells[end])

    def erase(self, start: int, end: int, pen: Pen, columns: int) -> None:
        """Blank columns ``start`` to ``end`` in the background colour of ``pen``."""
        cells = self.thaw(columns)
        if self.wide:
            self.mend(start, end)
        cells[start:end] = [pen.blank] * (end - start)
        if end >= columns:
            self.wrapped = False


class SharedRow(Row):
    """A row that is in many places at once. To write to one of them, a copy is made (`own`).

    ``template`` has the cells that it shows, empty for a blank row; its own ``cells`` stay empty.
    """

    __slots__ = ("_template",)

    def __init__(self, pen: Pen, template: Sequence[Cell] = ()) -> None:
        super().__init__(pen)
        self._template = template

    def thaw(self, columns: int) -> list[Cell]:
        return [*self._template] if self._template else [self.pen.blank] * columns

    def own(self, columns: int) -> Row:
        copy = Row(self.pen)
        copy.cells = self.thaw(columns)
        copy.wrapped, copy.padded, copy.wide = self.wrapped, self.padded, self.wide
        return copy

    @property
    def is_unwritten(self) -> bool:
        return not self._template


def _link_size(style: Style) -> int:
    return len(style.link) + len(style.link_id)


def _half(cell: Cell) -> Cell:
    """The blank cell that replaces one half of a wide character when the other half is overwritten."""
    return blank(cell.style.background)


def pad_before(style: Style) -> Cell:
    """What stands in the last column when a wide character in ``style`` did not fit there."""
    return blank(style.background)


def is_padded(row: Row, following: Row | None, columns: int) -> bool:
    """Whether the last column of ``row`` is padding, not text: the wide character that did not fit follows it."""
    if following is None or not (row.padded and row.wrapped):
        return False
    first = following.thaw(columns)[0]
    return first.width == 2 and row.thaw(columns)[-1] == pad_before(first.style)
