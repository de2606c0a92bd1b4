"""Watching a file or a folder by inotify(7), for which the standard library has no functions."""

from __future__ import annotations

import ctypes
import errno
import os
from _struct import Struct

from ..wire import values
from ..wire.frames import to_json
from .call import GO_ON, WAIT
from .status import about, failed

TYPE_CHECKING = False  # see wire/frames.py
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Final

    from .call import Call, Fields, Operation, Steps

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_EVENT: Final = Struct("iIII")  # struct inotify_event: wd, mask, cookie, len
_READ: Final = 16 * 1024
"""Bytes of events of one step: some hundred events, and a line of 100 KiB at the most."""

_MODIFIED, _ATTRIBUTES, _CLOSED, _MOVED_FROM, _MOVED_TO, _CREATED, _DELETED, _SELF_DELETED, _SELF_MOVED = (
    0x2, 0x4, 0x8, 0x40, 0x80, 0x100, 0x200, 0x400, 0x800,
)  # fmt: skip
_UNMOUNTED, _OVERFLOW, _IGNORED, _IS_FOLDER = 0x2000, 0x4000, 0x8000, 0x4000_0000
_WANTED: Final = (
    _MODIFIED
    | _ATTRIBUTES
    | _CLOSED
    | _MOVED_FROM
    | _MOVED_TO
    | _CREATED
    | _DELETED
    | _SELF_DELETED
    | _SELF_MOVED
)
_WORDS: Final = {
    _MODIFIED: "modified",
    _ATTRIBUTES: "attributes",
    _CLOSED: "written",
    _MOVED_FROM: "moved-from",
    _MOVED_TO: "moved-to",
    _CREATED: "created",
    _DELETED: "deleted",
    _SELF_DELETED: "gone",
    _SELF_MOVED: "gone",
    _UNMOUNTED: "gone",
    _OVERFLOW: "lost",
}
_ENDS: Final = _SELF_DELETED | _SELF_MOVED | _UNMOUNTED | _IGNORED


def watch(fields: Fields, call: Call) -> Steps:
    """``watch``: what happens to a file, or to what is in a folder, as lines of JSON: lists of ``[what, name, folder,
    cookie]``, until it is gone. The kernel keeps the events that the core does not take yet, and says ``lost`` when
    there were too many."""
    path = values.text(fields, "path")
    status = os.stat(path)
    fd = _call(_LIBC.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), path)
    try:
        _call(_LIBC.inotify_add_watch(fd, os.fsencode(path), _WANTED), path)
        call.listens = fd
        call.open()
        yield about(status)
        while True:
            try:
                data = os.read(fd, _READ)
            except BlockingIOError:
                yield WAIT
                continue
            rows, over = _rows(data)
            if rows:
                yield to_json(rows).encode("ascii") + b"\n"
            if over:
                return None
            yield GO_ON
    finally:
        os.close(fd)


def _rows(data: bytes) -> tuple[list[object], bool]:
    """The rows for the events in ``data``, and whether there will be no more."""
    rows: list[object] = []
    for mask, cookie, name in _events(data):
        if mask & _IGNORED and not rows:
            rows.append(["gone", "", False, 0])
        for bit, word in _WORDS.items():
            if mask & bit:
                rows.append([word, name, bool(mask & _IS_FOLDER), cookie])
        if mask & _ENDS:
            return rows, True
    return rows, False


def _events(data: bytes) -> Iterator[tuple[int, int, str]]:
    at = 0
    while at < len(data):
        _watch, mask, cookie, length = _EVENT.unpack_from(data, at)
        at += _EVENT.size
        yield mask, cookie, os.fsdecode(data[at : at + length].rstrip(b"\0"))
        at += length


def _call(result: int, path: str) -> int:
    """What a function of inotify's returned. Raises OSError."""
    if result >= 0:
        return result
    number = ctypes.get_errno()
    if number == errno.ENOSPC:  # the kernel's words for it are of a disk
        raise OSError(number, "the user watches as much as fs.inotify.max_user_watches allows", path)
    if number == errno.EMFILE:
        raise OSError(number, "the user has as many watches as fs.inotify.max_user_instances allows", path)
    raise failed(number, path)


OPERATIONS: Final[Mapping[str, Operation]] = {"watch": watch}
