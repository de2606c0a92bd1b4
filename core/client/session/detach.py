"""Detach keys: the sequence that leaves a terminal without ending its program, in docker's syntax. No I/O."""

from __future__ import annotations

import re

from sandtop.core.errors import InvalidRequest

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from typing import Final

DETACH_KEYS: Final = "ctrl-]"
_MOST: Final = 8
_ALTERNATES: Final = r"(?::\d*){0,2}"
"""kitty's further codes of a key: with shift, and on the usual keyboard."""
_EVENT: Final = r"(?::[12])?(?:;[\d:]*)?"
"""kitty's kind of event, pressed or repeated, and the text that it makes."""
_BETWEEN: Final = re.compile(
    rb"\x1b\[(?:\d+(?::\d*){0,2};\d*:3(?:;[\d:]*)?[u~A-S]|574(?:4[1-9]|5[0-4])(?:;[\d:]*){0,2}u)"
)
"""A key that is let go, or one like ctrl itself: no key of a sequence, and no end of it."""
_CONTROL: Final = "@abcdefghijklmnopqrstuvwxyz[\\]^_"


class DetachKeys:
    """Finds the sequence in what is typed.

    A terminal that a program told to say more of its keys (kitty's protocol, xterm's modifyOtherKeys) sends
    ``CSI 93;5u`` or ``CSI 27;5;93~`` for ctrl-], and more where it was told to: ``CSI 93;133u`` with NumLock, on other
    keyboards ``CSI 1098::93;5u``, and when a key is let go. All of it is understood, or there would be no way out.
    """

    __slots__ = ("_held", "_keys", "text")

    def __init__(self, text: str = DETACH_KEYS) -> None:
        """``text`` is one key or several with commas between, each a character or ``ctrl-`` and one of `_CONTROL`.

        Raises `InvalidRequest`.
        """
        self.text = text
        keys = text.split(",")
        if len(keys) > _MOST:
            raise InvalidRequest(f"detach keys are at most {_MOST}, not {len(keys)}")
        self._keys = [_encodings(key, text) for key in keys]
        self._held: list[bytes] = []

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """What of ``data`` goes to the program, and whether the sequence was typed; what follows it is dropped.

        The beginning of a sequence of several keys is held back until the next key shows what it is.
        """
        out = bytearray()
        while data:
            if (found := self._keys[len(self._held)].match(data)) is not None:
                data = data[found.end() :]
                self._held.append(found[0])
                if len(self._held) == len(self._keys):
                    self._held.clear()
                    return bytes(out), True
            elif self._held and (found := _BETWEEN.match(data)) is not None:
                out += found[0]
                data = data[found.end() :]
            elif self._held:
                # not it: the first key was the program's, and another try may begin with the second
                first, *rest = self._held
                self._held.clear()
                out += first
                data = b"".join(rest) + data
            else:
                end = self._next_start(data)
                out += data[:end]
                data = data[end:]
        return bytes(out), False

    def _next_start(self, data: bytes) -> int:
        """Where, behind its first byte, a sequence may begin next."""
        found = self._keys[0].search(data, 1)
        return len(data) if found is None else found.start()


def _encodings(key: str, text: str) -> re.Pattern[bytes]:
    """What terminals send for ``key``, one of the keys of ``text``."""
    if len(key) == 1 and key.isascii() and key.isprintable():
        code, shift = ord(key), ord(key.lower()) != ord(key)
        # by itself, or as what shift makes of another key
        plain = rf"\x1b\[{code}{_ALTERNATES}(?:;(?:{_modifiers(0)})?{_EVENT})?u"
        shifted = (
            rf"\x1b\[(?:{code + 32 if shift else code}|\d+:{code}){_ALTERNATES};(?:{_modifiers(1)}){_EVENT}u"
        )
        return re.compile(rf"{re.escape(key)}|{plain}|{shifted}".encode())
    name = key.lower().removeprefix("ctrl-")
    if len(key) == len("ctrl-") + 1 and len(name) == 1 and name in _CONTROL:
        byte, code, ctrl = ord(name.upper()) & 0x1F, ord(name), _modifiers(4)
        kitty = rf"\x1b\[(?:{code}{_ALTERNATES}|\d+:\d*:{code});(?:{ctrl}){_EVENT}u"
        return re.compile(rf"\x{byte:02x}|{kitty}|\x1b\[27;(?:{ctrl});{code}~".encode())
    raise InvalidRequest(
        f"{key!r:.40} in the detach keys {text!r:.60} is no key",
        hint="such as ctrl-] or ctrl-p,ctrl-q: characters, or ctrl- and a letter or one of @ [ \\ ] ^ _",
    )


def _modifiers(bits: int) -> str:
    """kitty's and xterm's number for modifiers, also with CapsLock (64) and NumLock (128) on."""
    return "|".join(str(1 + bits + locks) for locks in (0, 64, 128, 192))
