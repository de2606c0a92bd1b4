"""What programs write, by kind: made from a fixed seed, the same in every run."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_WORDS = (  # noqa: SIM905
    "the quick brown fox jumps over lazy dog error warning request finished worker thread 0x7f3a connection reset by "
    "peer GET /index.html 200 took 14ms"
).split()
_RENDITIONS = (
    "1", "0", "32", "1;31", "7", "4", "0;36", "38;5;244", "38;5;17", "38;5;208", "48;2;50;0;90", "48;2;0;90;200",
)  # fmt: skip
_SCRIPTS = (
    "日本語テキスト", "emoji 👍🏽 👩\u200d👩\u200d👧 ❤\ufe0f", "кириллица", "e\u0301 combining a\u0310",
    "┌──┬──┐│x│", "中文混合 abc", "🇩🇪🇫🇷", "ελληνικά", "naïve café",
)  # fmt: skip


def _until(size: int, make: Callable[[int], str]) -> bytes:
    parts: list[bytes] = []
    total = 0
    while total < size:
        parts.append(make(len(parts)).encode())
        total += len(parts[-1])
    return b"".join(parts)


def plain(size: int, columns: int, rows: int) -> bytes:
    """Short lines, 10 to 50 characters."""
    chooser = random.Random(1)
    return _until(size, lambda _: " ".join(chooser.choices(_WORDS, k=chooser.randint(2, 8))) + "\r\n")


def log(size: int, columns: int, rows: int) -> bytes:
    """Log lines, 60 to 130 characters: at 80 columns most of them wrap."""
    chooser = random.Random(2)

    def line(number: int) -> str:
        level = chooser.choice(("INFO ", "WARN ", "DEBUG"))
        words = " ".join(chooser.choices(_WORDS, k=chooser.randint(5, 15)))
        when = f"2026-01-01T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}Z"
        return f"{when} {level} [worker-{number % 8}] {words}\r\n"

    return _until(size, line)


def sgr(size: int, columns: int, rows: int) -> bytes:
    """Lines with a rendition for every word."""
    chooser = random.Random(3)

    def line(_: int) -> str:
        words = chooser.choices(_WORDS, k=chooser.randint(6, 11))
        return "".join(f"\x1b[{chooser.choice(_RENDITIONS)}m{word} " for word in words) + "\x1b[0m\r\n"

    return _until(size, line)


def redraw(size: int, columns: int, rows: int) -> bytes:
    """Whole screens by cursor addressing, a rendition for every column of ten."""
    chooser = random.Random(4)

    def frame(_: int) -> str:
        parts = ["\x1b[H"]
        for row in range(rows):
            parts.append(f"\x1b[{row + 1};1H")
            for _ in range(columns // 10 - 1):
                parts.append(f"\x1b[{chooser.choice(_RENDITIONS)}m{chooser.choice(_WORDS)[:10]:10}")
            parts.append("\x1b[0m\x1b[K")
        return "".join(parts)

    return _until(size, frame)


def unicode(size: int, columns: int, rows: int) -> bytes:
    """Lines of several scripts, with wide characters, marks and emoji."""
    chooser = random.Random(5)
    return _until(size, lambda _: " ".join(chooser.choices(_SCRIPTS, k=chooser.randint(2, 5))) + "\r\n")


def flood(size: int, columns: int, rows: int) -> bytes:
    """What ``yes`` writes."""
    return b"y\r\n" * (size // 3)


WORKLOADS: dict[str, Callable[[int, int, int], bytes]] = {
    "plain": plain, "log": log, "sgr": sgr, "redraw": redraw, "unicode": unicode, "flood": flood,
}  # fmt: skip
