"""Tar streams of this host's files: made, and unpacked without trusting who made them. Blocking."""

from __future__ import annotations

import errno
import os
import stat
import tarfile
from typing import TYPE_CHECKING, BinaryIO, Final

from sandtop.core.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK: Final = 256 * 1024
_BLOCK: Final = tarfile.BLOCKSIZE
_MODE: Final = 0o1777
"""Permission bits that are kept: set-user-ID and set-group-ID meant another system's users."""
_MAX_LINKS: Final = 1 << 16
_TYPES: Final = {
    stat.S_IFREG: tarfile.REGTYPE,
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE,
}


class Packer:
    """A tar stream (POSIX.1-2001, so that names and times are exact) of ``path`` and all below it.

    ``path/.`` stands for what is in a folder. Iterate for the bytes, in pieces of at most 256 KiB.

    Attributes:
        skipped: what is not in it, with the reason, one line each.
    """

    def __init__(self, path: str) -> None:
        self.skipped: list[str] = []
        self._links: dict[tuple[int, int], str] = {}
        trimmed = path.rstrip("/") or "/"
        self._name = os.path.basename(trimmed) or "."
        self._path = trimmed + "/." if path.endswith("/") and self._name != "." else trimmed

    def __iter__(self) -> Iterator[bytes]:
        pending = [(self._path, self._name)]
        while pending:
            source, name = pending.pop()
            try:
                status = os.lstat(source)
                below = sorted(os.listdir(source), reverse=True) if stat.S_ISDIR(status.st_mode) else []
            except OSError as error:
                self._skip(source, error.strerror)
                continue
            yield from self._member(source, name, status)
            pending += [(f"{source}/{entry}", f"{name}/{entry}") for entry in below]
        yield bytes(2 * _BLOCK)

    def _skip(self, source: str, why: str | None) -> None:
        self.skipped.append(f"{source}: {why or 'cannot be read'}")

    def _member(self, source: str, name: str, status: os.stat_result) -> Iterator[bytes]:
        kind = _TYPES.get(stat.S_IFMT(status.st_mode))
        if kind is None:
            self._skip(source, "neither file, folder nor link")
            return
        info = tarfile.TarInfo(name)
        info.type, info.mode = kind, stat.S_IMODE(status.st_mode)
        seconds, nanoseconds = divmod(status.st_mtime_ns, 10**9)
        info.pax_headers = {"mtime": f"{seconds}.{nanoseconds:09}"}
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
        try:
            # something else may have taken the file's place: a FIFO must not hold us up
            fd = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            self._skip(source, error.strerror)
            return
        with open(fd, "rb", buffering=0) as file:
            info.size = os.fstat(fd).st_size
            yield _header(info)
            yield from self._content(source, file, info.size)
        if status.st_nlink > 1 and len(self._links) < _MAX_LINKS:
            self._links[key] = info.name

    def _content(self, source: str, file: BinaryIO, size: int) -> Iterator[bytes]:
        """Exactly ``size`` bytes and the padding, whatever happens to the file meanwhile."""
        left = size
        while left:
            try:
                data = file.read(min(left, CHUNK))
            except OSError as error:
                self._skip(source, error.strerror)
                data = b""
            if not data:
                self._skip(source, "became shorter while it was read")
                data = bytes(min(left, CHUNK))
            left -= len(data)
            yield data
        if padding := -size % _BLOCK:
            yield bytes(padding)


def _header(info: tarfile.TarInfo) -> bytes:
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


class _Refused(Exception):
    """A member is not unpacked; ``str()`` says why."""


class Unpacker:
    """Puts the members of a tar stream below one folder and nowhere else, whatever their names and links say.

    Into ``target`` when that is a folder; otherwise the archive's one top name becomes ``target``, as with cp(1).

    Attributes:
        skipped: what was not unpacked, with the reason, one line each.
    """

    def __init__(self, target: str) -> None:
        self.skipped: list[str] = []
        self._target = target
        self._rename: str | None = None
        self._top: str | None = None
        self._folders: list[tuple[tuple[str, ...], int, int]] = []
        self._base = -1

    def unpack(self, stream: BinaryIO) -> None:
        """Read ``stream`` to its end. Raises `StorageError` when nothing (more) can be written."""
        try:
            self._base = self._open_base()
        except OSError as error:
            raise StorageError(f"{self._target}: {error.strerror}") from error
        try:
            self._members(stream)
            self._finish()
        except tarfile.TarError as error:
            raise StorageError(f"the archive cannot be read: {error}") from error
        except OSError as error:
            raise StorageError(f"{self._target}: {error.strerror or error}") from error
        finally:
            os.close(self._base)

    def _open_base(self) -> int:
        folder = self._target
        if not os.path.isdir(folder):
            folder, self._rename = os.path.split(folder.rstrip("/"))
        return os.open(folder or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def _members(self, stream: BinaryIO) -> None:
        with tarfile.open(fileobj=stream, mode="r|", encoding="utf-8", errors="surrogateescape") as archive:
            while (info := archive.next()) is not None:
                # (it remembers every member otherwise, of a stream that may have no end)
                try:
                    self._member(archive, info)
                except _Refused as error:
                    self.skipped.append(f"{info.name}: {error}")
                except OSError as error:
                    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO):
                        raise
                    self.skipped.append(f"{info.name}: {error.strerror or error}")
                archive.members = []  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]

    def _finish(self) -> None:
        """Set modes and times of folders, now that nothing more is put into them."""
        for parts, mode, mtime in reversed(self._folders):
            try:
                fd = self._folder(parts, create=False)
            except (OSError, _Refused) as error:
                self.skipped.append(f"{'/'.join(parts)}: {error}")
                continue
            os.fchmod(fd, mode & _MODE)
            os.utime(fd, ns=(mtime, mtime))
            os.close(fd)

    def _parts(self, name: str) -> tuple[str, ...]:
        """The way from the base to a member. Raises `_Refused`."""
        raw = [part for part in name.split("/") if part]
        if ".." in raw:
            raise _Refused("a name with '..' in it")
        parts = [part for part in raw if part != "."]
        if self._rename is None:
            return tuple(parts)
        top = raw[0] if raw else "."
        self._top = self._top or top
        if top != self._top:
            raise _Refused(f"{self._target} is not a folder, and the archive holds more than one name")
        return (self._rename, *(parts if top == "." else parts[1:]))

    def _folder(self, parts: tuple[str, ...], *, create: bool = True) -> int:
        """A descriptor, the caller's, of the folder at ``parts``; no link is followed on the way."""
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.dup(self._base)
        for part in parts:
            parent = fd
            try:
                try:
                    fd = os.open(part, flags, dir_fd=parent)
                except FileNotFoundError:
                    if not create:
                        raise
                    os.mkdir(part, 0o755, dir_fd=parent)
                    fd = os.open(part, flags, dir_fd=parent)
            except OSError as error:
                if error.errno in (errno.ENOTDIR, errno.ELOOP):
                    raise _Refused(f"{part} is not a folder of its own") from None
                raise
            finally:
                os.close(parent)
        return fd

    def _member(self, archive: tarfile.TarFile, info: tarfile.TarInfo) -> None:
        parts = self._parts(info.name)
        mtime = _mtime(info)
        if info.isdir():
            os.close(self._folder(parts))
            self._folders.append((parts, info.mode, mtime))
            return
        if not parts or (self._target.endswith("/") and self._rename is not None and len(parts) == 1):
            raise _Refused("not a folder")
        parent = self._folder(parts[:-1])
        try:
            self._leaf(archive, info, parts[-1], parent, mtime)
        finally:
            os.close(parent)

    def _leaf(
        self, archive: tarfile.TarFile, info: tarfile.TarInfo, name: str, parent: int, mtime: int
    ) -> None:
        if not (info.isreg() or info.issym() or info.isfifo() or info.islnk()):
            raise _Refused("a device")
        if info.islnk():
            self._link(info, name, parent)
            return
        _make_room(name, parent)
        if info.issym():
            os.symlink(info.linkname, name, dir_fd=parent)
            os.utime(name, ns=(mtime, mtime), dir_fd=parent, follow_symlinks=False)
        elif info.isfifo():
            os.mkfifo(name, 0o600, dir_fd=parent)
            os.chmod(name, info.mode & _MODE, dir_fd=parent)
            os.utime(name, ns=(mtime, mtime), dir_fd=parent, follow_symlinks=False)
        else:
            _write(archive, info, name, parent, mtime)

    def _link(self, info: tarfile.TarInfo, name: str, parent: int) -> None:
        """Another name for a file of the archive."""
        *above, old = self._parts(info.linkname)
        source = self._folder(tuple(above), create=False)
        try:
            _make_room(name, parent)
            os.link(old, name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
        finally:
            os.close(source)


def _make_room(name: str, parent: int) -> None:
    """Remove what has the name: writing into it could write through a link. Raises OSError for a folder."""
    try:
        os.unlink(name, dir_fd=parent)
    except FileNotFoundError:
        return


def _write(archive: tarfile.TarFile, info: tarfile.TarInfo, name: str, parent: int, mtime: int) -> None:
    content = archive.extractfile(info)
    if content is None:
        raise _Refused("a file without content")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(name, flags, 0o600, dir_fd=parent), "wb", buffering=0) as file:
        while data := content.read(CHUNK):
            view = memoryview(data)
            while view:
                view = view[file.write(view) :]
        os.fchmod(file.fileno(), info.mode & _MODE)
        os.utime(file.fileno(), ns=(mtime, mtime))


def _mtime(info: tarfile.TarInfo) -> int:
    """Nanoseconds; exact where the archive has them, which tarfile rounds to a float."""
    seconds, _, fraction = info.pax_headers.get("mtime", "").partition(".")
    if seconds.isdecimal() and (not fraction or fraction.isdecimal()):
        return int(seconds) * 10**9 + int(f"{fraction:0<9}"[:9])
    return int(info.mtime * 10**9)
