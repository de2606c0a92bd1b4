"""The bodies of messages: fields, names and times taken from a request's; what an answer's shows of a file."""

from __future__ import annotations

import errno
import stat
import time
from typing import TYPE_CHECKING, Final

from sandtop.core.fuse import protocol
from sandtop.core.fuse.folder import checked, refuse
from sandtop.core.fuse.protocol import NotFuse

if TYPE_CHECKING:
    import os
    import struct

    from sandtop.core.fuse.nodes import Node

_HOLDS: Final = 1
"""Seconds for which the guest's kernel believes names and attributes. What the host changes is seen after that; what is
in a file is read anew whenever it is opened, and when its size or time of change is seen to differ."""
_SHOWN: Final = 0o1777
"""The bits of permissions that a guest is shown: not the set-id bits."""
_SECOND: Final = 1_000_000_000
_MOST_SECONDS: Final = 1 << 62

NO_ENTRY: Final = bytes(protocol.ENTRY_OUT.size + protocol.ATTR.size)
"""In a list with attributes, for a name whose attributes are not told."""
NOT_THERE: Final = protocol.ENTRY_OUT.pack(0, 0, _HOLDS, 0, 0, 0) + bytes(protocol.ATTR.size)
"""For a name that is not there, which the kernel remembers as long as one that is."""


class Shown:
    """What the guest is shown of files: as those of ``uid`` and ``gid``, whoever has them on the host."""

    def __init__(self, uid: int, gid: int) -> None:
        self._uid, self._gid = uid, gid

    def entry(self, found: tuple[Node, os.stat_result]) -> bytes:
        """The answer to who looks a name up, or makes it."""
        node, status = found
        return protocol.ENTRY_OUT.pack(node.id, 0, _HOLDS, _HOLDS, 0, 0) + self._attributes(status)

    def attributes(self, status: os.stat_result) -> bytes:
        """The answer to who asks for the attributes of a node, or sets them."""
        return protocol.ATTR_OUT.pack(_HOLDS, 0, 0) + self._attributes(status)

    def _attributes(self, status: os.stat_result) -> bytes:
        return protocol.ATTR.pack(
            status.st_ino,
            status.st_size,
            status.st_blocks,
            *_seconds(status.st_atime_ns, status.st_mtime_ns, status.st_ctime_ns),
            stat.S_IFMT(status.st_mode) | status.st_mode & _SHOWN,
            status.st_nlink & 0xFFFFFFFF,
            self._uid,
            self._gid,
            0,
            status.st_blksize & 0xFFFFFFFF,
            0,
        )


def fields(layout: struct.Struct, body: memoryview) -> tuple[int, ...]:
    """The fields that ``body`` begins with. Raises `NotFuse`."""
    if len(body) < layout.size:
        raise NotFuse("a request that is not whole")
    return layout.unpack_from(body)


def names_in(body: memoryview, count: int) -> list[bytes]:
    """The names that ``body`` is, each with its zero. Raises `NotFuse`."""
    *found, rest = bytes(body).split(b"\0", count)
    if len(found) != count or rest:
        raise NotFuse("names that are none")
    return found


def name_in(body: memoryview) -> bytes:
    """The one name that ``body`` is. Raises `NotFuse`, and OSError for one that no file can have."""
    return checked(names_in(body, 1)[0])


def moment(what: int, wanted: int, now: int, seconds: int, nanoseconds: int) -> int | None:
    """A time that a request may set, in nanoseconds since the epoch. Raises OSError.

    ``what`` are the request's flags: with ``wanted`` among them the time is set, and with ``now`` to the present one.
    """
    if not what & wanted:
        return None
    if what & now:
        return time.time_ns()
    if seconds >= 1 << 63:
        seconds -= 1 << 64
    if abs(seconds) > _MOST_SECONDS or nanoseconds >= _SECOND:
        refuse(errno.EINVAL)
    return seconds * _SECOND + nanoseconds


def _seconds(*times: int) -> tuple[int, ...]:
    """Seconds of each of the ``times`` (nanoseconds since the epoch), then the nanoseconds of each.

    One before 1970 is a negative number, which the protocol has as what it is modulo 2**64.
    """
    parts = [divmod(each, _SECOND) for each in times]
    return (*(part[0] % (1 << 64) for part in parts), *(part[1] for part in parts))
