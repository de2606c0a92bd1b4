"""Which lines of a ring show: filters that stack, a choice of streams; looked at bit by bit, and remembered."""

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
"""Lines tried against the filters before the screen gets its turn."""
STREAMS: Final = ("all", "stderr", "stdout")


@dataclass(frozen=True, slots=True)
class Pattern:
    """One filter: lines must match, or with ``inverted`` must not."""

    regex: re.Pattern[str]
    inverted: bool

    @property
    def label(self) -> str:
        return f"{'without' if self.inverted else 'only'} /{self.regex.pattern}/"


def compile_pattern(text: str) -> re.Pattern[str]:
    """A regular expression; small letters alone match capitals too. What is no expression is meant as it stands."""
    flags = re.IGNORECASE if text == text.lower() else 0
    try:
        return re.compile(text, flags)
    except re.error:
        return re.compile(re.escape(text), flags)


class Budget:
    """How many more lines may be tried now."""

    def __init__(self, lines: int = BUDGET) -> None:
        self.left = lines

    @property
    def spent(self) -> bool:
        return self.left <= 0


class ShownLines:
    """The lines of ``ring`` that pass."""

    def __init__(self, ring: Ring) -> None:
        self.ring = ring
        self.patterns: list[Pattern] = []
        self.streams = "all"
        self._passing: dict[
            int, tuple[int, list[int]]
        ] = {}  # block's first line: (lines tried, those that pass)

    @property
    def filtering(self) -> bool:
        return bool(self.patterns) or self.streams != "all"

    def reset(self) -> None:
        """The filters changed."""
        self._passing.clear()

    def passes(self, line: Line) -> bool:
        """Whether ``line`` shows."""
        return self._stream_passes(line.stream) and (
            line.stream == NOTE or self._text_passes(plain(line.text))
        )

    def _stream_passes(self, stream: int) -> bool:
        return stream == NOTE or self.streams == "all" or (stream == 2) == (self.streams == "stderr")

    def _text_passes(self, text: str) -> bool:
        return all((pattern.regex.search(text) is None) == pattern.inverted for pattern in self.patterns)

    def backwards(self, number: int, budget: Budget) -> Iterator[Line]:
        """Lines that show before ``number``, newest first; ends early when ``budget`` is spent."""
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
        """Lines that show from ``number`` on."""
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
        """Numbers of the lines of ``block`` that show."""
        tried, found = self._passing.get(block.first, (0, []))
        if tried < block.count:
            budget.left -= block.count - tried
            if block.stream == NOTE:
                found = found + [block.first + index for index in range(tried, block.count)]
            elif self._stream_passes(block.stream):
                lines = block.cut()
                fresh = range(tried, block.count)
                found = found + [block.first + i for i in fresh if self._text_passes(plain(lines[i]))]
            self._passing[block.first] = (block.count, found)
            if len(self._passing) > 4096:  # more blocks than a ring holds: the oldest are gone from it
                self._passing = {key: entry for key, entry in self._passing.items() if key >= self.ring.first}
        return found
