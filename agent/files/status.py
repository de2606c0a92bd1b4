"""What a file is, in words that the core knows, and which files may be opened."""

from __future__ import annotations

import errno
import os
import stat

from .call import Refused

TYPE_CHECKING = False  # see wire/frames.py
if TYPE_CHECKING:
    from typing import Final

    from .call import Fields

_KINDS: Final = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFBLK: "block",
    stat.S_IFCHR: "character",
}
_WORDS: Final = {
    "fifo": "a FIFO",
    "socket": "a socket",
    "block": "a block device",
    "character": "a character device",
}


def kind_of(status: os.stat_result) -> str:
    """What it is, in one word."""
    return _KINDS.get(stat.S_IFMT(status.st_mode), "unknown")


def about(status: os.stat_result, target: str | None = None) -> Fields:
    """What the core is told of a file; ``target`` is where a symbolic link leads."""
    return {
        "kind": kind_of(status),
        "size": status.st_size,
        "mode": stat.S_IMODE(status.st_mode),
        "uid": status.st_uid,
        "gid": status.st_gid,
        "links": status.st_nlink,
        "mtime_ns": status.st_mtime_ns,
        "target": target,
    }


def target_of(path: str, status: os.stat_result) -> str | None:
    """Where the link at ``path`` leads; None for what is no link."""
    return os.readlink(path) if stat.S_ISLNK(status.st_mode) else None


def check_regular(status: os.stat_result, path: str) -> None:
    """Refuse what is no regular file: to open a FIFO or a device may wait for ever, or do something."""
    if stat.S_ISDIR(status.st_mode):
        raise failed(errno.EISDIR, path)
    if not stat.S_ISREG(status.st_mode):
        raise Refused(errno.EINVAL, f"{_WORDS.get(kind_of(status), 'something else')}, not a regular file")


def failed(number: int, path: str) -> OSError:
    """The error that the kernel would give for ``path``."""
    return OSError(number, os.strerror(number), path)


def make_parents(folder: str) -> None:
    """Make ``folder`` and those above it that are missing."""
    try:
        os.makedirs(folder, exist_ok=True)
    except FileExistsError:  # something else is in the way
        raise failed(errno.ENOTDIR, folder) from None
