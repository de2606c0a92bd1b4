"""A tar member's header: ustar, with a pax header before it where that has no room (POSIX.1-2017, pax).

tarfile's own takes several times as long, and knows no names that are bytes.
"""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False  # see wire/frames.py
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

BLOCK: Final = 512
END: Final = bytes(2 * BLOCK)
FILE: Final = b"0"
HARD_LINK: Final = b"1"
LINK: Final = b"2"
FOLDER: Final = b"5"
KINDS: Final = {
    stat.S_IFREG: FILE,
    stat.S_IFDIR: FOLDER,
    stat.S_IFLNK: LINK,
    stat.S_IFIFO: b"6",
    stat.S_IFCHR: b"3",
    stat.S_IFBLK: b"4",
}
"""The type of a member by the file type that stat(2) gives; sockets have none."""
_FIELD: Final = 100
_OCTAL_7: Final = 0o7777777
_OCTAL_11: Final = 0o77777777777


def header(
    name: bytes,
    kind: bytes,
    status: os.stat_result | None,
    *,
    size: int = 0,
    target: bytes = b"",
    records: Mapping[bytes, bytes] | None = None,
) -> bytes:
    """The blocks before the ``size`` bytes of data. Without ``status`` it is of an empty file of root's.

    Times are whole seconds from 1970 on, as in other layers.
    """
    mode = uid = gid = seconds = 0
    device = (0, 0)
    if status is not None:
        mode, uid, gid = stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid
        seconds = max(0, int(status.st_mtime_ns // 10**9))
        if kind in (b"3", b"4"):
            device = os.major(status.st_rdev), os.minor(status.st_rdev)
    extra = dict(records or {})
    if len(name) > _FIELD:
        extra[b"path"] = name
    if len(target) > _FIELD:
        extra[b"linkpath"] = target
    for keyword, value, most in (
        (b"size", size, _OCTAL_11),
        (b"mtime", seconds, _OCTAL_11),
        (b"uid", uid, _OCTAL_7),
        (b"gid", gid, _OCTAL_7),
    ):
        if value > most:
            extra[keyword] = b"%d" % value
    block = b"".join(
        (
            name[:_FIELD].ljust(_FIELD, b"\0"),
            b"%07o\0%07o\0%07o\0" % (mode, min(uid, _OCTAL_7), min(gid, _OCTAL_7)),
            b"%011o\0%011o\0" % (min(size, _OCTAL_11), min(seconds, _OCTAL_11)),
            b" " * 8,
            kind,
            target[:_FIELD].ljust(_FIELD, b"\0"),
            b"ustar\00000".ljust(72, b"\0"),
            b"%07o\0%07o\0" % device,
        )
    ).ljust(BLOCK, b"\0")
    return (_pax(extra) if extra else b"") + _summed(block)


def _pax(records: Mapping[bytes, bytes]) -> bytes:
    data = b"".join(_record(keyword, value) for keyword, value in records.items())
    block = b"".join(
        (
            b"PaxHeader".ljust(_FIELD, b"\0"),
            b"0000644\0" + 2 * b"0000000\0",
            b"%011o\0%011o\0" % (len(data), 0),
            b" " * 8,
            b"x".ljust(101, b"\0"),
            b"ustar\00000",
        )
    ).ljust(BLOCK, b"\0")
    return _summed(block) + data + bytes(-len(data) % BLOCK)


def _record(keyword: bytes, value: bytes) -> bytes:
    body = b" %s=%s\n" % (keyword, value)
    length = len(body)
    while len(text := b"%d%s" % (length, body)) != length:
        length = len(text)
    return text


def _summed(block: bytes) -> bytes:
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]
