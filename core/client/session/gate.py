"""The gate between a sandbox's program and the operator's terminal: it passes what stays on the screen. No I/O.

It reads as terminals do (ECMA-48, ECMA-35 and the parser states of the VT500), control functions in both forms:
``ESC [`` and C1, which xterm and VTE take in UTF-8, too. A control function is held back until it is whole, so that of
a refused one nothing arrives. A string passes in pieces once its beginning has told what it is. Whatever may begin a
control function in any reading of the bytes begins one here: nothing hides in the payload of a string.
"""

from __future__ import annotations

import re

from .refusals import (
    APC,
    DCS,
    MODES_MUTE,
    MODES_NEVER,
    MODES_OF_WINDOW,
    MOST_TITLES,
    OSC,
    OSC_MUTE,
    OSC_OF,
    PALETTE,
    POP_TITLE,
    PROGRESS,
    PUSH_TITLE,
    SIXEL,
    TITLE,
    WINDOW_ASKED,
    WINDOW_NEVER,
)
from .resets import PREFERRED, PUSH, keep

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from typing import Final

_WIDE: Final = (
    rb"(?!\xc2[\x80-\x9f])[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"
)
"""A character beyond ASCII that is no C1 control."""
_SAFE: Final = re.compile(
    rb"(?:[\x00-\x04\x06-\x1a\x1c-\x7f]++"  # all but ENQ, which asks
    rb"|\x1b\[[0-9;:]{0,64}+[@-bd-hj-mo-su-wyz{|}~`]"
    rb"|\x1b\[\?(?:25|2026)[hl]"
    rb"|\x1b(?:[78=>DEHM]|[()][0AB])"
    rb"|" + _WIDE + rb")*+"
)
"""What needs no look: text, and the control functions that make up nearly all output. None of it asks for an answer."""
_PAYLOAD: Final = re.compile(rb"(?:[\x20-\x7e]++|" + _WIDE + rb")*+")
_UNIT: Final = re.compile(rb"[\x00-\x7f]|\xc2[\x80-\x9f]|" + _WIDE)
_PARTIAL: Final = re.compile(rb"(?:[\xc2-\xdf]|[\xe0-\xef][\x80-\xbf]?|[\xf0-\xf4][\x80-\xbf]{0,2})\Z")
_INSIDE: Final = re.compile(rb"[\x20-\x3f]*+")
_CSI: Final = re.compile(rb"(?:\x1b\[|\xc2?\x9b)([<-?]?)([0-9:;]*+)([ -/]*+)([@-~])\Z")
_IGNORED: Final = bytes([*range(0x1B), *range(0x1C, 0x20), 0x7F])
"""Characters that take no part in the control function that they stand in."""
_LONGEST: Final = 4096
"""Bytes of a control function; one that is longer is dropped."""
_HEADS: Final = {"]": 32, "P": 32, "_": 512}
"""By the kind of a control string: after how many of its bytes it is decided whether it passes."""
_TEXT: Final = 0x100
_BEL, _LF, _CR, _CAN, _SUB, _ESC, _ST = 0x07, 0x0A, 0x0D, 0x18, 0x1A, 0x1B, 0x9C
_STRINGS: Final = frozenset("]PX^_k")
"""OSC, DCS, SOS, PM, APC; and the title of tmux and screen."""


class Gate:
    """Follows one stream, cut anywhere. Holds no more than one control function.

    ``allowed`` are kinds of `refusals.KINDS`. With ``mute`` nobody carries the terminal's answers back, so that what
    asks for one is refused too.

    Attributes:
        asked: something passed that may have made the terminal answer.
        plain: nothing but text came, which switches nothing on, whatever passed of it.
        preferred: the modes of `resets.PREFERRED` that output touched.
        titles: how many titles are on the terminal's stack; the lowest is the operator's own.
        touched: what of `resets.TOUCHED` output has changed.
    """

    __slots__ = (
        "_allowed", "_function", "_head", "_kind", "_mute", "_out", "_passing", "_rest", "_state", "asked",
        "plain", "preferred", "titles", "touched",
    )  # fmt: skip

    def __init__(self, allowed: frozenset[str] = frozenset(), *, mute: bool = False) -> None:
        self.asked = False
        self.plain = True
        self.preferred: set[int] = set()
        self.titles = 0
        self.touched: set[str] = set()
        self._allowed = allowed
        self._mute = mute
        self._state = self._ground
        self._rest = b""
        self._out = bytearray()
        self._function = bytearray()
        self._kind = ""
        self._head: bytearray | None = None
        self._passing = False

    @property
    def midway(self) -> bool:
        """Whether the terminal is within a string that passes: nothing of others may come in between."""
        return self._passing

    @property
    def held(self) -> int:
        """Bytes that are held back."""
        return len(self._rest) + len(self._function) + len(self._head or b"")

    def feed(self, data: bytes) -> bytes:
        """What of ``data`` passes now."""
        data, self._rest = self._rest + data, b""
        self._out = bytearray()
        at = 0
        while at < len(data):
            at = self._state(data, at)
        return bytes(self._out)

    def entitle(self) -> bytes:
        """What has the terminal keep the operator's own title, before it is changed."""
        self.touched.add("title")
        push = b"" if self.titles else PUSH
        self.titles = max(1, self.titles)
        return push

    def _next(self, data: bytes, at: int) -> tuple[int, int]:
        """The code of the character at ``at``, and where it ends.

        A C1 control counts as its code; so does a byte that is one, and no part of a character: in a terminal that
        does not take UTF-8 it acts. Any other character is `_TEXT`. What is cut off is kept, as -1.
        """
        unit = _UNIT.match(data, at)
        if unit is None:
            if _PARTIAL.match(data, at):
                self._rest = data[at:]
                return -1, len(data)
            return (data[at] if data[at] < 0xA0 else _TEXT), at + 1
        end = unit.end()
        if end - at == 1:
            return data[at], end
        return (data[at + 1] if data[at] == 0xC2 and data[at + 1] < 0xA0 else _TEXT), end

    # Text.

    def _ground(self, data: bytes, at: int) -> int:
        safe = _SAFE.match(data, at)
        if safe is not None and safe.end() > at:
            run = data[at : safe.end()]
            self._out += run
            self.plain = self.plain and b"\x1b" not in run and b"\x0e" not in run
            return safe.end()
        self.plain = False
        code, end = self._next(data, at)
        if code == _ESC:
            self._begin(b"\x1b")
        elif 0x80 <= code < 0xA0:
            self._control(code, data[at:end])
        elif code >= 0:
            self._answered(data[at:end], asks=False)
        return end

    def _begin(self, function: bytes) -> None:
        self._function = bytearray(function)
        self._state = self._escape

    def _control(self, code: int, form: bytes) -> None:
        """A C1 control: the beginning of more, or whole in itself."""
        self._function = bytearray(form)
        self._introduce(chr(code - 0x40))

    def _introduce(self, kind: str) -> None:
        """``kind`` is the final character of an escape sequence without intermediates, which stands in `_function`."""
        if kind == "[":
            self._state = self._csi
        elif kind in _STRINGS:
            self._kind = kind
            self._head = bytearray() if kind in _HEADS else None
            self._state = self._string
        else:
            self._state = self._ground
            self._answered(bytes(self._function), asks=kind == "Z")  # DECID

    def _answered(self, function: bytes, *, asks: bool) -> None:
        """Pass ``function``; with ``asks`` only where an answer finds its way."""
        if self._mute and (asks or b"\x05" in function):
            return
        self.asked = self.asked or _SAFE.fullmatch(function) is None
        self._out += function

    # Escape sequences and control sequences.

    def _escape(self, data: bytes, at: int) -> int:
        code, end = self._next(data, at)
        if self._interrupted(code, data[at:end]):
            return end
        self._function += data[at:end]
        if 0x30 <= code < 0x7F:
            sequence = bytes(self._function).translate(None, _IGNORED)
            if len(sequence) == 2:
                self._introduce(chr(code))
                return end
            self._state = self._ground
            # a character set in which C1 controls are parts of characters, and the other way round (ECMA-35 §15)
            if not sequence.startswith(b"\x1b%") or sequence == b"\x1b%G":
                self._answered(bytes(self._function), asks=False)
        elif len(self._function) > _LONGEST:
            self._state = self._ground
        return end

    def _interrupted(self, code: int, form: bytes) -> bool:
        """Whether ``form``, with the code ``code``, ends the control function that it comes in, or is not yet whole."""
        if code < 0:
            return True
        if code == _ESC:
            self._begin(b"\x1b")
        elif 0x80 <= code < 0xA0:
            self._control(code, form)
        elif code in (_CAN, _SUB, _TEXT):
            self._state = self._ground
            self._out += form
        else:
            return False
        return True

    def _csi(self, data: bytes, at: int) -> int:
        inside = _INSIDE.match(data, at)
        if inside is not None and inside.end() > at:
            end = inside.end()
        else:
            code, end = self._next(data, at)
            if self._interrupted(code, data[at:end]):
                return end
            if 0x40 <= code < 0x7F:
                self._state = self._ground
                if len(self._function) < _LONGEST:
                    self._function += data[at:end]
                    self._decide(bytes(self._function))
                return end
        if len(self._function) < _LONGEST:
            self._function += data[at:end]
        return end

    def _decide(self, function: bytes) -> None:
        """Pass or refuse a whole control sequence."""
        parts = _CSI.match(function.translate(None, _IGNORED))
        if parts is None:
            return
        mark, parameters, between, final = parts.groups()
        kind = between + final
        if kind == b"i":
            passes = "print" in self._allowed
        elif kind == b"t":
            passes = self._window(mark, parameters)
        elif kind in (b"$|", b"*|"):
            passes = "window" in self._allowed
        elif kind == b"*y":  # a checksum of the screen tells what stood on it before
            passes = False
        elif mark == b"?" and kind in (b"h", b"l"):
            function, passes = self._switch(function, parameters, final), True
        else:
            passes = True
        if passes:
            asks = kind in (b"c", b"n", b"x", b"$p", b"$u", b"$w", b"&u", b"t") or (mark, kind) in (
                (b">", b"q"), (b"?", b"u"), (b"?", b"S"),
            )  # fmt: skip
            self._answered(function, asks=asks)

    def _window(self, mark: bytes, parameters: bytes) -> bool:
        if mark:
            return "window" in self._allowed
        if parameters in PUSH_TITLE:
            self._out += self.entitle()
            if self.titles > MOST_TITLES:
                return False
            self.titles += 1
            return True
        if parameters in POP_TITLE:
            if self.titles < 2:  # the lowest is not the program's
                return False
            self.titles -= 1
            return True
        if parameters in WINDOW_ASKED:
            return True
        return "window" in self._allowed and _numbers(parameters)[:1] not in WINDOW_NEVER

    def _switch(self, function: bytes, parameters: bytes, final: bytes) -> bytes:
        """What passes of the setting or resetting of private modes."""
        numbers = _numbers(parameters)
        never = MODES_NEVER if "window" in self._allowed else MODES_NEVER | MODES_OF_WINDOW
        never |= MODES_MUTE if self._mute else frozenset()
        for number in sorted(PREFERRED.intersection(numbers) - self.preferred - never):
            self.preferred.add(number)
            self._out += keep(number)
        if final == b"l" or never.isdisjoint(numbers):
            return function
        left = b";".join(b"%d" % number for number in numbers if number not in never)
        return b"\x1b[?%sh" % left if left else b""

    # Strings.

    def _string(self, data: bytes, at: int) -> int:
        """The payload of a string: what it is held back for, what passes of it, or nothing."""
        run = _PAYLOAD.match(data, at)
        if run is not None and run.end() > at:
            end = run.end()
            if self._head is not None:
                self._head += data[at:end]
                if len(self._head) >= _HEADS[self._kind]:
                    self._open(whole=False)
            elif self._passing:
                self._out += data[at:end]
            return end
        code, end = self._next(data, at)
        if code == _ESC:
            self._state = self._string_escape
        elif code == _ST or (code == _BEL and self._kind in "]k"):
            self._close(data[at:end])
        elif 0x80 <= code < 0xA0:
            self._abort(b"\x1b\\")
            self._control(code, data[at:end])
        elif code in (_CAN, _SUB):
            self._abort(b"\x18")
        elif self._kind == "k" and code in (_LF, _CR):
            self._abort(b"")
            self._out += data[at:end]
        return end

    def _string_escape(self, data: bytes, at: int) -> int:
        if data[at] == 0x5C:
            self._close(b"\x1b\\")
            return at + 1
        self._abort(b"\x1b\\")
        self._begin(b"\x1b")
        return at

    def _open(self, *, whole: bool) -> None:
        """Decide by the head whether the string passes; ``whole`` when there is no more of it."""
        assert self._head is not None
        head, self._head = bytes(self._head), None
        if self._passes(head, whole=whole):
            if self._kind == "]":
                self._note(head)
            self.asked = True
            self._passing = True
            self._out += self._function + head

    def _passes(self, head: bytes, *, whole: bool) -> bool:
        if self._kind == "]":
            known = (OSC_MUTE if self._mute else OSC).match(head) is not None
            return known or any(OSC_OF[name].match(head) for name in self._allowed & OSC_OF.keys())
        if self._kind == "P":
            return (SIXEL if self._mute else DCS).match(head) is not None
        found = None if self._mute else APC.match(head)
        return found is not None and (whole or found[0].endswith(b";"))

    def _note(self, head: bytes) -> None:
        """Remember what an operating system command changes."""
        if TITLE.match(head):
            self._out += self.entitle()
        elif PALETTE.match(head):
            self.touched.add("palette")
        elif PROGRESS.match(head):
            self.touched.add("progress")

    def _close(self, end: bytes) -> None:
        """The string ends with ``end``."""
        if self._head is not None:
            self._open(whole=True)
        self._abort(end)

    def _abort(self, end: bytes) -> None:
        """The string ends without its terminator; ``end`` tells a terminal that takes part in it."""
        if self._passing:
            self._out += end
        self._passing, self._head = False, None
        self._state = self._ground


def _numbers(parameters: bytes) -> list[int]:
    return [int(number) for number in parameters.replace(b":", b";").split(b";") if number]
