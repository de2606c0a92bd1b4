"""Unpacking a tar stream into the sandbox, below one folder and nowhere else."""

from __future__ import annotations

import errno
import os
import sys
import tarfile

from .tar_member import Member
from .users import UnknownUser, find_user

TYPE_CHECKING = False  # see wire/frames.py
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from typing import Final

    Owner = Callable[[Member], tuple[int, int]]
    """The uid and gid that a member gets."""

_CHUNK: Final = 256 * 1024
_HOLE: Final = 4096
_KEPT_MODE: Final = 0o1777
"""Mode bits that are kept. Set-user-ID and set-group-ID are not, as the files belong to whoever unpacks them, …"""
_OWNED_MODE: Final = 0o7777
"""… but where it was said whom they are to belong to."""
KEPT: Final = "kept"
"""Given in place of an owner: each file gets the owner that the archive says."""
_FATAL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


class _Refused(Exception):
    """A member is not unpacked; ``str()`` says why."""


def extract(
    path: str, *, rename: bool, names: Collection[str] | None = None, owner: str | None = None
) -> int:
    """Unpack stdin; the exit status. Errors are written to stderr.

    When ``path`` is a folder the members go into it. Otherwise, with ``rename``, the archive's one top name becomes
    ``path``. ``names`` is for an archive that is not trusted: only these may be its top names (``.`` for what is in a
    folder), and none of them may be a link. With ``owner``, a user (`find_user`) or `KEPT`, what is made belongs to
    that, and folders that are there are left as they are; it takes root.
    """
    try:
        target = _Target(path, rename=rename, names=names, owner=_owner(owner))
        with tarfile.open(
            fileobj=os.fdopen(0, "rb", buffering=_CHUNK, closefd=False),
            mode="r|",
            bufsize=_CHUNK,
            encoding="utf-8",
            errors="surrogateescape",
            tarinfo=Member,
        ) as archive:
            while (info := archive.next()) is not None:
                assert isinstance(info, Member)
                info.check()
                target.unpack(archive, info)
                archive.__dict__["members"] = []  # else tarfile keeps every member in memory
        target.finish()
        while os.read(0, _CHUNK):  # read what follows the end mark, so that the sender gets no SIGPIPE
            pass
    except OSError as error:
        return _complain(error.filename or path, error.strerror or str(error))
    except (
        tarfile.TarError,
        ValueError,
        OverflowError,
        RecursionError,
    ) as error:  # the latter from tarfile, too
        return _complain("reading the archive", str(error))
    except (_Refused, UnknownUser) as error:
        return _complain(path, str(error))
    return target.status


def _owner(owner: str | None) -> Owner | None:
    """Raises UnknownUser."""
    if owner is None:
        return None
    if owner == KEPT:
        return lambda info: (info.uid, info.gid)
    user = find_user(owner)
    return lambda _info: (user.uid, user.gid)


def _complain(what: object, why: str) -> int:
    sys.stderr.write(f"{what}: {why}\n")
    return 1


class _Target:
    """The folder that members go into. Folders are opened one by one, never through a symbolic link: none leads out."""

    def __init__(
        self, path: str, *, rename: bool, names: Collection[str] | None, owner: Owner | None = None
    ) -> None:
        self.status = 0
        self._path = path
        self._names = names
        self._name: str | None = None
        self._top: str | None = None
        if not path:
            raise _Refused("an empty path: name where to copy to")
        if os.path.isdir(path):
            self._base = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        elif rename:
            parent, self._name = os.path.split(path.rstrip("/"))
            self._base = os.open(parent or ".", os.O_RDONLY | os.O_DIRECTORY)
        else:
            raise _Refused("no such directory" if not os.path.lexists(path) else "not a directory")
        self._parent: tuple[str, ...] = ()
        self._parent_fd = self._base
        self._folders: list[tuple[tuple[str, ...], Member]] = []
        self._owner = owner
        self._mode = _KEPT_MODE if owner is None else _OWNED_MODE
        self._made: set[tuple[str, ...]] = set()

    def unpack(self, archive: tarfile.TarFile, info: Member) -> None:
        """Unpack one member. Raises OSError for an error that any other member would meet, too."""
        try:
            parts = self._parts(info.name, folder=info.isdir())
            if self._names is not None and info.issym() and len(parts) <= 1:
                raise _Refused("a link, where a file or a folder was asked for: not unpacked")
            if parts:
                self._place(archive, info, parts)
            elif info.isdir():
                self._folders.append(((), info))
        except _Refused as error:
            self.status = _complain(info.name, str(error))
        except OSError as error:
            if error.errno in _FATAL:
                raise
            self.status = _complain(info.name, error.strerror or str(error))

    def finish(self) -> None:
        """Set the times and modes of folders, now that nothing more is put into them."""
        for parts, info in reversed(self._folders):
            if self._owner is not None and parts not in self._made:
                continue
            try:
                fd = self._folder(parts, create=False)
                if self._owner is not None:
                    os.fchown(fd, *self._owner(info))
                os.fchmod(fd, info.mode & self._mode)
                os.utime(fd, ns=(info.mtime_ns, info.mtime_ns))
            except (OSError, _Refused) as error:
                self.status = _complain("/".join(parts) or self._path, str(error))

    def _parts(self, name: str, *, folder: bool) -> tuple[str, ...]:
        """The folders from the target to the member, and its name. Raises `_Refused`."""
        raw = [part for part in name.split("/") if part]
        parts = [part for part in raw if part != "."]
        if ".." in parts:
            raise _Refused("a name with '..' in it is not unpacked")
        if "\0" in name:
            raise _Refused("a name with NUL in it is not unpacked")
        top = raw[0] if raw else "."
        if self._names is not None and top not in self._names:
            raise _Refused("nobody asked for it: not unpacked")
        if self._name is None:
            return tuple(parts)
        if self._top is None:
            self._top = top
            if not folder and len(parts) == 1 and self._path.endswith("/"):
                raise NotADirectoryError(errno.ENOTDIR, "no such directory", self._path)
        if top != self._top:
            raise _Refused(f"{self._path} is not a directory, and the archive holds more than one name")
        return (self._name, *(parts if top == "." else parts[1:]))

    def _folder(self, parts: tuple[str, ...], *, create: bool = True) -> int:
        """A descriptor of the folder at ``parts``, valid until the next call. Raises OSError, `_Refused`."""
        if parts == self._parent:
            return self._parent_fd
        fd = os.dup(self._base)
        for depth, part in enumerate(parts):
            try:
                below, made = _open_folder(part, fd, create=create)
            except NotADirectoryError:
                raise _Refused(f"{'/'.join(parts[: depth + 1])} is not a directory of its own") from None
            finally:
                os.close(fd)
            fd = below
            if made:
                self._made.add(parts[: depth + 1])
        if self._parent_fd != self._base:
            os.close(self._parent_fd)
        self._parent, self._parent_fd = parts, fd
        return fd

    def _own(self, name: str, parent: int, info: Member) -> None:
        """Give what was made to its owner, which takes from it the bits that only an owner may give."""
        if self._owner is not None:
            os.chown(name, *self._owner(info), dir_fd=parent, follow_symlinks=False)
            if not info.issym():
                os.chmod(name, info.mode & self._mode, dir_fd=parent)

    def _place(self, archive: tarfile.TarFile, info: Member, parts: tuple[str, ...]) -> None:
        if info.isdir():
            self._folder(parts)
            self._folders.append((parts, info))
            return
        *above, name = parts
        parent = self._folder(tuple(above))
        if info.islnk():
            self._link(info, parts)
            return
        _make_room(name, parent)
        if info.isreg():
            _write_file(name, parent, info, archive)
        elif info.issym():
            os.symlink(info.linkname, name, dir_fd=parent)
            os.utime(name, ns=(info.mtime_ns, info.mtime_ns), dir_fd=parent, follow_symlinks=False)
        elif info.isfifo():
            os.mkfifo(name, info.mode & _KEPT_MODE, dir_fd=parent)
            os.utime(name, ns=(info.mtime_ns, info.mtime_ns), dir_fd=parent, follow_symlinks=False)
        else:
            raise _Refused("a device: not unpacked")
        self._own(name, parent, info)

    def _link(self, info: tarfile.TarInfo, parts: tuple[str, ...]) -> None:
        """Another name for a file of the archive."""
        *above, old = self._parts(info.linkname, folder=False)
        source = os.dup(self._folder(tuple(above)))
        try:
            parent = self._folder(parts[:-1])
            _make_room(parts[-1], parent)
            os.link(old, parts[-1], src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
        finally:
            os.close(source)


def _open_folder(name: str, parent: int, *, create: bool) -> tuple[int, bool]:
    """A descriptor of the folder, and whether it was made."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
    try:
        return os.open(name, flags, dir_fd=parent), False
    except FileNotFoundError:
        if not create:
            raise
        os.mkdir(name, 0o755, dir_fd=parent)
        return os.open(name, flags, dir_fd=parent), True


def _make_room(name: str, parent: int) -> None:
    """Remove a file that has the member's name, since it may be a link to another. Raises OSError for a folder."""
    try:
        os.unlink(name, dir_fd=parent)
    except FileNotFoundError:
        return


def _write_file(name: str, parent: int, info: Member, archive: tarfile.TarFile) -> None:
    fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=parent)
    try:
        for offset, data in _content(info, archive):
            # whole blocks of zeros become a hole, which takes no space
            if len(data) % _HOLE == 0 and data.count(0) == len(data):
                continue
            view = memoryview(data)
            while view:
                written = os.pwrite(fd, view, offset)
                view, offset = view[written:], offset + written
        os.ftruncate(fd, info.size)
        os.fchmod(fd, info.mode & _KEPT_MODE)
        os.utime(fd, ns=(info.mtime_ns, info.mtime_ns))
    finally:
        os.close(fd)


def _content(info: Member, archive: tarfile.TarFile) -> Iterator[tuple[int, bytes]]:
    """Offset and bytes of each part of a file that the archive has. Raises ReadError when the archive ends early."""
    assert archive.fileobj is not None
    archive.fileobj.seek(info.offset_data)
    for start, length in [(0, info.size)] if info.extents is None else info.extents:
        offset, end = start, start + length
        while offset < end:
            data = archive.fileobj.read(min(end - offset, _CHUNK))
            if not data:
                raise tarfile.ReadError(f"it ends in the middle of {info.name}")
            yield offset, data
            offset += len(data)
