"""Removing a file or a whole tree, entry by entry, through no link that somebody puts in the way meanwhile."""

from __future__ import annotations

import errno
import os
import stat

from ..wire import values
from .call import GO_ON, Refused
from .status import failed

TYPE_CHECKING = False  # see wire/frames.py
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from .call import Call, Fields, Steps

_A_STEP: Final = 64
"""Entries that one step removes."""
_DEEPEST: Final = 500
"""Folders below one another that are open at once."""
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove(fields: Fields, _call: Call) -> Steps:
    """``remove``: a file, a link (not what it leads to) or, with ``recursive``, a folder and all that is in it."""
    path = values.text(fields, "path")
    trimmed = path.rstrip("/")
    if not trimmed or os.path.basename(trimmed) in (".", ".."):
        raise Refused(errno.EINVAL, "is not removed: name what is in it")
    if not stat.S_ISDIR(os.lstat(trimmed).st_mode):
        os.unlink(path)
        return None
    if not values.boolean(fields, "recursive"):
        raise failed(errno.EISDIR, path)
    tree = _Tree(trimmed)
    try:
        removed = 0
        while tree.step():
            removed += 1
            if removed % _A_STEP == 0:
                yield GO_ON
    finally:
        tree.close()
    os.rmdir(trimmed)
    return None


class _Level:
    """A folder that is being emptied: its descriptor, its name in the one above, and what was found in it."""

    __slots__ = ("fd", "found", "name")

    def __init__(self, name: str, fd: int) -> None:
        self.name = name
        self.fd = fd
        self.found: Iterator[os.DirEntry[str]] = iter(())


class _Tree:
    """Empties the folder ``path``, deepest first."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._levels: list[_Level] = []
        self._enter(path, None)

    def _enter(self, name: str, parent: int | None) -> None:
        if len(self._levels) >= _DEEPEST:
            raise Refused(errno.ELOOP, f"has folders that are nested deeper than {_DEEPEST}")
        fd = os.open(name, _FOLDER, dir_fd=parent)
        level = _Level(name, fd)
        self._levels.append(level)
        level.found = os.scandir(fd)

    def step(self) -> bool:
        """Remove one entry, or go one folder deeper or back; whether there is more to do."""
        level = self._levels[-1]
        entry = next(level.found, None)
        try:
            if entry is None:
                return self._leave(level)
            if entry.is_dir(follow_symlinks=False):
                self._enter(entry.name, level.fd)
            else:
                os.unlink(entry.name, dir_fd=level.fd)
        except FileNotFoundError:
            return True  # somebody else was faster
        except OSError as error:
            error.filename = "/".join([each.name for each in self._levels] + ([entry.name] if entry else []))
            raise
        return True

    def _leave(self, level: _Level) -> bool:
        """Leave a folder that is empty now, and remove it; False for the outermost, which stays."""
        self._levels.pop()
        os.close(level.fd)
        if not self._levels:
            return False
        os.rmdir(level.name, dir_fd=self._levels[-1].fd)
        return True

    def close(self) -> None:
        for level in self._levels:
            os.close(level.fd)
        self._levels.clear()
