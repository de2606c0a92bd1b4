"""The content of a regular file as the data of a tar member: its length, its holes, and its bytes."""

from __future__ import annotations

import errno
import os

TYPE_CHECKING = False  # see wire/frames.py
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Final

    Extents = list[tuple[int, int]]
    """(offset, length) of each part that is not a hole, ascending."""

_BLOCK: Final = 512
_CHUNK: Final = 1 << 20
_MOST_EXTENTS: Final = (1 << 16) - 1
"""Parts of one file. In a file with more the last holes are sent as zeros."""
MOST_UNSIZED: Final = 64 << 20
"""Bytes that are read of a file whose size is known only once it was read: they are held in memory."""


class Content:
    """The content of the regular file behind ``fd``. Its length is fixed here, whatever happens to the file later.

    Attributes:
        length: the file's length in bytes.
        extents: the parts of it that are sent; None when all of it is.
        cut: whether a file that does not tell its size is longer than `MOST_UNSIZED`, so that the rest is left out.
    """

    __slots__ = ("_fd", "_read", "cut", "extents", "length")

    def __init__(self, fd: int) -> None:
        """Raises OSError when it cannot be read."""
        self._fd = fd
        self._read: list[bytes] | None = None
        self.extents: Extents | None = None
        self.cut = False
        status = os.fstat(fd)
        self.length = status.st_size
        # the size that files in /proc and /sys have says nothing about their content; their file systems have no blocks
        if self.length == 0 or os.fstatvfs(fd).f_blocks == 0:
            self._read_all(sized=status.st_blocks > 0)
        elif status.st_blocks * _BLOCK < self.length:
            self.extents = _extents(fd, self.length)

    def _read_all(self, *, sized: bool) -> None:
        pieces: list[bytes] = []
        left = MOST_UNSIZED
        while left and (piece := os.read(self._fd, min(left, _CHUNK))):
            pieces.append(piece)
            left -= len(piece)
        if not left and os.read(self._fd, 1):
            if sized and self.length > MOST_UNSIZED:  # a large file of a tmpfs without a limit
                return
            self.cut = True
        self._read = pieces
        self.length = MOST_UNSIZED - left

    @property
    def map(self) -> bytes:
        """The map at the head of a sparse member's data, padded (GNU tar's manual, "Storing Sparse Files", 1.0)."""
        extents = self.extents or []
        if not extents or sum(extents[-1]) < self.length:
            extents = [*extents, (self.length, 0)]
        text = f"{len(extents)}\n" + "".join(f"{offset}\n{length}\n" for offset, length in extents)
        return text.encode() + bytes(-len(text) % _BLOCK)

    def pieces(self, complain: Callable[[OSError], None]) -> Iterator[bytes]:
        """The data, exactly as long as announced, and its padding. Bytes that have vanished meanwhile come as zeros."""
        yield from self._read or ()
        total = 0
        for start, length in [(0, self.length)] if self.extents is None else self.extents:
            total += length
            if self._read is None:
                yield from self._extent(start, length, complain)
        yield bytes(-total % _BLOCK)

    def _extent(self, start: int, length: int, complain: Callable[[OSError], None]) -> Iterator[bytes]:
        end = start + length
        while start < end:
            try:
                data = os.pread(self._fd, min(end - start, _CHUNK), start)
            except OSError as error:
                complain(error)
                break
            if not data:
                complain(OSError("became shorter while it was read"))
                break
            yield data
            start += len(data)
        while start < end:
            piece = min(end - start, _CHUNK)
            yield bytes(piece)
            start += piece


def _extents(fd: int, size: int) -> Extents | None:
    """Where there is data in the first ``size`` bytes (lseek(2), SEEK_DATA); None for a file without holes."""
    extents: Extents = []
    at = 0
    try:
        while at < size and len(extents) < _MOST_EXTENTS:
            start = os.lseek(fd, at, os.SEEK_DATA)
            if start >= size:
                break
            at = min(size, os.lseek(fd, start, os.SEEK_HOLE))
            extents.append((start, at - start))
        if len(extents) == _MOST_EXTENTS:
            start = extents[-1][0]
            extents[-1] = start, size - start
    except OSError as error:
        if error.errno != errno.ENXIO:  # ENXIO: from here on there is only a hole
            return None
    return None if extents == [(0, size)] else extents
