"""Which lines of a log are shown, by its filters and the choice of stream.

Filtering a whole log would keep the screen waiting. So it is done block by block within a `Budget`, from where the view
stands, and what was found is kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sandtop.tui.ansi import plain
from sandtop.tui.stream.ring import NOTE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandtop.tui.stream.ring import Block, Line, Ring

BUDGET: Final = 4000
"""Lines that are tried against the filters in one go."""
STREAMS: Final = ("all", "stderr", "stdout")


@dataclass(frozen=True, slots=True)
class Pattern:
    """A filter: lines that match ``regex`` are shown, or with ``inverted`` hidden."""

    regex: re.Pattern[str]
    inverted: bool

    @property
    def label(self) -> str:
        return f"{'without' if self.inverted else 'only'} /{self.regex.pattern}/"


def compile_pattern(text: str) -> re.Pattern[str]:
    """``text`` as a regular expression. All in lower case it ignores case. If it is none, it is taken literally."""
    flags = re.IGNORECASE if text == text.lower() else 0
    try:
        return re.compile(text, flags)
    except re.error:
        return re.compile(re.escape(text), flags)


class Budget:
    """How many more lines may be tried in this go."""

    def __init__(self, lines: int = BUDGET) -> None:
        self.left = lines

    @property
    def spent(self) -> bool:
        return self.left <= 0


class ShownLines:
    """The lines of ``ring`` that are shown.

    Attributes:
        patterns: the filters; a line must pass all of them.
        streams: one of `STREAMS`.
        names: what the lines of each source begin with, by its number, a quarter of its streams'; filters see it, too.
    """

    def __init__(self, ring: Ring) -> None:
        self.ring = ring
        self.patterns: list[Pattern] = []
        self.streams = "all"
        self.names: dict[int, str] = {}
        self._passing: dict[
            int, tuple[int, list[int]]
        ] = {}  # block's first line: (lines tried, those that pass)

    @property
    def filtering(self) -> bool:
        return bool(self.patterns) or self.streams != "all"

    def reset(self) -> None:
        """The filters have changed: forget which lines pass."""
        self._passing.clear()

    def passes(self, line: Line) -> bool:
        """Whether ``line`` is shown."""
        return self._stream_passes(line.stream) and (
            line.stream == NOTE or self._text_passes(line.stream, plain(line.text))
        )

    def passes_raw(self, stream: int, text: bytes) -> bool:
        """Whether a line of ``stream`` with that text is shown."""
        return self._stream_passes(stream) and self._text_passes(stream, plain(text))

    def _stream_passes(self, stream: int) -> bool:
        return stream == NOTE or self.streams == "all" or (stream % 4 == 2) == (self.streams == "stderr")

    def _text_passes(self, stream: int, text: str) -> bool:
        name = self.names.get(stream // 4, "")
        texts = (text, f"{name} {text}") if name else (text,)
        return all(any(map(pattern.regex.search, texts)) != pattern.inverted for pattern in self.patterns)

    def backwards(self, number: int, budget: Budget) -> Iterator[Line]:
        """The lines before ``number`` that are shown, the newest first; ends early when ``budget`` is spent."""
        ring = self.ring
        if not self.filtering:
            yield from ring.backwards(number)
            return
        current = number
        while current > ring.total and (line := ring.line(current - 1)) is not None:
            current -= 1
            if self.passes(line):
                yield line
        while (block := ring.block(min(current, ring.total) - 1)) is not None:
            found = self._in(block, budget)
            for index in reversed(found):
                if index < current:
                    yield block.line(index)
            current = block.first
            if budget.spent:
                return

    def forwards(self, number: int, budget: Budget) -> Iterator[Line]:
        """The lines from ``number`` on that are shown, the oldest first; ends early when ``budget`` is spent."""
        ring = self.ring
        if not self.filtering:
            yield from ring.forwards(number)
            return
        current = max(number, ring.first)
        while (block := ring.block(current)) is not None:
            for index in self._in(block, budget):
                if index >= current:
                    yield block.line(index)
            current = block.end
            if budget.spent:
                return
        while (line := ring.line(max(current, ring.total))) is not None:
            if self.passes(line):
                yield line
            current = line.number + 1

    def _in(self, block: Block, budget: Budget) -> list[int]:
        """The numbers of those lines of ``block`` that are shown."""
        tried, found = self._passing.get(block.first, (0, []))
        if tried < block.count:
            budget.left -= block.count - tried
            if block.stream == NOTE:
                found = found + [block.first + index for index in range(tried, block.count)]
            elif self._stream_passes(block.stream):
                lines = block.cut()
                fresh = range(tried, block.count)
                found = found + [
                    block.first + i for i in fresh if self._text_passes(block.stream, plain(lines[i]))
                ]
            self._passing[block.first] = (block.count, found)
            if len(self._passing) > 4096:  # more blocks than the ring holds: drop those that it has dropped
                self._passing = {key: entry for key, entry in self._passing.items() if key >= self.ring.first}
        return found
