"""What the screen worker was drawing when it died: it notes that in a page of memory that it shares with the core."""

from __future__ import annotations

import mmap
import os
import struct
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from types import TracebackType

_PLACE: Final = struct.Struct("!QQ")


class Breadcrumb:
    """The page of memory behind the descriptor ``fd``. A context manager for the core, which makes it with `new`."""

    __slots__ = ("_page", "fd")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._page = mmap.mmap(fd, mmap.PAGESIZE)

    @classmethod
    def new(cls) -> Self:
        """An empty page. Raises OSError."""
        fd = os.memfd_create("sandtop-breadcrumb")
        try:
            os.ftruncate(fd, mmap.PAGESIZE)
            return cls(fd)
        except BaseException:
            os.close(fd)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._page.close()
        os.close(self.fd)

    def leave(self, number: int, offset: int) -> None:
        """The worker is going to draw the session ``number`` from ``offset`` on; 0: it draws none."""
        _PLACE.pack_into(self._page, 0, number, offset)

    def read(self) -> tuple[int, int]:
        """The number and offset that `leave` noted last."""
        number, offset = _PLACE.unpack_from(self._page, 0)
        return number, offset


class CrashLoop:
    """Finds the session that one worker after another dies of.

    One death proves nothing, since anything may have killed the worker. Several in a row, while the same bytes of the
    same session were drawn, do.
    """

    __slots__ = ("_deaths", "_key", "_offset")

    def __init__(self) -> None:
        self._key, self._offset, self._deaths = "", 0, 0

    def died(self, key: str, offset: int) -> bool:
        """A worker died while it drew session ``key`` (empty: none) from ``offset`` on; whether to set that aside."""
        if key and key == self._key and abs(offset - self._offset) < _NEAR:
            self._deaths += 1
        else:
            self._key, self._offset, self._deaths = key, offset, 1
        if not key or self._deaths < _DEATHS:
            return False
        self._deaths = 0
        return True


_DEATHS: Final = 3
_NEAR: Final = 64 * 1024
"""Bytes by which two offsets may differ to count as the same place."""
