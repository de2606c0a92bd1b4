"""The emulator's public class: takes what a program writes, and tells what the screen shows."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Final

from sandtop.core.errors import InvalidRequest
from sandtop.core.terminal._dump import dump
from sandtop.core.terminal._grid import AUTOWRAP, CURSOR_VISIBLE, INSERT, NEW_LINE, ORIGIN, PRIVATE
from sandtop.core.terminal._reflow import resize
from sandtop.core.terminal._screen import MOUSE, MOUSE_ENCODINGS, EmulatedScreen, Saved
from sandtop.core.terminal._stream import Stream

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sandtop.core.terminal._row import Row
    from sandtop.core.terminal._style import Cell, Style

MAX_SIDE: Final = 2000
"""The most columns or rows …"""
MAX_CELLS: Final = 500_000
"""… and the most cells, which bounds the memory of a screen."""
SCROLLBACK: Final = 2000
"""Rows of scrollback in the screen worker, and in clients that take a screen over from it."""

_FIRST_PIECE: Final = 4096
"""Bytes that are read before the first look at the clock, which tells how many to read before the next. A byte takes
10 µs or so at the most."""
_LEAST_PIECE: Final = 256
_MOST_PIECE: Final = 64 * 1024
_PIECES: Final = 4
"""Looks at the clock within the time that `Emulator.feed` is given."""

_MOUSE_NAMES: Final = ("press", "click", "drag", "motion")
_ENCODING_NAMES: Final = ("utf8", "sgr", "urxvt")
_SHAPES: Final = ("block", "block", "underline", "underline", "bar", "bar")


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where the next character goes, from 0, and how the program wants the cursor shown.

    ``pending_wrap``: the last column was written, and the next character begins a new row. ``shape`` is block,
    underline or bar (DECSCUSR).
    """

    row: int
    column: int
    visible: bool
    pending_wrap: bool
    shape: str
    blinking: bool


@dataclass(frozen=True, slots=True)
class Modes:
    """What the program has switched on, as a front end needs it to encode keys, pastes and the mouse.

    ``mouse``: ``""``, ``press`` (mode 9), ``click`` (1000), ``drag`` (1002) or ``motion`` (1003).
    ``mouse_encoding``: ``""`` (the old bytes), ``utf8`` (1005), ``sgr`` (1006) or ``urxvt`` (1015).
    ``synchronized`` (2026): the program is in the middle of a frame; do not draw until it ends, or for long.
    """

    application_cursor: bool
    application_keypad: bool
    bracketed_paste: bool
    focus_events: bool
    mouse: str
    mouse_encoding: str
    alternate_screen: bool
    alternate_scroll: bool
    autowrap: bool
    origin: bool
    insert: bool
    new_line: bool
    reverse_video: bool
    synchronized: bool


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a `State`: its cells, and whether the text wrapped into the next row by itself."""

    cells: tuple[Cell, ...]
    wrapped: bool


@dataclass(frozen=True, slots=True)
class State:
    """Everything that decides what an emulator shows, now and later: two with equal states behave alike.

    ``hidden`` is the primary screen while the alternate one shows. ``private`` is all that no other field has.
    """

    columns: int
    rows: int
    screen: tuple[Line, ...]
    hidden: tuple[Line, ...]
    scrollback: tuple[Line, ...]
    cursor: Cursor
    style: Style
    modes: Modes
    margins: tuple[int, int]
    tab_stops: frozenset[int]
    charsets: tuple[str, ...]
    charset: int
    saved: tuple[Saved | None, ...]
    titles: tuple[str, ...]
    unfinished: bytes
    repeatable: bool
    cursor_style: int
    mode_numbers: frozenset[int]
    keyboard: tuple[tuple[int, ...], ...]


class Emulator:
    """A terminal emulator without a window.

    It is fed what a program writes to its terminal, and asked what the screen shows, which changes nothing. Sizes are
    in cells; rows and columns count from 0. Not thread-safe.
    """

    def __init__(self, columns: int = 80, rows: int = 24, scrollback: int = 1000) -> None:
        """``scrollback`` is the most rows kept after they left the screen.

        Raises InvalidRequest for sizes out of range.
        """
        _check_size(columns, rows)
        if scrollback < 0:
            raise InvalidRequest(f"a scrollback of {scrollback} rows makes no sense")
        self._screen = EmulatedScreen(columns, rows, scrollback)
        self._stream = Stream(self._screen)
        self._piece = _FIRST_PIECE

    @property
    def columns(self) -> int:
        return self._screen.columns

    @property
    def rows(self) -> int:
        return self._screen.lines

    def feed(self, data: bytes, seconds: float | None = None) -> int:
        """Read what the program wrote; how many bytes were read. Never raises, whatever they are.

        All are read, unless ``seconds`` of this thread's processor time are over before; but never none. Sequences may
        be cut anywhere: fed with the rest later, the emulator comes to the same screen.
        """
        if seconds is None:
            self._stream.feed(data)
            return len(data)
        at, left = 0, seconds
        while at < len(data) and (not at or left > 0):
            piece = data[at : at + self._piece]
            began = time.thread_time()
            self._stream.feed(piece)
            took = time.thread_time() - began
            at += len(piece)
            left -= took
            if took > seconds / _PIECES:
                self._piece = max(_LEAST_PIECE, self._piece // 4)
            elif took < seconds / (4 * _PIECES):
                self._piece = min(_MOST_PIECE, self._piece * 2)
        return at

    def resize(self, columns: int, rows: int) -> None:
        """Change the size. The primary screen and the scrollback wrap anew; the scroll region becomes the screen.

        Raises InvalidRequest for sizes out of range.
        """
        _check_size(columns, rows)
        resize(self._screen, columns, rows)

    # What shows.

    def text(self) -> str:
        """The screen, a line a row, each without its trailing spaces."""
        return "\n".join(self._text(row) for row in self._screen.buffer)

    def scrollback_text(self) -> str:
        """The rows that left the screen, oldest first, as `text` gives them."""
        return "\n".join(self._text(row) for row in self._screen.history)

    def _text(self, row: Row) -> str:
        return "".join([cell.text for cell in row.thaw(self._screen.columns)]).rstrip(" ")

    def cell(self, row: int, column: int) -> Cell:
        """The cell in ``row`` and ``column``. Raises IndexError outside the screen."""
        if not (0 <= row < self.rows and 0 <= column < self.columns):
            raise IndexError(
                f"no cell {row}, {column} on a screen of {self.rows} rows, {self.columns} columns"
            )
        return self._screen.buffer[row].thaw(self.columns)[column]

    def cells(self, row: int) -> Sequence[Cell]:
        """The cells of a row, for reading only. Negative rows are the scrollback: -1 is the newest.

        Raises IndexError where there is no such row.
        """
        rows = self._screen.buffer if row >= 0 else self._screen.history
        return rows[row].thaw(self.columns)

    def runs(self, row: int) -> list[tuple[str, Style]]:
        """A row as pieces of text in one style, together `columns` wide. Rows count as in `cells`."""
        return [
            ("".join([cell.text for cell in run]), style)
            for style, run in groupby(self.cells(row), key=lambda cell: cell.style)
        ]

    def wraps(self, row: int) -> bool:
        """Whether the text of a row went on in the next one by itself. Rows count as in `cells`."""
        return (self._screen.buffer if row >= 0 else self._screen.history)[row].wrapped

    @property
    def scrollback_rows(self) -> int:
        """How many rows the scrollback holds now."""
        return len(self._screen.history)

    @property
    def scrolled(self) -> int:
        """How many rows ever went into the scrollback, so that a viewer can keep its place. A resize sets it back."""
        return self._screen.pushed

    @property
    def cursor(self) -> Cursor:
        screen = self._screen
        x, style = screen.cursor.x, screen.cursor_style
        return Cursor(
            row=screen.cursor.y,
            column=min(x, screen.columns - 1),
            visible=CURSOR_VISIBLE in screen.mode,
            pending_wrap=x == screen.columns,
            shape=_SHAPES[max(0, style - 1)],
            blinking=style % 2 == 1 or (style == 0 and 12 << PRIVATE in screen.mode),
        )

    @property
    def modes(self) -> Modes:
        screen = self._screen
        on = {mode >> PRIVATE for mode in screen.mode if mode >> PRIVATE}
        return Modes(
            application_cursor=1 in on,
            application_keypad=66 in on,
            bracketed_paste=2004 in on,
            focus_events=1004 in on,
            mouse=next((name for mode, name in zip(MOUSE, _MOUSE_NAMES, strict=True) if mode in on), ""),
            mouse_encoding=next(
                (name for mode, name in zip(MOUSE_ENCODINGS, _ENCODING_NAMES, strict=True) if mode in on), ""
            ),
            alternate_screen=screen.alternate,
            alternate_scroll=1007 in on,
            autowrap=AUTOWRAP in screen.mode,
            origin=ORIGIN in screen.mode,
            insert=INSERT in screen.mode,
            new_line=NEW_LINE in screen.mode,
            reverse_video=5 in on,
            synchronized=2026 in on,
        )

    @property
    def title(self) -> str:
        """What the program called its window (OSC 0 and 2)."""
        return self._screen.title

    @property
    def bells(self) -> int:
        """How often the program rang."""
        return self._screen.bells

    @property
    def dirty(self) -> set[int]:
        """Rows that changed since the caller last cleared this set. The cursor's own motion is not a change."""
        return self._screen.dirty

    # What goes out.

    def take_replies(self) -> bytes:
        """The answers to what the program asked its terminal, for its input. They are returned once, and bounded."""
        replies = bytes(self._screen.replies)
        self._screen.replies.clear()
        return replies

    def dump(self, most: int | None = None) -> bytes:
        """Sequences that make screen, scrollback, modes and cursor in a new emulator or a real xterm of this size.

        When they would have more than ``most`` bytes, the oldest rows of the scrollback are left out, as many as
        needed. If that is not enough all links are left out, too. What is left, the screen itself, may still be larger.
        """
        unfinished = self._stream.unfinished
        room = None if most is None else most - len(unfinished)
        return dump(self._screen, self._stream.printed, room) + unfinished

    def state(self) -> State:
        """Everything that matters, as one value to compare."""
        screen = self._screen
        return State(
            columns=screen.columns,
            rows=screen.lines,
            screen=self._lines(screen.buffer),
            hidden=self._lines(screen.other),
            scrollback=self._lines(screen.history),
            cursor=self.cursor,
            style=screen.pen.style,
            modes=self.modes,
            margins=(screen.top, screen.bottom),
            tab_stops=frozenset(screen.tabstops),
            charsets=tuple(screen.charsets),
            charset=screen.charset,
            saved=tuple(screen.saved),
            titles=(*screen.titles, screen.title, screen.icon_name),
            unfinished=self._stream.unfinished,
            repeatable=self._stream.printed,
            cursor_style=screen.cursor_style,
            mode_numbers=frozenset(screen.mode),
            keyboard=screen.keyboard.state(),
        )

    def _lines(self, rows: Iterable[Row]) -> tuple[Line, ...]:
        return tuple(Line(tuple(row.thaw(self.columns)), row.wrapped) for row in rows)

    def __eq__(self, other: object) -> bool:
        return self.state() == other.state() if isinstance(other, Emulator) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]


def fitting(rows: int, columns: int) -> tuple[int, int]:
    """The rows and columns nearest to those that an emulator may have."""
    columns = max(1, min(columns, MAX_SIDE))
    return max(1, min(rows, MAX_SIDE, MAX_CELLS // columns)), columns


def _check_size(columns: int, rows: int) -> None:
    if not (1 <= columns <= MAX_SIDE and 1 <= rows <= MAX_SIDE and columns * rows <= MAX_CELLS):
        raise InvalidRequest(f"a terminal of {columns} columns and {rows} rows makes no sense")
