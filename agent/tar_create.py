"""Writing files of the sandbox as a tar stream, in the pax format (POSIX.1-2001), which keeps names and times exact."""

from __future__ import annotations

import os
import stat
import sys
import tarfile

from .tar_content import MOST_UNSIZED, Content

TYPE_CHECKING = False  # see wire/frames.py
if TYPE_CHECKING:
    from typing import Final

_BLOCK: Final = tarfile.BLOCKSIZE
_CHUNK: Final = 1 << 20
_MOST_OCTAL: Final = 8**11 - 1
_MAX_LINKS: Final = 1 << 16
"""Files with several names that are remembered. Further ones are written once for each name, as separate files."""
_KERNELS: Final = frozenset(
    (
        "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs", "efivarfs", "fusectl",
        "hugetlbfs", "mqueue", "proc", "pstore", "securityfs", "sysfs", "tracefs",
    )
)  # fmt: skip
"""File systems of which every machine has its own: what is in them is the kernel's, and no copy of it is of use."""
_TYPES: Final = {
    stat.S_IFREG: tarfile.REGTYPE,
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE,
    stat.S_IFCHR: tarfile.CHRTYPE,
    stat.S_IFBLK: tarfile.BLKTYPE,
}


def create(paths: list[str]) -> int:
    """Write ``paths``, each under its last name, to stdout; the exit status. What cannot be read is named on stderr.

    A path that ends in ``/.`` stands for what is in the folder, whose names begin with ``./`` then. What is mounted
    below a path and is the kernel's own, as /proc is, is an empty folder; whoever names it, or what is in it, gets it.
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
        self._kernels = _kernels()

    def put(self, data: bytes | memoryview) -> None:
        self._out.write(data)

    def flush(self) -> None:
        self._out.flush()

    def complain(self, what: str, error: OSError) -> None:
        self.status = 1
        sys.stderr.write(f"{what}: {error.strerror or error}\n")

    def add(self, path: str) -> None:
        """Everything at and below ``path``. Raises OSError when the archive cannot be written."""
        if not path:
            self.complain("''", OSError("an empty path: name what is to be copied"))
            return
        trimmed = path.rstrip("/") or "/"
        name = os.path.basename(trimmed) or "."
        if path.endswith("/") and name != ".":
            trimmed += (
                "/."  # as with other tools, a slash behind a link stands for the folder that it leads to
            )
        pending: list[tuple[str, str, int | None]] = [(trimmed, name, None)]
        while pending:
            source, arcname, above = pending.pop()
            try:
                status = os.lstat(source)
                kernels = above not in (None, status.st_dev) and status.st_dev in self._kernels
                enter = stat.S_ISDIR(status.st_mode) and not kernels
                below = sorted(os.listdir(source), reverse=True) if enter else []
            except OSError as error:
                self.complain(source, error)
                continue
            self._add_one(source, arcname, status)
            pending += [(f"{source}/{entry}", f"{arcname}/{entry}", status.st_dev) for entry in below]

    def _add_one(self, source: str, arcname: str, status: os.stat_result) -> None:
        kind = _TYPES.get(stat.S_IFMT(status.st_mode))
        if kind is None:
            self.complain(source, OSError("a socket: not copied"))
            return
        info = tarfile.TarInfo(arcname)
        info.type = kind
        info.mode = stat.S_IMODE(status.st_mode)
        info.uid, info.gid = status.st_uid, status.st_gid
        seconds, fraction = divmod(abs(status.st_mtime_ns), 10**9)
        info.pax_headers = {"mtime": f"{'-' if status.st_mtime_ns < 0 else ''}{seconds}.{fraction:09}"}
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
        name = info.name
        try:
            # a FIFO may have taken the file's place since, and must not block
            fd = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            self.complain(source, error)
            return
        try:
            self._put_file(source, fd, info)
        finally:
            os.close(fd)
        if status.st_nlink > 1 and len(self._links) < _MAX_LINKS:
            self._links[key] = name

    def _put_file(self, source: str, fd: int, info: tarfile.TarInfo) -> None:
        try:
            content = Content(fd)
        except OSError as error:
            self.complain(source, error)
            return
        if content.cut:
            self.complain(
                source, OSError(f"cut behind {MOST_UNSIZED >> 20} MiB: it does not say how long it is")
            )
        if content.extents is None:
            info.size = content.length
            self._put_header(info)
        else:
            self._put_sparse_header(info, content)
        for piece in content.pieces(lambda error: self.complain(source, error)):
            self.put(piece)

    def _put_sparse_header(self, info: tarfile.TarInfo, content: Content) -> None:
        """A file with holes as GNU tar stores it in a pax archive, version 1.0."""
        info.pax_headers = {
            **info.pax_headers,
            "GNU.sparse.major": "1",
            "GNU.sparse.minor": "0",
            "GNU.sparse.name": info.name,
            "GNU.sparse.realsize": str(content.length),
        }
        # the name for readers that do not know sparse files; short and in ASCII, so that it needs no pax record
        base = os.path.basename(info.name).encode("ascii", "replace").decode().replace("?", "_")
        info.name = f"GNUSparseFile.0/{base[:80]}"
        before = content.map
        size = len(before) + sum(length for _, length in content.extents or ())
        self.put(_with_size(info, size))
        self.put(before)

    def _put_header(self, info: tarfile.TarInfo) -> None:
        self.put(_header(info))


def _kernels() -> frozenset[int]:
    """The devices of what is mounted here and is the kernel's own (proc(5), mountinfo)."""
    found: set[int] = set()
    try:
        with open("/proc/self/mountinfo") as file:
            for line in file:
                before, _, behind = line.partition(" - ")
                major, _, minor = before.split()[2].partition(":")
                if behind.split(" ", 1)[0] in _KERNELS:
                    found.add(os.makedev(int(major), int(minor)))
    except OSError:
        return frozenset()  # somebody unmounted /proc
    return frozenset(found)


def _header(info: tarfile.TarInfo) -> bytes:
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _with_size(info: tarfile.TarInfo, size: int) -> bytes:
    """The header with ``size`` in its size field, in base 256 where octal digits do not suffice.

    A pax record of the size would be the other way. But beside ``GNU.sparse.realsize`` Python's tarfile mixes the two
    up: it takes the one that comes last for both.
    """
    if size <= _MOST_OCTAL:
        info.size = size
        return _header(info)
    data = bytearray(_header(info))
    block = memoryview(data)[-_BLOCK:]
    block[124:136] = b"\x80" + size.to_bytes(11, "big")
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(data)
