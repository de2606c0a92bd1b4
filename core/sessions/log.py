"""A session's output on disk: byte-exact, segmented, capped, read by offset.

One folder a session. Each stream is a row of segment files named ``<stream>.<offset>``, the offset of the segment's
first byte; so a stream's length is the last segment's offset plus its size, and a core that was killed finds exactly
what it had stored. Segments fall off the front when the session's cap is reached.

``index`` records when bytes came and in which order the streams took turns: entries of (time, stream, offset), written
when the stream changes or `_INDEX_INTERVAL` has passed.
"""

from __future__ import annotations

import errno
import os
import shutil
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

SEGMENT_BYTES: Final = 8 << 20
DEFAULT_CAP: Final = 256 << 20
"""Bytes kept of one session, both streams together."""
_INDEX: Final = struct.Struct("!dQQ")
_INDEX_INTERVAL: Final = 0.02
"""Seconds; the resolution of ``logs --timestamps``."""
_INDEX_CAP: Final = 8 << 20


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes ``start`` to ``end`` of ``stream``, which began to come at ``time`` (seconds since the epoch)."""

    time: float
    stream: int
    start: int
    end: int

    def between(self, start: int, end: int) -> Piece:
        """The part of it from ``start`` to ``end``."""
        return Piece(self.time, self.stream, start, end)

    def after(self, offset: int) -> Piece:
        """The part of it from ``offset`` on."""
        return self.between(max(self.start, offset), self.end)


@dataclass(slots=True)
class _Segment:
    start: int
    size: int


class _Stream:
    """One stream's segments, and the descriptor that its last one is appended through."""

    __slots__ = ("_fd", "_folder", "_number", "segments")

    def __init__(self, folder: Path, number: int, segments: list[_Segment]) -> None:
        self._folder = folder
        self._number = number
        self._fd: int | None = None
        self.segments = segments

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

    def append(self, data: bytes | memoryview) -> int:
        if not self.segments or self.segments[-1].size >= SEGMENT_BYTES:
            self.close()
            segment = _Segment(self.end, 0)
            self._fd = os.open(
                self.path(segment), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600
            )
            self.segments.append(segment)
        elif self._fd is None:
            self._fd = os.open(self.path(self.segments[-1]), os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        assert self._fd is not None
        written = os.write(self._fd, data)
        self.segments[-1].size += written
        return written

    def drop_first(self) -> int:
        segment = self.segments.pop(0)
        self.path(segment).unlink(missing_ok=True)
        return segment.size

    def close(self) -> None:
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
        found: dict[int, list[_Segment]] = {1: [], 2: []}
        for name in sorted(os.listdir(folder)) if folder.exists() else ():
            number, dot, start = name.partition(".")
            if dot and number in ("1", "2"):
                found[int(number)].append(_Segment(int(start, 16), (folder / name).stat().st_size))
        self._streams = {number: _Stream(folder, number, segments) for number, segments in found.items()}
        self._index_fd: int | None = None
        self._index_size = 0
        self._index_dropped = 0  # bytes of the index that were cut off its front in this object's life
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
        if self._index_fd is not None:
            os.close(self._index_fd)
            self._index_fd = None

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

    def append(self, stream: int, data: bytes) -> int:
        """Append ``data``; how many of its bytes are stored. Raises OSError when none could be (disk full)."""
        self._note(stream)
        target = self._streams[stream]
        view = memoryview(data)
        stored = 0
        while stored < len(data):
            try:
                stored += target.append(view[stored:])
            except OSError:
                if stored:
                    break
                raise
        if self.stored > self.cap:
            self._trim()
        return stored

    def _trim(self) -> None:
        """Drop whole segments, of the stream that holds more, until the cap is kept; never the one being written."""
        while self.stored > self.cap:
            candidates = [stream for stream in self._streams.values() if len(stream.segments) > 1]
            if not candidates:
                return
            max(candidates, key=lambda stream: stream.stored).drop_first()

    def trim_to(self, cap: int) -> None:
        """Set the cap to ``cap`` bytes and keep it at once."""
        self.cap = cap
        self._trim()

    def clear(self) -> None:
        """Delete all that is stored. The log must not be written any more."""
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        for stream in self._streams.values():
            stream.segments.clear()

    def read(self, stream: int, offset: int, limit: int) -> bytes:
        """Up to ``limit`` bytes from ``offset``, which must not lie before `first`. Empty at the end."""
        source = self._streams[stream]
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

    # the index

    def _note(self, stream: int) -> None:
        now = time.time()
        last_stream, last_time = self._last
        if stream == last_stream and now - last_time < _INDEX_INTERVAL:
            return
        self._last = (stream, now)
        if self._index_fd is None:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = self.folder / "index"
            self._index_fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            self._index_size = os.fstat(self._index_fd).st_size
            if self._index_size % _INDEX.size:  # a write was cut by a full disk
                self._index_size -= self._index_size % _INDEX.size
                os.ftruncate(self._index_fd, self._index_size)
        entry = _INDEX.pack(now, stream, self._streams[stream].end)
        if (written := os.write(self._index_fd, entry)) < len(entry):
            os.ftruncate(self._index_fd, self._index_size)
            raise OSError(
                errno.ENOSPC, f"{written} of {len(entry)} bytes written", str(self.folder / "index")
            )
        self._index_size += written
        if self._index_size > _INDEX_CAP:
            self._halve_index()

    def _halve_index(self) -> None:
        path = self.folder / "index"
        data = path.read_bytes()
        cut = len(data) // 2 // _INDEX.size * _INDEX.size
        self._index_dropped += cut
        keep = data[cut:]
        fresh = path.with_suffix(".new")
        fresh.write_bytes(keep)
        os.replace(fresh, path)
        if self._index_fd is not None:
            os.close(self._index_fd)
            self._index_fd = None

    def pieces(self, position: int = 0) -> tuple[list[Piece], int]:
        """What is stored, in the order in which it came, and a position to go on from with a later call.

        Pieces that fell off the front are left out or cut short; with a ``position`` those before it may be too.
        """
        skip = max(position - self._index_dropped, 0)
        try:
            with (self.folder / "index").open("rb") as file:
                file.seek(skip)
                data = file.read()
        except FileNotFoundError:
            data = b""
        whole = len(data) // _INDEX.size * _INDEX.size
        entries = list(_INDEX.iter_unpack(data[:whole]))
        ends = {stream: self.end(stream) for stream in self._streams}
        pieces: list[Piece] = []
        for at, stream, start in reversed(entries):
            if stream in ends and start < ends[stream]:
                pieces.append(Piece(at, stream, max(start, self.first(stream)), ends[stream]))
                ends[stream] = start
        if not skip:
            # what came before the index's first entry (it is capped too) has no known time or order
            pieces += [Piece(0.0, stream, self.first(stream), end) for stream, end in ends.items()]
        pieces = [piece for piece in reversed(pieces) if piece.start < piece.end]
        # only the last entry can still grow
        return pieces, self._index_dropped + skip + max(whole - _INDEX.size, 0)
