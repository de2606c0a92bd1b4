"""Folders below one folder, opened one by one and never through a link, so that nothing leads out of it."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sandtop.core.tar.fields import shown

if TYPE_CHECKING:
    from collections.abc import Callable

    Way = tuple[bytes, ...]

FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
KEPT_MODE: Final = 0o1777
"""Permission bits that are kept: set-user-ID and set-group-ID meant another system's users."""
_PRIVATE: Final = 0o700
_MAX_OPEN: Final = 64
"""Descriptors of folders that are held at once: they may be nested 2,048 deep, more than a process may hold."""


class Refused(Exception):
    """A member is not unpacked; ``str()`` says why."""


@dataclass(slots=True)
class _Level:
    """One folder of those that are open.

    Attributes:
        fd: its descriptor; -1 when it was closed since others below it are open.
        made: device and inode, when this copy made it.
        mode: what it will have when it is left.
        mtime: likewise, in nanoseconds.
    """

    name: bytes
    fd: int
    made: tuple[int, int] | None = None
    mode: int | None = None
    mtime: int | None = None


class Below:
    """The folders below ``base``, a descriptor that stays its caller's. ``complain`` hears what could not be set.

    Members come depth first, so what is remembered is the way to where we are: a folder that is left gets its mode and
    time, and is forgotten.
    """

    def __init__(self, base: int, complain: Callable[[bytes, OSError | Refused], None]) -> None:
        self._base = base
        self._complain = complain
        self._levels: list[_Level] = []

    def enter(self, way: Way, *, mode: int | None = None, mtime: int | None = None) -> int:
        """A descriptor, good until the next call, of the folder at ``way``; folders that are not there are made.

        One that this copy made gets ``mode`` and ``mtime`` later. Raises OSError, `Refused`.
        """
        common = 0
        for level, name in zip(self._levels, way, strict=False):
            if level.name != name:
                break
            common += 1
        self._leave(common)
        if self._levels and self._levels[-1].fd < 0:
            self._reopen()
        for at in range(common, len(way)):
            self._descend(way[at], private=mode is not None and at == len(way) - 1)
        if not way:
            return self._base
        last = self._levels[-1]
        if last.made and mode is not None:
            last.mode, last.mtime = mode, mtime
        return last.fd

    def find(self, way: Way) -> int:
        """A descriptor, the caller's, of the folder at ``way``, which must be there. Raises OSError, `Refused`."""
        fd = os.dup(self._base)
        for name in way:
            parent = fd
            try:
                fd = _open(name, parent)
            finally:
                os.close(parent)
        return fd

    def close(self) -> None:
        """Leave all folders."""
        self._leave(0)

    def _descend(self, name: bytes, *, private: bool) -> None:
        parent = self._levels[-1].fd if self._levels else self._base
        made = None
        try:
            fd = _open(name, parent)
        except FileNotFoundError:
            # with the mode of a member, nobody is let in before that is set
            os.mkdir(name, _PRIVATE if private else 0o777, dir_fd=parent)
            fd = _open(name, parent)
            made = _identity(fd)
        self._levels.append(_Level(name, fd, made))
        if len(self._levels) > _MAX_OPEN:
            above = self._levels[-_MAX_OPEN - 1]
            if above.fd >= 0:
                os.close(above.fd)
                above.fd = -1

    def _reopen(self) -> None:
        """Open the deepest of the folders again, of which none is, and those above it that may be open."""
        fd = os.dup(self._base)
        kept = False
        try:
            for at, level in enumerate(self._levels):
                parent, shut = fd, not kept
                fd = _open(level.name, parent)
                if shut:
                    os.close(parent)
                if level.made and _identity(fd) != level.made:
                    level.made = None  # somebody else's now
                kept = at >= len(self._levels) - _MAX_OPEN
                if kept:
                    level.fd = fd
        except (OSError, Refused):
            if not kept:
                os.close(fd)
            for level in self._levels:
                if level.fd >= 0:
                    os.close(level.fd)
                    level.fd = -1
            raise

    def _leave(self, depth: int) -> None:
        while len(self._levels) > depth:
            level = self._levels[-1]
            try:
                if level.made and level.mode is not None:
                    if level.fd < 0:
                        self._reopen()
                    self._set(level)
            except (OSError, Refused) as error:
                self._complain(b"/".join(level.name for level in self._levels), error)
            if level.fd >= 0:
                os.close(level.fd)
            self._levels.pop()

    @staticmethod
    def _set(level: _Level) -> None:
        if level.made and level.mode is not None:
            os.fchmod(level.fd, level.mode & KEPT_MODE)
            if level.mtime is not None:
                os.utime(level.fd, ns=(level.mtime, level.mtime))


def _identity(fd: int) -> tuple[int, int]:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino


def _open(name: bytes, parent: int) -> int:
    try:
        return os.open(name, FOLDER, dir_fd=parent)
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.ELOOP):
            raise Refused(f"{shown(name)} is a link or no folder, and is not followed") from None
        raise
