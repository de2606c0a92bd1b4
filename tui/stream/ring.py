"""The newest lines of a session's output, as raw bytes, bounded in memory.

Lines are kept in blocks of up to 64 KiB, each of one stream. To take output only its newlines are counted; a block is
cut into lines when one of them is asked for. A line keeps its number; when there is too much, the oldest blocks go.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK_BYTES: Final = 64 * 1024
RING_BYTES: Final = 32 << 20
MAX_LINE: Final = 64 * 1024
"""Bytes; a longer line is cut into several."""
_OVERHEAD: Final = 400
"""Bytes that a block takes in memory beside its text."""
NOTE: Final = 0
"""The stream of the console's own lines, which tell of gaps."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line without its newline.

    Attributes:
        number: counts the lines of both streams, from 0.
        stream: 1 stdout, 2 stderr, or `NOTE`.
        at: when it came, in seconds since the epoch, if that is known.
        whole: its newline has come.
    """

    number: int
    stream: int
    text: bytes
    at: float | None
    whole: bool = True


class Block:
    """Whole lines of one stream, the first of them number ``first``."""

    __slots__ = ("count", "data", "first", "lines", "stream", "times")

    def __init__(self, stream: int, first: int) -> None:
        self.stream = stream
        self.first = first
        self.count = 0
        self.data = bytearray()
        self.times: list[tuple[int, float | None]] = []  # (index, time): of that line and those behind it
        self.lines: list[bytes] | None = None

    @property
    def end(self) -> int:
        return self.first + self.count

    def append(self, data: bytes, at: float | None) -> int:
        """Append whole lines; returns how many."""
        if not self.times or self.times[-1][1] != at:
            self.times.append((self.count, at))
        self.data += data
        self.lines = None
        added = data.count(b"\n")
        self.count += added
        return added

    def cut(self) -> list[bytes]:
        """The lines. They are kept until the block grows, or the ring drops them (see `Ring._note_look`)."""
        if self.lines is None:
            self.lines = bytes(self.data).split(b"\n")[:-1]
        return self.lines

    def line(self, number: int) -> Line:
        index = number - self.first
        at = self.times[bisect_right(self.times, index, key=lambda entry: entry[0]) - 1][1]
        return Line(number, self.stream, self.cut()[index], at)

    @property
    def cost(self) -> int:
        return len(self.data) + _OVERHEAD + 80 * len(self.times)


class Ring:
    """The newest lines of a session."""

    def __init__(self, limit: int = RING_BYTES) -> None:
        self._limit = limit
        self._blocks: list[Block] = []
        self._cost = 0
        self._partial: dict[int, tuple[bytes, float | None]] = {}
        self._looked_at: list[Block] = []
        self.total = 0
        """How many whole lines have come, those that are gone included."""
        self.bytes = 0
        self.first_offset: dict[int, int] = {}
        """By stream: the offset in the log of the first byte that came."""

    @property
    def first(self) -> int:
        """The number of the oldest line that is kept."""
        return self._blocks[0].first if self._blocks else self.total

    @property
    def end(self) -> int:
        """The number after the last line; lines without a newline yet count."""
        return self.total + len(self._partial)

    def take(self, stream: int, data: bytes, offset: int, at: float | None) -> None:
        """Append output."""
        self.first_offset.setdefault(stream, offset)
        self.bytes += len(data)
        kept, began = self._partial.pop(stream, (b"", at))
        head, newline, rest = data.rpartition(b"\n")
        if newline:
            self._append(stream, kept + head + newline, began if kept else at)
            kept, began = b"", at
        rest = kept + rest
        while len(rest) > MAX_LINE:
            self._append(stream, rest[:MAX_LINE] + b"\n", began)
            rest = rest[MAX_LINE:]
        if rest:
            self._partial[stream] = (rest, began)

    def note(self, text: str, at: float | None) -> None:
        """Append a line of the console's own. Lines without a newline yet end before it."""
        for stream in list(self._partial):
            rest, began = self._partial.pop(stream)
            self._append(stream, rest + b"\n", began)
        self._append(NOTE, text.encode() + b"\n", at)

    def _append(self, stream: int, data: bytes, at: float | None) -> None:
        start = 0
        while start < len(data):
            end = len(data)
            if end - start > BLOCK_BYTES:
                end = data.rfind(b"\n", start, start + BLOCK_BYTES) + 1 or data.find(b"\n", start) + 1
            self._append_piece(stream, data[start:end], at)
            start = end
        self._trim()

    def _append_piece(self, stream: int, data: bytes, at: float | None) -> None:
        last = self._blocks[-1] if self._blocks else None
        if last is None or last.stream != stream or len(last.data) + len(data) > BLOCK_BYTES:
            last = Block(stream, self.total)
            self._blocks.append(last)
        else:
            self._cost -= last.cost
        self.total += last.append(data, at)
        self._cost += last.cost

    def _trim(self) -> None:
        dropped = 0
        while self._cost > self._limit and dropped < len(self._blocks) - 1:
            self._cost -= self._blocks[dropped].cost
            dropped += 1
        del self._blocks[:dropped]

    # looking

    def block(self, number: int) -> Block | None:
        """The block that holds whole line ``number``."""
        if not self.first <= number < self.total:
            return None
        index = bisect_right(self._blocks, number, key=lambda block: block.first) - 1
        block = self._blocks[index]
        self._note_look(block)
        return block

    def line(self, number: int) -> Line | None:
        """Line ``number``, or None when it has not come yet or is no longer kept."""
        if number >= self.total:
            unfinished = sorted(self._partial)
            index = number - self.total
            if index >= len(unfinished):
                return None
            text, at = self._partial[unfinished[index]]
            return Line(number, unfinished[index], text, at, whole=False)
        block = self.block(number)
        return block.line(number) if block else None

    def backwards(self, number: int) -> Iterator[Line]:
        """The lines before ``number``, the newest first."""
        current = min(number, self.end) - 1
        while current >= self.first and (line := self.line(current)) is not None:
            yield line
            current -= 1

    def forwards(self, number: int) -> Iterator[Line]:
        """The lines from ``number`` on."""
        current = max(number, self.first)
        while (line := self.line(current)) is not None:
            yield line
            current += 1

    def _note_look(self, block: Block) -> None:
        """Keep the cut lines of the eight blocks that were last asked for, and drop those of the others."""
        if self._looked_at and self._looked_at[-1] is block:
            return
        if block in self._looked_at:
            self._looked_at.remove(block)
        self._looked_at.append(block)
        while len(self._looked_at) > 8:
            self._looked_at.pop(0).lines = None
