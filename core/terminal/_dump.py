"""Writing a screen as the escape sequences that make it again, in a new emulator of the same size or a real xterm.

The order matters. Saved cursors come first, while the screen is blank, because a pending wrap can only be saved by
printing a row. Then comes the text, in default modes; then all modes that would have disturbed it; last the cursor, and
the beginning of a sequence that was not complete.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, TypeAlias

from sandtop.core.terminal._grid import AUTOWRAP, CURSOR_VISIBLE, INSERT, ORIGIN, PRIVATE
from sandtop.core.terminal._row import is_padded
from sandtop.core.terminal._style import Cell, Style, sgr
from sandtop.core.terminal._width import may_join

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandtop.core.terminal._row import Row
    from sandtop.core.terminal._screen import EmulatedScreen, Saved

_Known: TypeAlias = "dict[int, tuple[Style, str]]"
"""By the id of each style: the style, and the sequence that begins it. A look-up by the style itself would take longer
than making the sequence."""
_style_of = attrgetter("style")
_HOME = "\x1b[H"
_PLAIN = "\x1b[m"
_END_LINK = "\x1b]8;;\x1b\\"
_NOTHING = "\x00"
_ZERO_WIDTH = "\u200b"
_SHIFTS = ("\x0f", "\x0e", "\x1bn", "\x1bo")


def dump(screen: EmulatedScreen, printed: bool, most: int | None = None) -> bytes:
    """The sequences for ``screen``; ``printed`` says whether the last thing that it read was a graphic character.

    When they would have more than ``most`` bytes, the oldest rows of the scrollback are left out, as many as needed. If
    that is not enough all links are left out, too. What is left, the screen itself, may still be larger.
    """
    primary = screen.other if screen.alternate else screen.buffer
    rows = [*screen.history, *primary]
    parts = _rows(rows, screen)
    start, end = _before(screen).encode(), _after(screen, printed).encode()
    whole = start + _joined(parts) + end
    if most is not None and len(whole) > most:
        cut = _cut(rows, parts, len(whole) - most, len(screen.history))
        whole = start + _joined(_rows(rows[cut:], screen)) + end
    if most is not None and len(whole) > most:
        unlinked = _joined(_rows(primary, screen, links=False))
        whole = start + unlinked + _after(screen, printed, links=False).encode()
    return whole


def _cut(rows: Sequence[Row], parts: Sequence[str], surplus: int, most: int) -> int:
    """How many of the first ``most`` rows to leave out to save ``surplus`` bytes: whole lines, where they end there."""
    cut = 0
    while cut < most and (surplus > 0 or rows[cut - 1].wrapped):
        surplus -= len(parts[cut].encode())
        cut += 1
    return cut


def _before(screen: EmulatedScreen) -> str:
    return "\x1bc" + _saved_cursors(screen)


def _after(screen: EmulatedScreen, printed: bool, *, links: bool = True) -> str:
    parts = [screen.keyboard.dump(False)]
    if screen.alternate:
        parts += ["\x1b[?1047h", screen.keyboard.dump(True), _HOME, _saved(screen.saved[1], screen)]
        parts.append(_joined(_rows(screen.buffer, screen, links=links)).decode())
    parts += [_titles(screen), _tab_stops(screen), _margins(screen)]
    parts += [_modes(screen), screen.keyboard.dump_resources(), _cursor(screen, printed)]
    return "".join(parts)


# Text.


def _joined(rows: Sequence[str]) -> bytes:
    """`_rows` as bytes, to be printed on a blank screen."""
    return (_HOME + "".join(rows).removesuffix("\r\n")).encode()


def _rows(rows: Sequence[Row], screen: EmulatedScreen, *, links: bool = True) -> list[str]:
    """``rows`` printed from the first row of a blank screen on; rows that wrapped wrap again."""
    columns = screen.columns
    blank = screen.pens.default.blank
    result: list[str] = []
    known: _Known = {}
    continued = False
    for number, row in enumerate(rows):
        cells = row.thaw(columns)
        if not links:
            cells = [_unlinked(cell) for cell in cells]
        wraps = row.wrapped and number < len(rows) - 1
        length = columns
        if wraps and is_padded(row, rows[number + 1], columns):
            length -= 1
        while length and not wraps and ((last := cells[length - 1]) is blank or last == blank):
            length -= 1
        text = ""
        if continued:
            text = _first_of_continued(cells[0], columns)
            length = max(length, 1)
        text += _cells(cells[cells[0].width if continued else 0 : length], known)
        result.append(text + (_PLAIN if wraps else _PLAIN + "\r\n"))
        continued = wraps
    return result


def _unlinked(cell: Cell) -> Cell:
    style = cell.style
    return Cell(cell.text, cell.width, replace(style, link="", link_id="")) if style.link else cell


def _first_of_continued(cell: Cell, columns: int) -> str:
    """The first character of a continued row, which makes the wrap happen without colouring the rest of the new row."""
    text = _styled(cell.style, cell.text)
    if cell.style.background != "default" and cell.width < columns:
        text += _PLAIN + "\x1b[K"
    return text


def _cells(cells: Sequence[Cell], known: _Known) -> str:
    """``cells`` printed from left to right."""
    parts: list[str] = []
    for style, run in groupby(cells, key=_style_of):
        found = known.get(id(style))
        if found is None:
            found = known[id(style)] = style, _pen(style)
        parts.append(found[1])
        parts += [_apart(cell.text) for cell in run]
        if style.link:
            parts.append(_END_LINK)
    return "".join(parts)


def _apart(text: str) -> str:
    """A grapheme that does not join the one before it: a control function in between keeps them apart."""
    return text if text.isascii() or len(text) == 0 or not may_join(text[0]) else _NOTHING + text


def _column(x: int) -> str:
    return f"\x1b[{x + 1}G"


def _styled(style: Style, text: str) -> str:
    """``text`` in ``style``; a link ends with it, the rest of the style stays."""
    return f"{_pen(style)}{text}{_END_LINK}" if style.link else sgr(style) + text


def _pen(style: Style) -> str:
    """The sequence after which text has ``style``, when no link is open."""
    if not style.link:
        return sgr(style)
    parameters = f"id={style.link_id}" if style.link_id else ""
    return f"\x1b]8;{parameters};{style.link}\x1b\\{sgr(style)}"


# State.


def _saved_cursors(screen: EmulatedScreen) -> str:
    """What DECSC kept, for both buffers; leaves the primary screen blank."""
    parts: list[str] = []
    keys = screen.keyboard.dump(True)
    if (screen.saved[1] is not None or keys) and not screen.alternate:
        parts += ["\x1b[?1047h", keys, _saved(screen.saved[1], screen), "\x1b[?1047l"]
    parts.append(_saved(screen.saved[0], screen))
    return "".join(parts)


def _saved(saved: Saved | None, screen: EmulatedScreen) -> str:
    if saved is None:
        return ""
    parts = [_place(saved.y, min(saved.x, screen.columns - 1))]
    if saved.x == screen.columns:
        parts.append(" ")
    origin = ORIGIN in screen.mode
    parts = ["\x1b[?6h" if saved.origin else "", *parts] if not origin or saved.origin else parts
    parts += [_charsets(list(saved.charsets), saved.charset), _pen(saved.style), "\x1b7"]
    parts += ["\x1b[?6l", _END_LINK if saved.style.link else "", _PLAIN, _charsets_back(saved), _HOME]
    return "".join(parts)


def _charsets(charsets: Sequence[str], charset: int) -> str:
    parts = [f"\x1b{which}{code}" for which, code in zip("()*+", charsets, strict=True) if code != "B"]
    return "".join(parts) + (_SHIFTS[charset] if charset else "")


def _charsets_back(saved: Saved) -> str:
    parts = [f"\x1b{which}B" for which, code in zip("()*+", saved.charsets, strict=True) if code != "B"]
    return "".join(parts) + (_SHIFTS[0] if saved.charset else "")


def _titles(screen: EmulatedScreen) -> str:
    parts = [f"\x1b]2;{title}\x1b\\\x1b[22;2t" for title in screen.titles]
    parts += [f"\x1b]1;{screen.icon_name}\x1b\\"] if screen.icon_name else []
    parts += [f"\x1b]2;{screen.title}\x1b\\"] if screen.title or screen.titles else []
    return "".join(parts)


def _tab_stops(screen: EmulatedScreen) -> str:
    if screen.tabstops == screen.usual_stops:
        return ""
    return "\x1b[3g" + "".join(_column(stop) + "\x1bH" for stop in screen.tabstops)


def _margins(screen: EmulatedScreen) -> str:
    return f"\x1b[{screen.top + 1};{screen.bottom + 1}r" if screen.margins else ""


def _modes(screen: EmulatedScreen) -> str:
    """All modes that differ from a new terminal's, except insert mode: that is set after the last character."""
    private = sorted(mode >> PRIVATE for mode in screen.mode if mode >> PRIVATE)
    parts = [f"\x1b[?{mode}h" for mode in private if mode << PRIVATE not in (AUTOWRAP, CURSOR_VISIBLE)]
    parts += [f"\x1b[?{mode >> PRIVATE}l" for mode in (AUTOWRAP, CURSOR_VISIBLE) if mode not in screen.mode]
    parts += [f"\x1b[{mode}h" for mode in sorted(screen.mode) if not mode >> PRIVATE and mode != INSERT]
    parts += [f"\x1b[{screen.cursor_style} q"] if screen.cursor_style else []
    return "".join(parts)


def _place(y: int, x: int) -> str:
    return f"\x1b[{y + 1};{x + 1}H"


def _cursor(screen: EmulatedScreen, printed: bool) -> str:
    """The cursor with its pending wrap and pen; and where a character was printed last, so that REP can repeat it."""
    cursor, columns = screen.cursor, screen.columns
    y = cursor.y - (screen.top if ORIGIN in screen.mode else 0)
    pen = _pen(cursor.attrs.style)
    # What changes how a character prints comes after the last character.
    late = _charsets(screen.charsets, screen.charset) + ("\x1b[4h" if INSERT in screen.mode else "")
    cells = screen.buffer[cursor.y].thaw(columns)
    left = cursor.x - 1
    if left > 0 and not cells[left].width:
        left -= 1
    beside = left >= 0 and left + cells[left].width == cursor.x
    style = cells[left].style
    same = style == cursor.attrs.style and not late
    if cursor.x == columns or (printed and beside and same):
        parts = [_place(y, left), _pen(style), cells[left].text]
        if printed and same:
            return "".join(parts)
        parts.append(_END_LINK if style.link else "")
    else:
        parts = [_place(y, cursor.x)]
    return "".join([*parts, pen, late, _ZERO_WIDTH if printed else ""])
