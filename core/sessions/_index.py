"""A log's index: when bytes came, and in which order the streams took turns.

An entry is written when a stream starts to write, that is when the other one wrote before, or after a pause. It says
when, which stream, and where both streams ended then. So a reader finds the bytes between any two neighbouring entries.
Entries are written before the bytes that they are for, many at once. When those bytes could not be written,
`Index.mend` corrects the entries before anything else is written.

The index is two files, ``index`` and the older ``index.old``, each of at most `_MOST` entries. When both are full the
older is deleted, and time and order of the bytes that it was for are lost.
"""

from __future__ import annotations

import errno
import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_ENTRY: Final = struct.Struct("!dBQQ")
_MOST: Final = 1 << 17
"""Entries in one file: 3 MiB of disk."""
_MENDED: Final = 1024
"""Entries that `Index.mend` reads at a time."""


@dataclass(frozen=True, slots=True)
class Entry:
    """At ``time`` (seconds since the epoch) ``stream`` started to write; streams 1 and 2 had the lengths ``ends``."""

    time: float
    stream: int
    ends: tuple[int, int]

    def within(self, ends: tuple[int, int]) -> Entry:
        """This entry with its ends reduced to ``ends`` where they are beyond."""
        if self.ends[0] <= ends[0] and self.ends[1] <= ends[1]:
            return self
        return Entry(self.time, self.stream, (min(self.ends[0], ends[0]), min(self.ends[1], ends[1])))


class Index:
    """The index in ``folder``. An entry keeps its number while this object lives."""

    __slots__ = ("_count", "_dropped", "_fd", "_folder", "_most", "_old")

    def __init__(self, folder: Path, most: int = _MOST) -> None:
        self._folder = folder
        self._most = most
        self._fd: int | None = None
        self._dropped = 0
        self._old = _entries(folder / "index.old")
        self._count = _entries(folder / "index")

    @property
    def span(self) -> range:
        """The numbers of the entries that are there."""
        return range(self._dropped, self._dropped + self._old + self._count)

    def close(self) -> None:
        """Close the descriptor; `note` opens it again."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def clear(self) -> None:
        """The files were deleted."""
        self.close()
        self._dropped += self._old + self._count
        self._old = self._count = 0

    def note(self, entries: Sequence[Entry]) -> None:
        """Append ``entries``. Raises OSError when not all could be; `mend` corrects those that were."""
        done = 0
        while done < len(entries):
            if self._count >= self._most:
                self._rotate()
            if self._fd is None:
                self._fd = self._open()
            some = entries[done : done + self._most - self._count]
            packed = b"".join(_packed(entry) for entry in some)
            written = os.write(self._fd, packed)
            if written < len(packed):
                os.ftruncate(self._fd, self._count * _ENTRY.size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._folder / "index"))
            self._count += len(some)
            done += len(some)

    def mend(self, ends: tuple[int, int]) -> None:
        """Correct all entries that say of a stream that it was longer than its end in ``ends``. Raises OSError.

        None is removed, because readers count on their numbers.
        """
        for name, count in (("index", self._count), ("index.old", self._old)):
            while count:
                start = max(0, count - _MENDED)
                entries = _parse(
                    _read(self._folder / name, start * _ENTRY.size, (count - start) * _ENTRY.size)
                )
                right = [entry.within(ends) for entry in entries]
                if right == entries:
                    return
                _overwrite(self._folder / name, start * _ENTRY.size, b"".join(map(_packed, right)))
                if right[0] is entries[0]:
                    return  # ends only grow, so all entries before this one are right too
                count = start

    def _open(self) -> int:
        fd = os.open(self._folder / "index", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            # cut off half an entry, which a core was writing when it was killed
            os.ftruncate(fd, self._count * _ENTRY.size)
        except OSError:
            os.close(fd)
            raise
        return fd

    def _rotate(self) -> None:
        self.close()
        os.replace(self._folder / "index", self._folder / "index.old")
        self._dropped += self._old
        self._old, self._count = self._count, 0

    def read(self, start: int, stop: int) -> list[Entry]:
        """The entries numbered ``start`` to ``stop``, both within `span`. Raises OSError."""
        boundary = self._dropped + self._old
        entries: list[Entry] = []
        for name, first, last in (
            ("index.old", self._dropped, boundary),
            ("index", boundary, self.span.stop),
        ):
            low, high = max(start, first), min(stop, last)
            if low < high:
                data = _read(self._folder / name, (low - first) * _ENTRY.size, (high - low) * _ENTRY.size)
                entries += _parse(data)
        return entries


def _packed(entry: Entry) -> bytes:
    return _ENTRY.pack(entry.time, entry.stream, *entry.ends)


def _parse(data: bytes) -> list[Entry]:
    return [Entry(at, stream, (one, two)) for at, stream, one, two in _ENTRY.iter_unpack(data)]


def _entries(path: Path) -> int:
    try:
        return path.stat().st_size // _ENTRY.size
    except FileNotFoundError:
        return 0


def _read(path: Path, offset: int, size: int) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(fd, size, offset)
    finally:
        os.close(fd)


def _overwrite(path: Path, offset: int, data: bytes) -> None:
    fd = os.open(
        path, os.O_WRONLY | os.O_CLOEXEC
    )  # on an O_APPEND descriptor pwrite(2) appends (see its BUGS)
    try:
        os.pwrite(fd, data, offset)
    finally:
        os.close(fd)
