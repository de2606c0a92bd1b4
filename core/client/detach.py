"""Detach keys: the sequence that leaves a terminal without ending its program, in docker's syntax. No I/O."""

from __future__ import annotations

from sandtop.core.errors import InvalidRequest

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from typing import Final

DETACH_KEYS: Final = "ctrl-]"
_MOST: Final = 8
_CONTROL: Final = "@abcdefghijklmnopqrstuvwxyz[\\]^_"


class DetachKeys:
    """Finds the sequence in what is typed.

    A terminal that a program told to say more of its keys (kitty's protocol, xterm's modifyOtherKeys) sends
    ``CSI 93;5u`` or ``CSI 27;5;93~`` for ctrl-]: those are found too, or there would be no way out.
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
            key = next((key for key in self._keys[len(self._held)] if data.startswith(key)), None)
            if key is not None:
                data = data[len(key) :]
                self._held.append(key)
                if len(self._held) == len(self._keys):
                    self._held.clear()
                    return bytes(out), True
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
        found = (data.find(key, 1) for key in self._keys[0])
        return min((at for at in found if at > 0), default=len(data))


def _encodings(key: str, text: str) -> tuple[bytes, ...]:
    """What terminals send for ``key``, one of the keys of ``text``."""
    if len(key) == 1 and key.isascii() and key.isprintable():
        return (key.encode(),)
    name = key.lower().removeprefix("ctrl-")
    if len(key) == len("ctrl-") + 1 and len(name) == 1 and name in _CONTROL:
        code = ord(name.upper()) & 0x1F
        return bytes([code]), f"\x1b[{ord(name)};5u".encode(), f"\x1b[27;5;{ord(name)}~".encode()
    raise InvalidRequest(
        f"{key!r:.40} in the detach keys {text!r:.60} is no key",
        hint="such as ctrl-] or ctrl-p,ctrl-q: characters, or ctrl- and a letter or one of @ [ \\ ] ^ _",
    )
