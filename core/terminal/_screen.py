"""Modes, the alternate screen, saved cursors, charsets and titles, and what the terminal answers.

Sources: xterm ctlseqs ("Functions using CSI", "Operating System Commands"), the VT510 manual for DECSTR and DECRQM,
the synchronized output proposal for mode 2026. Everything else is read and has no effect.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import quote

from sandtop.core.terminal._edits import Editing
from sandtop.core.terminal._grid import AUTOWRAP, CURSOR_VISIBLE, INSERT, NEW_LINE, ORIGIN, PRIVATE
from sandtop.core.terminal._keyboard import Keyboard
from sandtop.core.terminal._pyte import Cursor
from sandtop.core.terminal._row import Row, SharedRow
from sandtop.core.terminal._style import Style

MAX_TITLE: Final = 1024
MAX_LINK: Final = 2048
MAX_LINK_ID: Final = 256
MAX_TITLES: Final = 10
MAX_REPLIES: Final = 1 << 16
"""Bytes of answers that are kept for a program that does not read them. Further answers are dropped."""

MOUSE: Final = (9, 1000, 1002, 1003)
MOUSE_ENCODINGS: Final = (1005, 1006, 1015)
_ALTERNATE: Final = (47, 1047, 1049)
_PLAIN_MODES: Final = (1, 5, 12, 40, 66, 1004, 1007, 2004, 2026)
_REMEMBERED: Final = (1016, 2031, 2048, 5522, 9001)
"""Modes of mouse, keys and reports that are kept for dumps of the screen and otherwise have no effect. A program that
asks is told that they are not known."""
_KNOWN_PRIVATE: Final = frozenset((6, 7, 25, *_PLAIN_MODES, *MOUSE, *MOUSE_ENCODINGS, *_ALTERNATE))
_ASCII: Final = "".join(map(chr, range(0x21, 0x7F)))
_FOREGROUND: Final = "rgb:d0d0/d0d0/d0d0"
_BACKGROUND: Final = "rgb:0000/0000/0000"


@dataclass(frozen=True, slots=True)
class Saved:
    """What DECSC keeps."""

    x: int = 0
    y: int = 0
    style: Style = Style()  # noqa: RUF009 - frozen
    charsets: tuple[str, ...] = ("B",) * 4
    charset: int = 0
    origin: bool = False


class EmulatedScreen(Editing):
    """The whole screen. It has every method that the tables of `Stream` name, and all state."""

    def __init__(self, columns: int, lines: int, scrollback: int) -> None:
        self.replies = bytearray()
        super().__init__(columns, lines, scrollback)

    def reset(self) -> None:
        super().reset()
        self.saved: list[Saved | None] = [None, None]
        self.titles: list[str] = []
        self.cursor_style = 0
        self.keyboard = Keyboard()

    def soft_reset(self) -> None:
        """DECSTR: modes, margins, charsets, rendition and saved cursor; not the text, and not the cursor's place."""
        self.mode -= {INSERT, ORIGIN, 1 << PRIVATE, 66 << PRIVATE}
        self.mode |= {AUTOWRAP, CURSOR_VISIBLE}
        self.cursor.attrs = self.pens.default
        self.margins = None
        self.charsets = ["B"] * 4
        self.charset = 0
        self.saved[self.alternate] = None
        self.cursor_style = 0
        self.update_plain()

    def bell(self) -> None:
        self.bells += 1

    # Modes.

    def set_mode(self, *modes: int, private: bool = False) -> None:
        for mode in modes:
            self._switch(mode, True, private)

    def reset_mode(self, *modes: int, private: bool = False) -> None:
        for mode in modes:
            self._switch(mode, False, private)

    def set_private_mode(self, *modes: int) -> None:
        self.set_mode(*modes, private=True)

    def reset_private_mode(self, *modes: int) -> None:
        self.reset_mode(*modes, private=True)

    def _switch(self, mode: int, on: bool, private: bool) -> None:
        if not private:
            if mode in (INSERT, NEW_LINE):
                self._put_mode(mode, on)
                self.update_plain()
        elif mode in _ALTERNATE:
            self._switch_alternate(mode, on)
        elif mode == 1048:
            (self.save_cursor if on else self.restore_cursor)()
        elif mode == 3:
            self._switch_columns()
        elif mode in _KNOWN_PRIVATE:
            for group in (MOUSE, MOUSE_ENCODINGS):
                if mode in group:
                    # xterm keeps one mouse protocol and one encoding: the last one set.
                    self.mode.difference_update(other << PRIVATE for other in group)
            self._put_mode(mode << PRIVATE, on)
            if mode == 6:
                self.cursor_position()
            elif mode == 5:
                self.mark_all()

        elif mode in _REMEMBERED:
            self._put_mode(mode << PRIVATE, on)

    def _switch_columns(self) -> None:
        """DECCOLM, where mode 40 allows it: clears screen and margins. The width stays, as the operator chose it."""
        if 40 << PRIVATE in self.mode:
            self.margins = None
            self.erase_in_display(2)
            self.cursor_position()

    def _put_mode(self, mode: int, on: bool) -> None:
        if on:
            self.mode.add(mode)
        else:
            self.mode.discard(mode)

    def _switch_alternate(self, mode: int, on: bool) -> None:
        if mode == 1049 and on:
            self.save_cursor()
        blank: list[Row] = [SharedRow(self.pens.default)] * self.lines
        if on != self.alternate:
            self.alternate = on
            if on:
                self.buffer, self.other = blank, self.buffer
            else:
                self.buffer, self.other = self.other, []
            self.mark_all()
        elif mode == 1049 and on:
            self.buffer = blank
            self.mark_all()
        if mode == 1049 and not on:
            self.restore_cursor()

    # The saved cursor: one for each buffer.

    def save_cursor(self) -> None:
        """DECSC."""
        cursor = self.cursor
        self.saved[self.alternate] = Saved(
            cursor.x, cursor.y, cursor.attrs.style, tuple(self.charsets), self.charset, ORIGIN in self.mode
        )

    def restore_cursor(self) -> None:
        """DECRC; home and plain when nothing was saved."""
        saved = self.saved[self.alternate] or Saved()
        self.cursor = Cursor(
            min(saved.x, self.columns), min(saved.y, self.lines - 1), self.pens.pen(saved.style)
        )
        self.charsets = list(saved.charsets)
        self.charset = saved.charset
        self._put_mode(ORIGIN, saved.origin)
        if saved.origin:
            self.cursor.y = min(max(self.cursor.y, self.top), self.bottom)
        self.update_plain()

    # Charsets (ISO 2022): only the DEC graphics and the British set change anything.

    def define_charset(self, code: str, mode: str) -> None:
        """Put a character set into G0 to G3, by the intermediate character ``mode``."""
        self.charsets["()*+".index(mode)] = code if code in "0A" else "B"
        self.update_plain()

    def shift_in(self) -> None:
        self._shift(0)

    def shift_out(self) -> None:
        self._shift(1)

    def lock_shift_2(self) -> None:
        self._shift(2)

    def lock_shift_3(self) -> None:
        self._shift(3)

    def _shift(self, charset: int) -> None:
        self.charset = charset
        self.update_plain()

    def application_keypad(self) -> None:
        self._put_mode(66 << PRIVATE, True)

    def numeric_keypad(self) -> None:
        self._put_mode(66 << PRIVATE, False)

    def push_key_flags(self, flags: int = 0) -> None:
        self.keyboard.push(self.alternate, flags)

    def pop_key_flags(self, count: int = 1) -> None:
        self.keyboard.pop(self.alternate, count)

    def change_key_flags(self, flags: int = 0, how: int = 1) -> None:
        self.keyboard.change(self.alternate, flags, how)

    def modify_keys(self, resource: int = 0, value: int | None = None) -> None:
        self.keyboard.modify(resource, value)

    def select_cursor_style(self, style: int = 0) -> None:
        """DECSCUSR: 1 and 2 block, 3 and 4 underline, 5 and 6 bar; odd ones blink; 0 is the user's own."""
        if style <= 6:
            self.cursor_style = style

    # Titles and links.

    def set_title(self, param: str) -> None:
        super().set_title(_printable(param)[:MAX_TITLE])

    def set_icon_name(self, param: str) -> None:
        super().set_icon_name(_printable(param)[:MAX_TITLE])

    def window_operation(self, operation: int = 0, which: int = 0) -> None:
        """XTWINOPS: the size in cells, and the stack of titles. Moving, resizing and reading titles is refused."""
        if operation == 18:
            self.reply(f"\x1b[8;{self.lines};{self.columns}t")
        elif operation == 22 and which in (0, 2):
            self.titles = [*self.titles, self.title][-MAX_TITLES:]
        elif operation == 23 and which in (0, 2) and self.titles:
            self.title = self.titles.pop()

    def hyperlink(self, parameters: str, uri: str) -> None:
        """OSC 8: what is printed from here on links to ``uri``; an empty one ends the link."""
        values = {name: value for name, _, value in (pair.partition("=") for pair in parameters.split(":"))}
        uri = _printable(uri)
        link = quote(uri, _ASCII) if len(uri) <= MAX_LINK else ""
        link = link if len(link) <= MAX_LINK else ""
        link_id = _printable(values.get("id", "")) if link else ""
        style = replace(self.pen.style, link=link, link_id=link_id if len(link_id) <= MAX_LINK_ID else "")
        self.cursor.attrs = self.pens.pen(style)
        self.update_plain()

    # Answers.

    def reply(self, text: str) -> None:
        """Keep an answer for the program."""
        data = text.encode()
        if len(self.replies) + len(data) <= MAX_REPLIES:
            self.replies += data

    def report_device_attributes(self, mode: int = 0) -> None:
        """DA1: a VT220 with colour."""
        if mode == 0:
            self.reply("\x1b[?62;22c")

    def report_secondary_attributes(self, mode: int = 0) -> None:
        """DA2: type, version, no ROM cartridge."""
        if mode == 0:
            self.reply("\x1b[>1;10;0c")

    def report_tertiary_attributes(self, mode: int = 0) -> None:
        """DA3: a unit id that says nothing."""
        if mode == 0:
            self.reply("\x1bP!|00000000\x1b\\")

    def report_version(self, mode: int = 0) -> None:
        """XTVERSION."""
        if mode == 0:
            self.reply("\x1bP>|sandtop\x1b\\")

    def report_device_status(self, mode: int = 0) -> None:
        """DSR: 5 is "are you well", 6 the cursor's place, from the scroll region in origin mode."""
        if mode == 5:
            self.reply("\x1b[0n")
        elif mode == 6:
            self.reply(f"\x1b[{self._place()}R")

    def report_private_status(self, mode: int = 0) -> None:
        """DECXCPR."""
        if mode == 6:
            self.reply(f"\x1b[?{self._place()}R")

    def _place(self) -> str:
        first = self.top if ORIGIN in self.mode else 0
        return f"{self.cursor.y - first + 1};{min(self.cursor.x, self.columns - 1) + 1}"

    def report_mode(self, mode: int = 0) -> None:
        """DECRQM for ANSI modes: 1 set, 2 reset, 0 not known."""
        state = (1 if mode in self.mode else 2) if mode in (INSERT, NEW_LINE) else 0
        self.reply(f"\x1b[{mode};{state}$y")

    def report_private_mode(self, mode: int = 0) -> None:
        """DECRQM for private modes."""
        if mode in _ALTERNATE:
            state = 1 if self.alternate else 2
        elif mode in _KNOWN_PRIVATE:
            state = 1 if mode << PRIVATE in self.mode else 2
        else:
            state = 0
        self.reply(f"\x1b[?{mode};{state}$y")

    def operating_system_command(self, command: str, end: str) -> None:
        """OSC, without introducer and terminator; answers end as the question did.

        Known are 0, 1, 2 (titles), 8 (links), and 10, 11, 12 with ``?``. All others have no effect; 52 because it would
        give the operator's clipboard to the program.
        """
        number, _, value = command.partition(";")
        if number in ("0", "1"):
            self.set_icon_name(value)
        if number in ("0", "2"):
            self.set_title(value)
        elif number == "8":
            parameters, found, uri = value.partition(";")
            if found:
                self.hyperlink(parameters, uri)
        elif number in ("10", "11", "12") and value == "?":
            colour = _BACKGROUND if number == "11" else _FOREGROUND
            self.reply(f"\x1b]{number};{colour}{end}")


def _printable(text: str) -> str:
    return "".join(character for character in text if character.isprintable())
