"""Making what a sandbox wrote safe to show on the operator's terminal."""

from __future__ import annotations

import codecs

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from typing import Final

_KEPT: Final = "\n\t\r"
_CARET: Final = {
    code: f"^{chr(code ^ 0x40)}" for code in (*range(0x20), 0x7F) if chr(code) not in _KEPT
}  # as cat -v and every terminal's own echo write them
_C1: Final = {code: f"\\x{code:02x}" for code in range(0x80, 0xA0)}
_CONTROLS: Final[dict[int, str]] = {**_CARET, **_C1}


class Neutraliser:
    """Turns a stream of bytes into text without control sequences: newlines, tabs, carriage returns and UTF-8 stay.

    A control character shows as in ``cat -v`` (``^[`` for escape), a byte that is not UTF-8 as ``\\xNN``.
    """

    __slots__ = ("_decoder",)

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")

    def feed(self, data: bytes, *, final: bool = False) -> bytes:
        """What to write for ``data``. A character cut in two is held back until ``final``."""
        return self._decoder.decode(data, final).translate(_CONTROLS).encode()


def visible(value: object) -> str:
    """``value`` as one line of printable characters, for tables and messages."""
    text = str(value)
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "backslashreplace").decode("ascii")
        for char in text
    )
