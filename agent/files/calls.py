"""What can be asked about files: each operation as the user would have it, in steps that never wait for a peer."""

from __future__ import annotations

import errno
import os
import stat

from ..wire import values
from ..wire.frames import to_json
from ..wire.limits import FILE_PIECE, MAX_OFFSET
from .status import about, check_regular, kind_of, make_parents, target_of
from .tree import remove
from .write import write

TYPE_CHECKING = False  # see wire/frames.py
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    from .call import Call, Fields, Operation, Steps

_PAGE_ENTRIES: Final = 200
_PAGE_BYTES: Final = 32 * 1024
"""Entries, and bytes of names about, that one page of a listing has at the most. A page takes a step."""
_ESCAPED: Final = 6
"""Bytes of JSON that one byte of a name may take."""


def look(fields: Fields, _call: Call) -> Fields:
    """``stat``: what is at a path, with ``follow`` behind the links there."""
    path = values.text(fields, "path")
    if values.boolean(fields, "follow"):
        return about(os.stat(path))
    status = os.lstat(path)
    return about(status, target_of(path, status))


def read(fields: Fields, call: Call) -> Steps:
    """``read``: the content of a regular file from ``offset``, ``length`` bytes at the most; also where it has no size,
    as in /proc."""
    path = values.text(fields, "path")
    offset = 0 if fields.get("offset") is None else values.integer(fields, "offset", 0, MAX_OFFSET)
    left = MAX_OFFSET if fields.get("length") is None else values.integer(fields, "length", 0, MAX_OFFSET)
    check_regular(os.stat(path), path)
    # what took its place since must not hold us up either
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        status = os.fstat(fd)
        check_regular(status, path)
        if offset:
            os.lseek(fd, offset, os.SEEK_SET)
        call.open()
        yield about(status)
        while left and (piece := os.read(fd, min(left, FILE_PIECE))):
            left -= len(piece)
            yield piece
    except OSError as error:
        error.filename = error.filename or path
        raise
    finally:
        os.close(fd)
    return None


def enumerate_folder(fields: Fields, call: Call) -> Steps:
    """``list``: what is in a folder, unsorted, as lines of JSON: lists of ``[name, kind, size, mode, uid, gid, links,
    mtime_ns, target]``. Of what cannot be looked at there is the kind alone."""
    path = values.text(fields, "path")
    with os.scandir(path) as entries:
        call.open()
        yield about(os.stat(path))
        page: list[object] = []
        size = 0
        for entry in entries:
            row = _row(entry)
            if row is None:
                continue
            page.append(row)
            size += (len(entry.name) + (len(row[-1]) if isinstance(row[-1], str) else 0)) * _ESCAPED
            if len(page) >= _PAGE_ENTRIES or size >= _PAGE_BYTES:
                yield to_json(page).encode("ascii") + b"\n"
                page, size = [], 0
        if page:
            yield to_json(page).encode("ascii") + b"\n"
    return None


def _row(entry: os.DirEntry[str]) -> list[object] | None:
    """An entry of a listing; None for one that is gone by now."""
    try:
        status = entry.stat(follow_symlinks=False)
        target = target_of(entry.path, status)
    except FileNotFoundError:
        return None
    except OSError:  # a folder that may be read but not entered
        kind = (
            "directory"
            if entry.is_dir(follow_symlinks=False)
            else "symlink"
            if entry.is_symlink()
            else "unknown"
        )
        return [entry.name, kind, None, None, None, None, None, None, None]
    return [
        entry.name, kind_of(status), status.st_size, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid,
        status.st_nlink, status.st_mtime_ns, target,
    ]  # fmt: skip


def make_folder(fields: Fields, _call: Call) -> Fields:
    """``mkdir``: a folder; with ``parents`` also those above it, and no error if it is there already."""
    path = values.text(fields, "path")
    mode = None if fields.get("mode") is None else values.integer(fields, "mode", 0, 0o7777)
    made = True
    if values.boolean(fields, "parents"):
        trimmed = path.rstrip("/") or "/"
        made = not os.path.isdir(trimmed)
        make_parents(os.path.dirname(trimmed) or "/")
        if made:
            os.mkdir(trimmed)
    else:
        os.mkdir(path)
    if mode is not None and made:
        os.chmod(path, mode)
    return about(os.stat(path))


def rename(fields: Fields, _call: Call) -> Fields:
    """``rename``: as rename(2), which replaces a file that is there."""
    path, target = values.text(fields, "path"), values.text(fields, "target")
    try:
        os.rename(path, target)
    except OSError as error:
        if os.path.lexists(path) and error.errno not in (errno.EXDEV, errno.EBUSY):
            error.filename = target  # it is the other one that is wrong
        raise
    return {}


OPERATIONS: Final[Mapping[str, Operation]] = {
    "stat": look,
    "read": read,
    "list": enumerate_folder,
    "write": write,
    "mkdir": make_folder,
    "rename": rename,
    "remove": remove,
}
