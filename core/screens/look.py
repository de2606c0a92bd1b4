"""A screen as text that is safe to show on any terminal, and searching it for a pattern."""

from __future__ import annotations

import re
import signal
from contextlib import contextmanager
from itertools import groupby
from typing import TYPE_CHECKING, Final

from sandtop.core.terminal import Style, sgr

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from sandtop.core.terminal import Cell, Emulator

_PLAIN: Final = Style()
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_MOST_PATTERN: Final = 1000
_MATCH_SECONDS: Final = 0.1


class BadPattern(Exception):
    """A pattern is wrong, or takes too long to search for; the text says which."""


def look(emulator: Emulator, *, scrollback: bool, ansi: bool) -> dict[str, object]:
    """The rows of the screen and, with ``scrollback``, those before them; the cursor, the title and some modes.

    With ``ansi`` the rows have colours and attributes, as SGR sequences that are made here; each row ends plain.
    """
    show = _coloured if ansi else _text
    back = emulator.scrollback_rows if scrollback else 0
    cursor = emulator.cursor
    return {
        "rows": emulator.rows,
        "columns": emulator.columns,
        "lines": [show(emulator.cells(row)) for row in range(emulator.rows)],
        "scrollback": [show(emulator.cells(row)) for row in range(-back, 0)],
        "cursor": {"row": cursor.row, "column": cursor.column, "visible": cursor.visible},
        "title": _clean(emulator.title),
        "alternate_screen": emulator.modes.alternate_screen,
        "application_cursor": emulator.modes.application_cursor,
    }


def _clean(text: str) -> str:
    return _CONTROLS.sub("?", text)


def _text(cells: Sequence[Cell]) -> str:
    return _clean("".join([cell.text for cell in cells])).rstrip(" ")


def _coloured(cells: Sequence[Cell]) -> str:
    length = len(cells)
    while length and cells[length - 1].text == " " and cells[length - 1].style == _PLAIN:
        length -= 1
    parts: list[str] = []
    coloured = False
    for style, run in groupby(cells[:length], key=lambda cell: cell.style):
        text = _clean("".join([cell.text for cell in run]))
        code = sgr(style)
        plain = code == sgr(_PLAIN)
        parts.append(text if plain and not coloured else code + text)
        coloured = not plain
    return "".join(parts) + ("\x1b[0m" if coloured else "")


class Pattern:
    """A regular expression to search screens for, in bounded time: a program may write what makes it slow."""

    __slots__ = ("_compiled",)

    def __init__(self, text: str) -> None:
        """Raises `BadPattern`."""
        if len(text) > _MOST_PATTERN:
            raise BadPattern(f"a pattern is at most {_MOST_PATTERN} characters")
        try:
            with _deadline():
                self._compiled = re.compile(text, re.MULTILINE)
        except (re.error, OverflowError, RecursionError) as error:
            raise BadPattern(f"{text!r:.80} is no regular expression: {error}") from error

    def found(self, emulator: Emulator, *, scrollback: bool) -> bool:
        """Whether the screen shows it now. Raises `BadPattern` when the search takes too long."""
        text = f"{emulator.scrollback_text()}\n{emulator.text()}" if scrollback else emulator.text()
        with _deadline():
            return self._compiled.search(text) is not None


@contextmanager
def _deadline() -> Generator[None]:
    """Raises `BadPattern` in the block after `_MATCH_SECONDS`, by a signal: re handles signals while it searches."""

    def expired(_number: int, _frame: object) -> None:
        raise BadPattern("this pattern takes too long on this screen")

    before = signal.signal(signal.SIGALRM, expired)
    signal.setitimer(signal.ITIMER_REAL, _MATCH_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
