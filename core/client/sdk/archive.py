"""Unpacking the tar stream that a sandbox sends, whose every word may be a lie. Blocking."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from sandtop.core.errors import StorageError
from sandtop.core.tar.fields import TarError, shown
from sandtop.core.tar.reader import Kind, Reader

from ._below import KEPT_MODE, Below, Refused
from ._skipped import Skipped

if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import BinaryIO

    from sandtop.core.tar.reader import Member

    from ._below import Way

_FATAL: Final = frozenset(
    (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM)
)
"""What no other member would fare better with."""
_MAX_WRITTEN: Final = 1 << 20
"""Files that are remembered as this copy's own; a hard link to one of the others is refused."""
_THERE: Final = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def top_name(source: str) -> str:
    """The one name at the top of the archive of ``source``, a path in a sandbox; ``.`` for what is in a folder."""
    return os.path.basename(source.rstrip("/")) or "."


class Unpacker:
    """Puts the members of a tar stream below one folder and nowhere else, whatever their names and links say.

    Into ``target`` when that is a folder; otherwise the archive's one top name becomes ``target``, as with cp(1). At
    the top only the ``names`` that were asked for arrive (none: the first that comes), and none of them as a link,
    which the next copy would follow. Folders that were there keep their mode and time; files and links that were
    there are replaced, never written through.

    Attributes:
        skipped: what was not unpacked.
        copied: members that were.
    """

    def __init__(self, target: str, names: Collection[str] = ()) -> None:
        self.skipped = Skipped()
        self.copied = 0
        self._target = target
        self._names = {os.fsencode(name) for name in names}
        self._rename: bytes | None = None
        self._written: set[int] = set()

    def unpack(self, stream: BinaryIO) -> None:
        """Read ``stream`` to its end. Raises `StorageError` when nothing (more) can be read or written."""
        try:
            base = self._open_base()
        except OSError as error:
            raise StorageError(f"{self._target}: {error.strerror}") from error
        below = Below(base, self._complain)
        try:
            try:
                self._members(Reader(stream), below)
            finally:
                below.close()
        except TarError as error:
            raise StorageError(f"the archive cannot be read: {error}{self._stays()}") from error
        except OSError as error:
            raise StorageError(f"{self._target}: {error.strerror or error}{self._stays()}") from error
        finally:
            os.close(base)

    def _stays(self) -> str:
        if not self.copied:
            return ""
        skipped = f", {self.skipped.count} were left out" if self.skipped.count else ""
        return f" (what was copied before stays: {self.copied} entries{skipped})"

    def _complain(self, name: bytes, error: OSError | Refused) -> None:
        why = error.strerror or str(error) if isinstance(error, OSError) else str(error)
        self.skipped.add(shown(name), why)

    def _open_base(self) -> int:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        try:
            return os.open(self._target, flags)
        except (FileNotFoundError, NotADirectoryError):
            folder, name = os.path.split(self._target.rstrip("/"))
            if name in ("", ".", ".."):
                raise
            self._rename = os.fsencode(name)
            return os.open(folder or ".", flags)

    def _members(self, reader: Reader, below: Below) -> None:
        while (member := reader.next()) is not None:
            try:
                self._member(reader, member, below)
                self.copied += 1
            except Refused as error:
                self._complain(member.name, error)
            except OSError as error:
                if error.errno in _FATAL:
                    raise
                self._complain(member.name, error)

    def _way(self, name: bytes) -> tuple[Way, bool]:
        """The way from the base to a member, and whether it is one of the top names. Raises `Refused`."""
        if name.startswith(b"/"):
            raise Refused("a name that begins at the root")
        top, *rest = [part for part in name.split(b"/") if part] or [b""]
        if not top or b".." in (top, *rest):
            raise Refused("a name with '..' in it" if top else "a member without a name")
        if not self._names:
            self._names = {top}
        if top not in self._names:
            raise Refused("not what was asked for")
        if self._rename is not None and len(self._names) > 1:
            raise Refused(f"{self._target} is not a folder, and the archive holds more than one name")
        below = tuple(part for part in rest if part != b".")
        if self._rename is not None:
            return (self._rename, *below), not below
        return below if top == b"." else (top, *below), not below

    def _member(self, reader: Reader, member: Member, below: Below) -> None:
        way, at_top = self._way(member.name)
        if member.kind is Kind.FOLDER:
            below.enter(way, mode=member.mode, mtime=member.mtime)
            return
        if not way or (at_top and self._rename is not None and self._target.endswith("/")):
            raise Refused("not a folder")
        if at_top and member.kind is Kind.LINK:
            raise Refused(f"a link to {shown(member.target)}: copy that instead")
        parent = below.enter(way[:-1])
        if member.kind is Kind.HARD_LINK:
            self._link(member, way[-1], parent, below)
        elif member.kind is Kind.FILE:
            self._file(reader, member, way[-1], parent)
        else:
            _special(member, way[-1], parent)

    def _file(self, reader: Reader, member: Member, name: bytes, parent: int) -> None:
        _make_room(name, parent, member.kind)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(name, flags, 0o600, dir_fd=parent)
        try:
            _fill(fd, reader, member)
            os.fchmod(fd, member.mode & KEPT_MODE)
            os.utime(fd, ns=(member.mtime, member.mtime))
            if len(self._written) < _MAX_WRITTEN:
                self._written.add(_identity(os.fstat(fd)))
        except BaseException:
            # half of a file looks like a whole one
            with suppress(OSError):
                os.unlink(name, dir_fd=parent)
            raise
        finally:
            os.close(fd)

    def _link(self, member: Member, name: bytes, parent: int, below: Below) -> None:
        """Another name for a file that this copy made."""
        way, _ = self._way(member.target)
        if not way:
            raise Refused("a hard link to a folder")
        source = below.find(way[:-1])
        try:
            status = os.stat(way[-1], dir_fd=source, follow_symlinks=False)
            if _identity(status) not in self._written:
                raise Refused(f"a hard link to {shown(member.target)}, which is no file of this copy")
            if not _same(name, parent, status):
                _make_room(name, parent, member.kind)
                os.link(way[-1], name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            raise Refused(f"a hard link to {shown(member.target)}, which is not there") from None
        finally:
            os.close(source)


def _identity(status: os.stat_result) -> int:
    """Device and inode as one number: of a million, tuples would take twice the memory."""
    return status.st_dev << 64 | status.st_ino


def _special(member: Member, name: bytes, parent: int) -> None:
    """A symbolic link or a FIFO. Raises `Refused` for what is neither."""
    if member.kind is Kind.LINK:
        _make_room(name, parent, member.kind)
        os.symlink(member.target, name, dir_fd=parent)
    elif member.kind is Kind.FIFO:
        _make_room(name, parent, member.kind)
        os.mkfifo(name, 0o600, dir_fd=parent)
        os.chmod(name, member.mode & KEPT_MODE, dir_fd=parent)
    else:
        raise Refused("a device" if member.kind is not Kind.OTHER else "of a kind that is not known")
    os.utime(name, ns=(member.mtime, member.mtime), dir_fd=parent, follow_symlinks=False)


def _make_room(name: bytes, parent: int, kind: Kind) -> None:
    """Remove the file or link that has the name: writing into it could write through it. Raises `Refused`."""
    try:
        mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return
    there = _THERE.get(stat.S_IFMT(mode))
    if there and not (stat.S_ISFIFO(mode) and kind is Kind.FIFO):
        raise Refused(f"{there} is in its place")
    os.unlink(name, dir_fd=parent)


def _same(name: bytes, parent: int, status: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(name, dir_fd=parent, follow_symlinks=False), status)
    except FileNotFoundError:
        return False


def _fill(fd: int, reader: Reader, member: Member) -> None:
    """What lies between the pieces, and pieces of nothing but zeros, become holes."""
    for offset, data in reader.content():
        if not data.strip(b"\0"):
            continue
        view = memoryview(data)
        while view:
            count = os.pwrite(fd, view, offset)
            view, offset = view[count:], offset + count
    os.ftruncate(fd, member.size)
