"""Listing a directory in pieces: what getdents64(2) says, by the host's own offsets, so that little of it is held."""

from __future__ import annotations

import ctypes
import os
import struct
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from sandtop.core.fuse import beneath

if TYPE_CHECKING:
    from sandtop.core.fuse.nodes import Node

_BUFFER: Final = 32 * 1024
_ENTRY: Final = struct.Struct("<QQHB")
"""struct linux_dirent64: inode number, offset of the next entry, length of this one, type; then the name."""


class Entry(NamedTuple):
    """An entry of a directory. ``after`` is the offset behind it."""

    inode: int
    after: int
    kind: int
    name: bytes


class Directory:
    """One that is open by ``descriptor``; `close` it."""

    def __init__(self, node: Node, descriptor: int) -> None:
        self.node = node
        self.descriptor = descriptor
        self._buffer = ctypes.create_string_buffer(_BUFFER)
        self._read: deque[Entry] = deque()  # and not taken yet
        self._offset = 0

    def close(self) -> None:
        os.close(self.descriptor)

    def go_to(self, offset: int) -> None:
        """The next entry is the one at ``offset``: 0, or where an earlier entry ended. Raises OSError."""
        if offset != self._offset:
            os.lseek(self.descriptor, offset, os.SEEK_SET)
            self._read.clear()
            self._offset = offset

    def peek(self) -> Entry | None:
        """The next entry, which `take` takes; None at the end. Raises OSError."""
        if not self._read:
            count = beneath.entries(self.descriptor, self._buffer)
            self._read.extend(_parse(ctypes.string_at(self._buffer, count)))
        return self._read[0] if self._read else None

    def take(self) -> None:
        """Go on behind the entry that `peek` told of."""
        self._offset = self._read.popleft().after


def _parse(data: bytes) -> list[Entry]:
    found: list[Entry] = []
    at = 0
    while at < len(data):
        inode, after, length, kind = _ENTRY.unpack_from(data, at)
        name = data[at + _ENTRY.size : at + length].partition(b"\0")[0]
        found.append(Entry(inode, after, kind, name))
        at += length
    return found
