"""A session's output on disk: byte-exact, segmented, capped, read by offset.

Each session has a folder. Each stream is a sequence of segment files, named ``<stream>.<offset>`` after the offset of
their first byte. A stream's length is the last segment's offset plus its size, so the next core knows exactly what a
killed one had stored. When the session's cap is reached the oldest segments are deleted. Beside them lies an index
(`sandtop.core.sessions._index`) of when bytes came and in which order.
"""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from sandtop.core.paths import make_private
from sandtop.core.session_folder import CHECKPOINT, MOST_FILE
from sandtop.core.sessions._index import Entry, Index

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

SEGMENT_BYTES: Final = 8 << 20
DEFAULT_CAP: Final = 256 << 20
"""Bytes kept of one session, both streams together."""
STREAMS: Final = (1, 2)
"""stdout (or the terminal) and stderr."""
_LATEST: Final = 128 * 1024
"""Bytes of one append, at the most, that are kept in memory for readers."""
_INDEX_INTERVAL: Final = 0.02
"""Seconds between two index entries of a stream that writes all the time: the resolution of ``logs --timestamps``."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes ``start`` to ``end`` of ``stream``. The first came at ``time``, seconds since the epoch; 0: unknown."""

    time: float
    stream: int
    start: int
    end: int

    def between(self, start: int, end: int) -> Piece:
        """The part of this piece from ``start`` to ``end``."""
        return Piece(self.time, self.stream, start, end)


@dataclass(slots=True)
class _Segment:
    start: int
    size: int


class _Stream:
    """One stream's segments, and the descriptor of the last one, which is appended to.

    Attributes:
        latest: the bytes of the last append, from which most readers are served without opening a file.
    """

    __slots__ = ("_fd", "_folder", "_number", "latest", "segments")

    def __init__(self, folder: Path, number: int, segments: list[_Segment]) -> None:
        self._folder = folder
        self._number = number
        self._fd: int | None = None
        self.segments = segments
        self.latest = b""

    @property
    def first(self) -> int:
        return self.segments[0].start if self.segments else 0

    @property
    def end(self) -> int:
        return self.segments[-1].start + self.segments[-1].size if self.segments else 0

    @property
    def stored(self) -> int:
        return self.end - self.first

    def path(self, segment: _Segment) -> Path:
        return self._folder / f"{self._number}.{segment.start:016x}"

    def append(self, data: memoryview, segment_bytes: int) -> int:
        """How many bytes of ``data`` went into the last segment, or into a new one. Raises OSError."""
        if not self.segments or self.segments[-1].size >= segment_bytes:
            self.close()
            segment = _Segment(self.end, 0)
            self._fd = os.open(
                self.path(segment), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600
            )
            self.segments.append(segment)
        elif self._fd is None:
            self._fd = os.open(self.path(self.segments[-1]), os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        last = self.segments[-1]
        written = os.write(self._fd, data[: max(segment_bytes - last.size, 1)])
        last.size += written
        return written

    def drop_first(self) -> None:
        self.path(self.segments[0]).unlink(missing_ok=True)
        del self.segments[0]

    def close(self) -> None:
        self.latest = b""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


class SessionLog:
    """The log in ``folder``, which the first append creates. A context manager.

    Streams are 1 (stdout, or the terminal) and 2 (stderr).
    """

    def __init__(self, folder: Path, cap: int = DEFAULT_CAP) -> None:
        self.folder = folder
        self.cap = cap
        self._segment_bytes = max(1, min(SEGMENT_BYTES, cap // 4))
        found = _find_segments(folder)
        self._streams = {number: _Stream(folder, number, found[number]) for number in STREAMS}
        self._index = Index(folder)
        self._torn = (
            True  # the index may speak of bytes that are not there: an earlier core may have died in between
        )
        self._last: tuple[int, float] = (0, 0.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the descriptors; appending opens them again."""
        for stream in self._streams.values():
            stream.close()
        self._index.close()

    def first(self, stream: int) -> int:
        """The offset of the oldest byte that is still there."""
        return self._streams[stream].first

    def end(self, stream: int) -> int:
        """The offset behind the last byte."""
        return self._streams[stream].end

    @property
    def stored(self) -> int:
        """Bytes of output on disk."""
        return sum(stream.stored for stream in self._streams.values())

    @property
    def written_at(self) -> float:
        """When a byte was written last, seconds since the epoch; 0 before any was. Asks the file system."""
        last = [stream.path(stream.segments[-1]) for stream in self._streams.values() if stream.segments]
        return max((path.stat().st_mtime for path in last if path.exists()), default=0.0)

    @property
    def kept(self) -> int:
        """Bytes on disk that count for the caps: output, and a terminal's checkpoint beside it."""
        try:
            return self.stored + (self.folder / CHECKPOINT).stat().st_size
        except OSError:  # there is none
            return self.stored

    def append(self, stream: int, data: bytes | bytearray) -> int:
        """Append ``data``; how many of its bytes are stored. Raises OSError when none could be (disk full)."""
        return self.extend([(stream, data)])[stream]

    def extend(self, pieces: Sequence[tuple[int, bytes | bytearray]]) -> dict[int, int]:
        """Append pieces ``(stream, data)``, in order; how many bytes of each stream are stored.

        However many pieces there are, each stream and the index are written once. Raises OSError when nothing could be
        stored.
        """
        if self._torn:
            self._index.mend((self.end(1), self.end(2)))
        self._torn = True
        self._note(pieces)
        stored: dict[int, int] = dict.fromkeys(STREAMS, 0)
        failure: OSError | None = None
        for stream in STREAMS:
            parts = [data for each, data in pieces if each == stream]
            if parts:
                try:
                    stored[stream] = self._write(stream, parts[0] if len(parts) == 1 else b"".join(parts))
                except OSError as error:
                    failure = error
        self._torn = sum(stored.values()) < sum(len(data) for _, data in pieces)
        self._trim()
        if failure is not None and not any(stored.values()):
            raise failure
        return stored

    def _write(self, stream: int, data: bytes | bytearray) -> int:
        target = self._streams[stream]
        stored = 0
        with memoryview(data) as view:
            while stored < len(data):
                try:
                    with view[stored:] as rest:
                        stored += target.append(rest, self._segment_bytes)
                except OSError:
                    if stored:
                        break
                    raise
        if isinstance(data, bytes) and stored == len(data) <= _LATEST:
            target.latest = data
        else:
            target.latest = b""
        return stored

    def _note(self, pieces: Sequence[tuple[int, bytes | bytearray]]) -> None:
        """Put into the index, before ``pieces`` are written, where in them a stream takes over or time has passed."""
        now = time.time()
        last, since = self._last
        ends = [self.end(1), self.end(2)]
        entries: list[Entry] = []
        for stream, data in pieces:
            if stream != last or not 0 <= now - since < _INDEX_INTERVAL:
                entries.append(Entry(now, stream, (ends[0], ends[1])))
                last, since = stream, now
            ends[stream - 1] += len(data)
        if not entries:
            return
        if self._last[0] == 0:
            make_private(self.folder)
        self._last = (
            self._last[0],
            0.0,
        )  # should this fail half-way, the next piece gets an entry in any case
        self._index.note(entries)
        self._last = (last, since)

    def _trim(self) -> None:
        """Delete whole segments, of the stream that has more bytes, until the cap is kept; never one being written."""
        if self.stored + MOST_FILE <= self.cap:
            return
        while self.kept > self.cap:
            candidates = [stream for stream in self._streams.values() if len(stream.segments) > 1]
            if not candidates:
                return
            max(candidates, key=lambda stream: stream.stored).drop_first()

    def trim_to(self, cap: int) -> None:
        """Delete the oldest segments until about ``cap`` bytes are stored. The log's own cap stays as it is."""
        own, self.cap = self.cap, cap
        self._trim()
        self.cap = own

    def clear(self) -> None:
        """Delete all that is stored. The log must not be written any more."""
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        self._index.clear()
        for stream in self._streams.values():
            stream.segments.clear()

    def read(self, stream: int, offset: int, limit: int) -> bytes:
        """Up to ``limit`` bytes from ``offset``, not before `first`. Empty at the end. Raises OSError."""
        source = self._streams[stream]
        if offset >= (begin := source.end - len(source.latest)):
            return source.latest[offset - begin :][:limit]
        for segment in reversed(source.segments):
            if segment.start <= offset:
                size = min(limit, segment.start + segment.size - offset)
                if size <= 0:
                    return b""
                fd = os.open(source.path(segment), os.O_RDONLY | os.O_CLOEXEC)
                try:
                    return os.pread(fd, size, offset - segment.start)
                finally:
                    os.close(fd)
        return b""

    # in the order in which it came

    @property
    def span(self) -> range:
        """The numbers of the pieces in the index, oldest first. A piece keeps its number while this object lives."""
        return self._index.span

    def pieces(self, start: int, stop: int) -> list[Piece]:
        """The pieces numbered ``start`` to ``stop``, in order, without what was deleted for the cap. Raises OSError.

        The last piece can still grow. Bytes that are older than the index have no known time or order: they are
        returned before the first piece, as one piece a stream with the time 0.
        """
        span = self.span
        low, high = max(start, span.start), min(stop, span.stop)
        entries = self._index.read(low, min(high + 1, span.stop)) if low < high else []
        pieces: list[Piece] = []
        if low == span.start and (entries or not span):
            known = entries[0].ends if entries else (self.end(1), self.end(2))
            pieces += [Piece(0.0, stream, 0, known[stream - 1]) for stream in STREAMS]
        for position, entry in enumerate(entries[: max(high - low, 0)]):
            following = entries[position + 1].ends if position + 1 < len(entries) else None
            stream = entry.stream
            if stream in STREAMS:
                end = self.end(stream) if following is None else following[stream - 1]
                pieces.append(Piece(entry.time, stream, entry.ends[stream - 1], end))
        return [kept for piece in pieces if (kept := self._stored_part(piece)) is not None]

    def _stored_part(self, piece: Piece) -> Piece | None:
        start, end = max(piece.start, self.first(piece.stream)), min(piece.end, self.end(piece.stream))
        return piece.between(start, end) if start < end else None


def _find_segments(folder: Path) -> dict[int, list[_Segment]]:
    """The segments on disk, by stream. Where one is missing, those before it are left out, as if the cap took them."""
    found: dict[int, list[_Segment]] = {number: [] for number in STREAMS}
    for name in sorted(os.listdir(folder)) if folder.exists() else ():
        number, dot, start = name.partition(".")
        if dot and number in ("1", "2") and len(start) == 16:
            try:
                segment = _Segment(int(start, 16), (folder / name).stat().st_size)
            except ValueError:
                continue  # not a segment's name
            segments = found[int(number)]
            if segments and segments[-1].start + segments[-1].size != segment.start:
                segments.clear()
            segments.append(segment)
    return found
