"""Tar streams made of this host's files. Blocking."""

from __future__ import annotations

import errno
import os
import stat
import tarfile
from typing import TYPE_CHECKING, Final

from sandtop.core.tar.fields import MAX_PIECES
from sandtop.core.tar.reader import CHUNK

from ._skipped import Skipped

if TYPE_CHECKING:
    from collections.abc import Iterator

_BLOCK: Final = tarfile.BLOCKSIZE
_MAX_LINKS: Final = 1 << 16
_UNTOLD: Final = 1 << 20
"""Bytes of a file that does not tell its size, as those of /proc and /sys: they are read before the header is made."""
_TYPES: Final = {
    stat.S_IFREG: tarfile.REGTYPE,
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE,
}


class Packer:
    """A tar stream (POSIX.1-2001, so that names and times are exact) of ``paths`` and all below them.

    Each is under its last name; ``path/.`` stands for what is in a folder. Files with holes are sparse members (GNU's
    format 1.0): what lies in a hole is not in the stream. Iterate for the bytes, in pieces of at most 256 KiB.

    Attributes:
        skipped: what is not in it.
    """

    def __init__(self, *paths: str) -> None:
        self.skipped = Skipped()
        self._links: dict[tuple[int, int], str] = {}
        self._sources = [_source(path) for path in paths]

    def __iter__(self) -> Iterator[bytes]:
        pending = self._sources[::-1]
        while pending:
            source, name = pending.pop()
            try:
                status = os.lstat(source)
                below = sorted(os.listdir(source), reverse=True) if stat.S_ISDIR(status.st_mode) else []
                yield from self._member(source, name, status)
            except OSError as error:
                self._skip(source, error.strerror)
                continue
            pending += [(f"{source}/{entry}", f"{name}/{entry}") for entry in below]
        yield bytes(2 * _BLOCK)

    def _skip(self, source: str, why: str | None) -> None:
        self.skipped.add(source, why or "cannot be read")

    def _member(self, source: str, name: str, status: os.stat_result) -> Iterator[bytes]:
        kind = _TYPES.get(stat.S_IFMT(status.st_mode))
        if kind is None:
            self._skip(source, "neither file, folder nor link")
            return
        info = tarfile.TarInfo(name)
        info.type, info.mode = kind, stat.S_IMODE(status.st_mode)
        info.pax_headers = {"mtime": _time(status.st_mtime_ns)}
        if kind == tarfile.SYMTYPE:
            info.linkname = os.readlink(source)
        elif kind == tarfile.REGTYPE:
            yield from self._file(source, info, status)
            return
        yield _header(info)

    def _file(self, source: str, info: tarfile.TarInfo, status: os.stat_result) -> Iterator[bytes]:
        key = status.st_dev, status.st_ino
        if status.st_nlink > 1 and key in self._links:
            info.type, info.linkname = tarfile.LNKTYPE, self._links[key]
            yield _header(info)
            return
        name = info.name
        # something else may have taken the file's place: a FIFO must not hold us up
        fd = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            now = os.fstat(fd)
            if not stat.S_ISREG(now.st_mode):
                self._skip(source, "something else took its place")
                return
            if now.st_blocks == 0 and now.st_size <= _UNTOLD:
                yield from self._untold(source, info, fd)
            else:
                yield from self._told(source, info, fd, now)
        finally:
            os.close(fd)
        if status.st_nlink > 1 and len(self._links) < _MAX_LINKS:
            self._links[key] = name

    def _untold(self, source: str, info: tarfile.TarInfo, fd: int) -> Iterator[bytes]:
        """A file that says that it takes no space: it is empty, one small hole, or made as it is read."""
        data = bytearray()
        while len(data) <= _UNTOLD and (more := os.read(fd, CHUNK)):
            data += more
        if len(data) > _UNTOLD:
            self._skip(source, f"does not tell its size, and has more than {_UNTOLD >> 20} MiB")
            return
        info.size = len(data)
        yield _header(info)
        data += bytes(-len(data) % _BLOCK)
        for at in range(0, len(data), CHUNK):
            yield bytes(data[at : at + CHUNK])

    def _told(self, source: str, info: tarfile.TarInfo, fd: int, status: os.stat_result) -> Iterator[bytes]:
        whole = status.st_size
        pieces = [(0, whole)]
        if status.st_blocks * 512 < whole:
            pieces = _pieces(fd, whole)
        info.size = whole
        if pieces != [(0, whole)]:
            head = _sparse(info, pieces, whole)
            yield _header(info)
            for at in range(0, len(head), CHUNK):
                yield head[at : at + CHUNK]
        else:
            yield _header(info)
        for offset, length in pieces:
            yield from self._content(source, fd, offset, length)
        if padding := -info.size % _BLOCK:
            yield bytes(padding)

    def _content(self, source: str, fd: int, offset: int, length: int) -> Iterator[bytes]:
        """Exactly ``length`` bytes, whatever happens to the file meanwhile."""
        left = length
        short = False
        while left:
            data = b""
            try:
                data = b"" if short else os.pread(fd, min(left, CHUNK), offset + length - left)
            except OSError as error:
                self._skip(source, error.strerror)
                short = True
            if not data:
                if not short:
                    self._skip(source, "became shorter while it was read")
                    short = True
                data = bytes(min(left, CHUNK))
            left -= len(data)
            yield data


def _source(path: str) -> tuple[str, str]:
    """Where to begin, and the name it has in the archive."""
    trimmed = path.rstrip("/") or "/"
    name = os.path.basename(trimmed) or "."
    return (trimmed + "/." if path.endswith("/") and name != "." else trimmed), name


def _time(ns: int) -> str:
    sign = "-" if ns < 0 else ""
    seconds, fraction = divmod(abs(ns), 10**9)
    return f"{sign}{seconds}.{fraction:09}"


def _header(info: tarfile.TarInfo) -> bytes:
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _pieces(fd: int, whole: int) -> list[tuple[int, int]]:
    """Where the file has data: offsets and lengths. A last one of no length says that it ends in a hole."""
    found: list[tuple[int, int]] = []
    at = 0
    while at < whole:
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
            at = os.lseek(fd, start, os.SEEK_HOLE)
        except OSError as error:
            if error.errno == errno.ENXIO:
                break  # no more data
            return [(0, whole)]  # a file system that does not know holes
        if len(found) == MAX_PIECES - 2:
            at = whole  # the rest is one piece
        at = min(at, whole)
        if start < at:
            found.append((start, at - start))
    if not found or sum(found[-1]) < whole:
        found.append((whole, 0))
    return found


def _sparse(info: tarfile.TarInfo, pieces: list[tuple[int, int]], whole: int) -> bytes:
    """Make ``info`` the header of a sparse member; the map that begins its data."""
    folder, _, last = info.name.rpartition("/")
    info.pax_headers = {
        **info.pax_headers,
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": info.name,
        "GNU.sparse.realsize": str(whole),
    }
    info.name = f"{folder or '.'}/GNUSparseFile.0/{last}"
    lines = [str(len(pieces)), *(f"{offset}\n{length}" for offset, length in pieces)]
    head = ("\n".join(lines) + "\n").encode()
    head += bytes(-len(head) % _BLOCK)
    info.size = len(head) + sum(length for _, length in pieces)
    return head
