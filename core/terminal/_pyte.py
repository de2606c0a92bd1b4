"""pyte as the type checkers see it: the parts that we build on, with their types.

pyte ships no ``py.typed``, so strict checkers read its names as unknown. This module is the one place that imports
it; for the checkers it declares what we use, at run time it is pyte itself. Methods that we replace are not listed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from sandtop.core.terminal._style import Pen

    class Margins(NamedTuple):
        """0-based first and last row of the scroll region."""

        top: int
        bottom: int

    class Cursor:
        """``x`` equal to the number of columns is pyte's mark for a pending wrap."""

        x: int
        y: int
        attrs: Pen
        hidden: bool

        def __init__(self, x: int, y: int, attrs: Pen = ...) -> None: ...

    class Screen:
        """Cursor motion, tab stops, titles and charset tables come from here; cells are ours."""

        columns: int
        lines: int
        cursor: Cursor
        mode: set[int]
        title: str
        icon_name: str
        tabstops: list[int]

        def __init__(self, columns: int, lines: int) -> None: ...
        def carriage_return(self) -> None: ...
        def linefeed(self) -> None: ...
        def tab(self) -> None: ...
        def cursor_up1(self, count: int | None = None) -> None: ...
        def cursor_down1(self, count: int | None = None) -> None: ...
        def set_title(self, param: str) -> None: ...
        def set_icon_name(self, param: str) -> None: ...
        def set_mode(self, *modes: int, private: bool = False) -> None: ...
        def reset_mode(self, *modes: int, private: bool = False) -> None: ...

    class ByteStream:
        """The tables of control functions, from which ours are built."""

        basic: dict[str, str]
        escape: dict[str, str]
        sharp: dict[str, str]
        csi: dict[str, str]
        use_utf8: bool

        def __init__(self, screen: Screen | None = None, strict: bool = True) -> None: ...
        def attach(self, screen: Screen) -> None: ...

    CHARSETS: dict[str, str]
else:
    from pyte.charsets import MAPS as CHARSETS
    from pyte.screens import Cursor, Margins, Screen
    from pyte.streams import ByteStream

__all__ = ["CHARSETS", "ByteStream", "Cursor", "Margins", "Screen"]
