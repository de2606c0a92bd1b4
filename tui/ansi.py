"""Lines of programs' output as text to show: colours are kept, all other control sequences are taken out."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from rich.ansi import AnsiDecoder
from rich.style import Style

MOST: Final = 16 * 1024
"""Bytes of a line that are shown; of the rest only the number is."""
_SGR: Final = re.compile(r"\x1b\[[0-9;:]*m")
_SEQUENCE: Final = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?"  # OSC, DCS, SOS, PM, APC, also when cut short
    r"|\x1b[ -/]*[0-~]"
    r"|[\x80-\x9f]|\x1b"
)
_OTHER: Final = re.compile(r"[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f]")
_FORMAT: Final = re.compile("[\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]")
_MARK: Final = "[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u20d0-\u20ff\ufe20-\ufe2f]"
_MARKS: Final = re.compile(f"({_MARK}{{3}}){_MARK}+")
_TAB: Final = 8
_DIM: Final = Style(dim=True)
_CALM: Final = Style(blink=False, blink2=False, conceal=False)


def plain(line: bytes) -> str:
    """The text of ``line`` without its colours, as filters and searches see it."""
    if line.isascii() and b"\x1b" not in line:
        text = line.decode("ascii")
        return text if text.isprintable() else _harmless(text)
    return _harmless(_SGR.sub("", line[:MOST].decode(errors="replace")))


def _harmless(text: str) -> str:
    text = _overwritten(text)
    if "\x1b" in text or not text.isascii():
        text = _SEQUENCE.sub("", text)
        text = _MARKS.sub(r"\1", _FORMAT.sub("", text))
    text = _OTHER.sub("", text)
    if "\t" in text:
        text = text.expandtabs(_TAB)
    return text if text.isprintable() else "".join(c if c.isprintable() else "�" for c in text)


def _overwritten(text: str) -> str:
    """What is behind the last carriage return: a progress bar overwrites its line, and shows what it wrote last."""
    text = text.rstrip("\r")
    return text.rpartition("\r")[2] if "\r" in text else text


Piece = tuple[str, Style | None]
"""Text and, where the program gave it one, its style."""


def styled(line: bytes) -> list[Piece]:
    """The text of ``line`` in pieces of one style each."""
    more = len(line) - MOST
    text = _overwritten(line[:MOST].decode(errors="replace"))
    pieces: list[Piece] = _coloured(text) if "\x1b" in text else [(_harmless(text), None)]
    if more > 0:
        pieces.append((f" … {more} bytes more", _DIM))
    return pieces


def _coloured(text: str) -> list[Piece]:
    pieces: list[Piece] = []
    style, end = Style.null(), 0
    for match in _SGR.finditer(text):
        if match.start() > end and (part := _harmless(text[end : match.start()])):
            pieces.append((part, style or None))
        style, end = _after(style, match[0]), match.end()
    if part := _harmless(text[end:]):
        pieces.append((part, style or None))
    return pieces


@lru_cache(maxsize=4096)
def _after(style: Style, sgr: str) -> Style:
    """``style`` after the sequence ``sgr``. Blinking and hidden text is shown as any other."""
    decoder = AnsiDecoder()
    decoder.style = style
    decoder.decode_line(sgr)
    return decoder.style + _CALM if decoder.style else decoder.style
