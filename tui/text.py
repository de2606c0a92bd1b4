"""Text to show: guests' text made harmless, and sizes, ages and rates in few characters."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from sandtop.core import phrases
from sandtop.core.phrases import age

__all__ = [
    "MAX_NAME",
    "age",
    "bar",
    "command_line",
    "neutral",
    "one_line",
    "plural",
    "rate",
    "size",
    "sparkline",
    "what_next",
]

MAX_NAME: Final = 200
"""Characters of a name, label or title that are shown; no column is wider."""
_MAX_MARKS: Final = 4
"""Combining marks that one character keeps: more would be drawn over the lines above."""
_WORDS: Final = re.compile(r"\s+")
_BLOCKS: Final = "▁▂▃▄▅▆▇█"


def neutral(text: str, limit: int = MAX_NAME) -> str:
    """``text`` from a guest as one harmless line: no control, no format character (bidi), no tower of marks.

    Controls become their pictures (␛), other characters that cannot be printed become �.
    """
    text = text[:limit]
    if text.isascii() and text.isprintable():
        return text
    result: list[str] = []
    marks = 0
    for character in text:
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks > _MAX_MARKS:
            continue
        if character.isprintable():
            result.append(character)
        elif character < " ":
            result.append(chr(0x2400 + ord(character)))
        elif character == "\x7f":
            result.append("␡")
        else:
            result.append("�")
    return "".join(result)


def command_line(argv: list[str]) -> str:
    """A command as one would type it, on one line and harmless; see `phrases.command_line`."""
    return neutral(one_line(phrases.command_line(argv)), 400)


def size(count: float) -> str:
    """A number of bytes in at most five characters: ``999``, ``1.5K``, ``12M``."""
    for unit in ("", "K", "M", "G"):
        if count < 999.5:
            return f"{count:.1f}{unit}" if unit and count < 9.95 else f"{count:.0f}{unit}"
        count /= 1024
    return f"{count:.1f}T"


def rate(per_second: float) -> str:
    """Bytes a second, or nothing when it is quiet."""
    if per_second < 0.5:
        return ""
    text = size(per_second)
    return f"{text}B/s" if text.isdigit() else f"{text}/s"


def sparkline(values: tuple[float, ...], ceiling: float, width: int) -> str:
    """The last ``width`` values as bars, the newest at the right; ``ceiling`` is a full bar."""
    shown = values[-width:]
    bars = [
        _BLOCKS[min(7, int(max(0.0, value) / ceiling * 8))] if ceiling > 0 else _BLOCKS[0] for value in shown
    ]
    return "".join(bars).rjust(width)


def bar(share: float, width: int) -> str:
    """``share`` (0 to 1) of ``width`` cells as a thick line, to half a cell; the rest is a thin one."""
    full, half = divmod(round(min(1.0, max(0.0, share)) * width * 2), 2)
    filled = "━" * full + ("╾" if half else "")
    return filled + "─" * (width - len(filled))


def plural(count: int, noun: str) -> str:
    """``1 session``, ``2 sessions``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def one_line(text: str) -> str:
    """Any white space as single spaces."""
    return _WORDS.sub(" ", text).strip()


def what_next(state: str) -> str:
    """What to do with a sandbox in ``state``, in which nothing can run."""
    if state == "paused":
        return "p lets it go on"
    return "b starts it" if state in ("stopped", "failed", "lost") else "wait a moment"
