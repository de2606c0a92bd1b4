"""Making what a sandbox wrote safe to show on the operator's terminal."""

from __future__ import annotations

import codecs

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from typing import Final

_KEPT: Final = "\n\t"
_CARET: Final = {
    code: f"^{chr(code ^ 0x40)}" for code in (*range(0x20), 0x7F) if chr(code) not in _KEPT
}  # as cat -v and a terminal's echo write them
_C1: Final = {code: f"\\x{code:02x}" for code in range(0x80, 0xA0)}
FORMAT: Final = (
    0xAD, (0x600, 0x605), 0x61C, 0x6DD, 0x70F, (0x890, 0x891), 0x8E2, 0x180E, (0x200B, 0x200F), (0x2028, 0x202E),
    (0x2060, 0x206F), 0xFEFF, (0xFFF9, 0xFFFB), 0x110BD, 0x110CD, (0x13430, 0x1343F), (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A), (0xE0000, 0xE007F),
)  # fmt: skip
"""Characters that are invisible and change how others look: bidirectional overrides, zero-width characters, tags
(Unicode 16, category Cf with the reserved among them), and the separators of lines and paragraphs (Zl, Zp)."""
_JOINERS: Final = "\u200c\u200d"
"""They join emoji, and shape letters of Persian and Indic scripts; between ASCII letters they do nothing."""


def _shown() -> dict[int, str]:
    spans = [span if isinstance(span, tuple) else (span, span) for span in FORMAT]
    codes = [code for first, last in spans for code in range(first, last + 1)]
    return {code: f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}" for code in codes}


_INVISIBLE: Final = _shown()
_CONTROLS: Final[dict[int, str]] = {**_CARET, **_C1, **_INVISIBLE}
_WITH_RETURNS: Final[dict[int, str]] = {code: text for code, text in _CONTROLS.items() if chr(code) != "\r"}


class Neutraliser:
    """Turns a stream of bytes into text without control sequences: newlines, tabs and UTF-8 stay.

    A control character is written as in ``cat -v`` (``^[`` for escape), a byte that is not UTF-8 as ``\\xNN``, and a
    character of `FORMAT` as ``\\uNNNN``. A carriage return stays before a newline, as programs on terminals write it.
    Elsewhere what follows would cover what was there, so it stays only with ``returns``.
    """

    __slots__ = ("_decoder", "_held", "_last", "_table")

    def __init__(self, *, returns: bool = False) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._table = _WITH_RETURNS if returns else _CONTROLS
        self._held = ""
        self._last = ""

    def feed(self, data: bytes, *, final: bool = False) -> bytes:
        """The text for ``data``. A character whose form depends on the next is kept for the next call, or ``final``."""
        text = self._held + self._decoder.decode(data, final)
        kept = text if final else text.rstrip("\r" + _JOINERS)
        self._held = text[len(kept) :]
        if len(self._held) > _MOST_HELD:
            kept, self._held = text, ""
        if not kept:
            return b""
        before, self._last = self._last, kept[-1]
        if any(joiner in kept for joiner in _JOINERS):
            return self._show(_joined(before, kept)).translate(_BACK).encode()
        return self._show(kept).encode()

    def _show(self, text: str) -> str:
        return "\r\n".join([line.translate(self._table) for line in text.split("\r\n")])


_MOST_HELD: Final = 16
"""Characters that are kept for the next call at most."""
_PRIVATE: Final = dict(zip(_JOINERS, "\udffe\udfff", strict=True))
"""Stand-ins for joiners that stay: surrogates, which a decoder never makes."""
_BACK: Final = {ord(stand_in): joiner for joiner, stand_in in _PRIVATE.items()}


def shown(text: str) -> str:
    """``text``, whose only control sequences are colours, with its invisible characters made visible."""
    if text.isascii():
        return text
    return _joined("", text).translate(_INVISIBLE).translate(_BACK)


def _joined(before: str, text: str) -> str:
    """``text``, which follows ``before``, with stand-ins for the joiners between two characters beyond ASCII."""
    out: list[str] = []
    previous = before
    for char, following in zip(text, [*text[1:], ""], strict=True):
        stays = char in _PRIVATE and _joins(previous) and _joins(following)
        out.append(_PRIVATE[char] if stays else char)
        previous = char
    return "".join(out)


def _joins(char: str) -> bool:
    return not char.isascii() and char not in _PRIVATE


def visible(value: object) -> str:
    """``value`` as one line of printable characters, for tables and messages."""
    text = str(value)
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "backslashreplace").decode("ascii")
        for char in text
    )
