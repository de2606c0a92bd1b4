"""Parsing bytes into calls of the screen's methods: pyte's tables, with a parser made of regular expressions."""

from __future__ import annotations

import codecs
import inspect
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

from sandtop.core.terminal._flood import flood
from sandtop.core.terminal._grammar import (
    C0_INSIDE,
    C1,
    C1_PRESENT,
    CSI_PARTS,
    MAX_SEQUENCE,
    TOKENS,
    is_endless,
    open_tail,
    shorten,
)
from sandtop.core.terminal._pyte import ByteStream

if TYPE_CHECKING:
    from sandtop.core.terminal._screen import EmulatedScreen

_MAX_CACHED: Final = 4096
_LONGEST_CSI: Final = MAX_SEQUENCE - len("\x1b[")
_MAX_NUMBER: Final = 9999
_MAX_NUMBERS: Final = 32
_MAX_STEP: Final = 64
_REACH: Final = (1 << 12, 1 << 20)
"""Characters that `flood` is given at first, and at most, so that little time is lost when it finds no lines there."""

_Action: TypeAlias = Callable[[], object]


def _nothing() -> None:
    """What an unknown sequence does."""


class Stream(ByteStream):
    """Parses what a program writes and calls the screen.

    The tables are pyte's with ours on top: final characters, after any prefix and intermediates, to method names.
    """

    escape = {  # noqa: RUF012 - pyte's own form
        **ByteStream.escape,
        "E": "next_line", "=": "application_keypad", ">": "numeric_keypad",
        "n": "lock_shift_2", "o": "lock_shift_3",
    }  # fmt: skip
    csi = {  # noqa: RUF012
        **ByteStream.csi,
        "`": "cursor_to_column", "e": "line_position_forward", "I": "cursor_tabs", "Z": "cursor_back_tabs",
        "S": "scroll_up", "T": "scroll_down",
        "s": "save_cursor", "u": "restore_cursor", "t": "window_operation", "!p": "soft_reset",
        " q": "select_cursor_style", "?J": "erase_in_display", "?K": "erase_in_line", "?h": "set_private_mode",
        "?l": "reset_private_mode", "?n": "report_private_status", ">c": "report_secondary_attributes",
        "=c": "report_tertiary_attributes", ">q": "report_version", "$p": "report_mode",
        "?$p": "report_private_mode", ">u": "push_key_flags", "<u": "pop_key_flags", "=u": "change_key_flags",
        ">m": "modify_keys",
    }  # fmt: skip
    del csi["'"]  # pyte's misprint for the grave accent of HPA

    def __init__(self, screen: EmulatedScreen) -> None:
        super().__init__()
        self._screen = screen
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._tail = ""
        self._printed = False
        self._reach = _REACH[0]
        self._actions: dict[str, _Action] = {}
        self._controls: dict[str, _Action] = {
            character: getattr(screen, name) for character, name in self.basic.items()
        }
        self._controls["\r\n"] = self._new_line

    @property
    def unfinished(self) -> bytes:
        """The bytes of a sequence or character that is not complete yet; fed to another stream, it continues there."""
        return self._tail.encode() + self._decoder.getstate()[0]

    @property
    def printed(self) -> bool:
        """Whether the last thing read was a graphic character, which REP would repeat."""
        return self._printed

    def feed(self, data: bytes) -> None:
        """Read ``data``. Never raises; sequences may be cut anywhere."""
        text = self._decoder.decode(data)
        if not text.isascii() and C1_PRESENT.search(text):
            text = text.translate(C1)
        text = self._tail + text
        cut = open_tail(text)
        self._tail = shorten(text[cut:])
        self._run(text[:cut] if cut < len(text) else text)

    def _run(self, text: str) -> None:
        """Read whole sequences: lines at the bottom of the screen by `flood`, everything else token by token."""
        screen, at, step = self._screen, 0, 1
        while at < len(text):
            after = flood(screen, text, at, at + self._reach)
            if after > at:
                at, step = after, 1
                self._reach = min(2 * self._reach, _REACH[1])
                self._printed = False
                continue
            # When `flood` finds no lines it is tried less and less often.
            self._reach = _REACH[0]
            end = at
            for _ in range(step):
                end = text.find("\r\n", end) + 2
                if end < 2:
                    end = len(text)
                    break
            part = text[at:end]
            inside = open_tail(part)
            if inside < len(part):
                # The break is inside a string: go only as far as that begins, or from there to the end.
                part = part[:inside] if inside else text[at:]
            self._tokens(part)
            at, step = at + len(part), min(2 * step, _MAX_STEP)

    def _tokens(self, text: str) -> None:
        screen = self._screen
        cursor, buffer, columns = screen.cursor, screen.buffer, screen.columns
        add_dirty, actions, controls = screen.mark, self._actions, self._controls
        before = self._printed
        for printed, csi, control, other in TOKENS.findall(text):
            if printed:
                x = cursor.x
                end = x + len(printed)
                if end <= columns and screen.plain and printed.isascii():
                    row = buffer[cursor.y]
                    cells = row.cells
                    if not cells:
                        row = screen.own(cursor.y)
                        cells = row.cells
                    if row.wide:
                        row.mend(x, end)
                    cells[x:end] = map(cursor.attrs.get, printed)
                    cursor.x = end
                    add_dirty(cursor.y)
                else:
                    screen.draw(printed, before)
                before = True
            if csi:
                if len(csi) > _LONGEST_CSI:
                    pass  # without effect, as it is when it comes in pieces
                elif csi[-1] == "m":
                    cursor.attrs = cursor.attrs.after[csi]
                elif csi[-1] == "b":
                    self._repeat(before, csi)
                else:
                    (actions.get(csi) or self._resolve(csi))()
                    cursor, buffer = screen.cursor, screen.buffer
            elif control:
                (controls.get(control) or _nothing)()
            elif other:
                self._other(other)
                cursor, buffer = screen.cursor, screen.buffer
            else:
                continue
            before = False
        self._printed = before

    def _new_line(self) -> None:
        self._screen.cursor.x = 0
        self._screen.index()

    def _repeat(self, before: bool, csi: str) -> None:
        """REP: the graphic character that came just before, again (ECMA-48 §8.3.103)."""
        if before:
            self._screen.repeat(max(1, *_numbers(csi[:-1])[:1]))

    def _resolve(self, csi: str) -> _Action:
        """What ``CSI csi`` does. It is cached, because programs use few different sequences."""
        parts = CSI_PARTS.match("\x1b[" + csi)
        action: _Action = _nothing
        if parts and ":" not in parts[2]:
            name = self.csi.get(parts[1] + parts[3] + parts[4])
            if name:
                handler = getattr(self._screen, name)
                action = partial(handler, *_numbers(parts[2])[: _takes(handler)])
        if len(csi) <= 32:
            if len(self._actions) >= _MAX_CACHED:
                self._actions.clear()
            self._actions[csi] = action
        return action

    def _other(self, sequence: str) -> None:
        """Strings, escape sequences, and CSI with more than numbers in it."""
        if is_endless(sequence):
            return
        kind = sequence[1:2]
        if kind == "]":
            for end in ("\x07", "\x1b\\"):
                if sequence.endswith(end):
                    self._screen.operating_system_command(sequence[2 : -len(end)], end)
        elif kind in "PX^_":
            return
        else:
            # Control characters inside a sequence act at once; the sequence goes on after them.
            for character in C0_INSIDE.findall(sequence):
                self._controls.get(character, _nothing)()
            sequence = C0_INSIDE.sub("", sequence)
            if kind == "[":
                self._csi(sequence[2:])
            else:
                self._escape(sequence[1:])

    def _csi(self, csi: str) -> None:
        if csi[-1:] != "m" or csi[:1] == ">":
            (self._actions.get(csi) or self._resolve(csi))()
        elif not csi[:-1].strip("0123456789:;"):
            self._screen.cursor.attrs = self._screen.cursor.attrs.after[csi]

    def _escape(self, sequence: str) -> None:
        screen = self._screen
        if len(sequence) == 1 and sequence in self.escape:
            getattr(screen, self.escape[sequence])()
        elif len(sequence) == 2 and sequence[0] == "#" and sequence[1] in self.sharp:
            getattr(screen, self.sharp[sequence[1]])()
        elif len(sequence) == 2 and sequence[0] in "()*+":
            screen.define_charset(sequence[1], sequence[0])


def _numbers(parameters: str) -> list[int]:
    return [
        min(int(number), _MAX_NUMBER) if number.isdigit() else 0
        for number in parameters.split(";")[:_MAX_NUMBERS]
    ]


def _takes(handler: Callable[..., object]) -> int:
    """How many numbers a handler takes; a sequence with more of them is still understood."""
    parameters = inspect.signature(handler).parameters.values()
    if any(parameter.kind is inspect.Parameter.VAR_POSITIONAL for parameter in parameters):
        return _MAX_NUMBERS
    return sum(parameter.name != "private" for parameter in parameters)
