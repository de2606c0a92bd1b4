"""A log's index: when bytes came, and in which order the streams took turns.

An entry is written when a stream's turn begins and says when, which stream, and where both streams ended then. So the
bytes of a turn lie between its own entry and the next, and a reader needs no more than two neighbouring entries.
The index is two files, ``index`` and the older ``index.old``, each of at most `_MOST` entries: beyond that the oldest
bytes have no known time and order any more.
"""

from __future__ import annotations

import errno
import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_ENTRY: Final = struct.Struct("!dBQQ")
_MOST: Final = 1 << 17
"""Entries in one file: 3 MiB of disk."""


@dataclass(frozen=True, slots=True)
class Entry:
    """From ``time`` on (seconds since the epoch) ``stream`` was written to; streams 1 and 2 ended at ``ends`` then."""

    time: float
    stream: int
    ends: tuple[int, int]


class Index:
    """The index in ``folder``. Entries are numbered for as long as this object lives."""

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
        """Its files are gone."""
        self.close()
        self._dropped += self._old + self._count
        self._old = self._count = 0

    def note(self, entry: Entry) -> None:
        """Append ``entry``. Raises OSError, with nothing appended."""
        if self._count >= self._most:
            self._rotate()
        if self._fd is None:
            self._fd = self._open()
        packed = _ENTRY.pack(entry.time, entry.stream, *entry.ends)
        written = os.write(self._fd, packed)
        if written < len(packed):
            os.ftruncate(self._fd, self._count * _ENTRY.size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._folder / "index"))
        self._count += 1

    def _open(self) -> int:
        fd = os.open(self._folder / "index", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            # an entry that was being written when the core was killed
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
                entries += [
                    Entry(at, stream, (one, two)) for at, stream, one, two in _ENTRY.iter_unpack(data)
                ]
        return entries


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
