"""Writing a tar stream of files of the sandbox: POSIX.1-2001 (pax), so that names and times are exact."""

from __future__ import annotations

import os
import stat
import sys
import tarfile

TYPE_CHECKING = False  # see _frames
if TYPE_CHECKING:
    from typing import Final

_BLOCK: Final = tarfile.BLOCKSIZE
_CHUNK: Final = 1 << 20
_MAX_LINKS: Final = 1 << 16
"""Files with several names that are remembered; beyond that a second name becomes a second file."""
_TYPES: Final = {
    stat.S_IFREG: tarfile.REGTYPE,
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE,
    stat.S_IFCHR: tarfile.CHRTYPE,
    stat.S_IFBLK: tarfile.BLKTYPE,
}


def create(paths: list[str]) -> int:
    """Write ``paths``, each under its last name, to stdout; the exit status. What cannot be read is said on stderr.

    A path that ends in ``/.`` stands for what is in the folder: its names begin with ``./``.
    """
    writer = _Writer()
    try:
        for path in paths:
            writer.add(path)
        os.set_blocking(1, True)
        writer.put(bytes(2 * _BLOCK))
        writer.flush()
    except OSError as error:
        writer.complain("writing the archive", error)
    return writer.status


class _Writer:
    def __init__(self) -> None:
        self.status = 0
        self._out = os.fdopen(1, "wb", buffering=_CHUNK, closefd=False)
        self._links: dict[tuple[int, int], str] = {}

    def put(self, data: bytes | memoryview) -> None:
        self._out.write(data)

    def flush(self) -> None:
        self._out.flush()

    def complain(self, what: str, error: OSError) -> None:
        self.status = 1
        sys.stderr.write(f"{what}: {error.strerror or error}\n")

    def add(self, path: str) -> None:
        """Everything at and below ``path``. Raises OSError when the archive cannot be written."""
        trimmed = path.rstrip("/") or "/"
        name = os.path.basename(trimmed) or "."
        if path.endswith("/") and name != ".":
            trimmed += "/."  # as elsewhere, a slash says: the folder behind the link
        pending = [(trimmed, name)]
        while pending:
            source, arcname = pending.pop()
            try:
                status = os.lstat(source)
                below = sorted(os.listdir(source), reverse=True) if stat.S_ISDIR(status.st_mode) else []
            except OSError as error:
                self.complain(source, error)
                continue
            self._add_one(source, arcname, status)
            pending += [(f"{source}/{entry}", f"{arcname}/{entry}") for entry in below]

    def _add_one(self, source: str, arcname: str, status: os.stat_result) -> None:
        kind = _TYPES.get(stat.S_IFMT(status.st_mode))
        if kind is None:
            self.complain(source, OSError("a socket: not copied"))
            return
        info = tarfile.TarInfo(arcname)
        info.type = kind
        info.mode = stat.S_IMODE(status.st_mode)
        info.uid, info.gid = status.st_uid, status.st_gid
        info.pax_headers = {"mtime": f"{status.st_mtime_ns // 10**9}.{status.st_mtime_ns % 10**9:09}"}
        if kind in (tarfile.CHRTYPE, tarfile.BLKTYPE):
            info.devmajor, info.devminor = os.major(status.st_rdev), os.minor(status.st_rdev)
        if kind == tarfile.SYMTYPE:
            try:
                info.linkname = os.readlink(source)
            except OSError as error:
                self.complain(source, error)
                return
        elif kind == tarfile.REGTYPE:
            self._add_file(source, info, status)
            return
        self._put_header(info)

    def _add_file(self, source: str, info: tarfile.TarInfo, status: os.stat_result) -> None:
        key = status.st_dev, status.st_ino
        if status.st_nlink > 1 and key in self._links:
            info.type, info.linkname = tarfile.LNKTYPE, self._links[key]
            self._put_header(info)
            return
        try:
            # a FIFO may have taken its place: that must not hold us up
            fd = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            self.complain(source, error)
            return
        try:
            info.size = os.fstat(fd).st_size
            self._put_header(info)
            self._put_content(source, fd, info.size)
        finally:
            os.close(fd)
        if status.st_nlink > 1 and len(self._links) < _MAX_LINKS:
            self._links[key] = info.name

    def _put_header(self, info: tarfile.TarInfo) -> None:
        self.put(info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))

    def _put_content(self, source: str, fd: int, size: int) -> None:
        """Exactly ``size`` bytes, whatever happens to the file meanwhile: the archive must stay whole."""
        left = size
        while left:
            try:
                data = os.read(fd, min(left, _CHUNK))
            except OSError as error:
                self.complain(source, error)
                data = b""
            if not data:
                if not self.status:
                    self.complain(source, OSError("became shorter while it was read"))
                self._put_zeros(left)
                break
            self.put(data)
            left -= len(data)
        self.put(bytes(-size % _BLOCK))

    def _put_zeros(self, count: int) -> None:
        while count:
            piece = min(count, _CHUNK)
            self.put(bytes(piece))
            count -= piece
