"""The folder of the host that a mount shows, and what can be done in it: calls by node and by name in a node.

Each call opens what it works on anew (`beneath`), looks whether it is what the guest's kernel means, and goes by
descriptor then. Regular files alone are opened: what else there is (devices, FIFOs, sockets) is shown, never touched.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NoReturn

from sandtop.core.fuse import beneath, protocol
from sandtop.core.fuse.nodes import Node, Nodes

if TYPE_CHECKING:
    from collections.abc import Collection, Generator

_PERMISSIONS: Final = 0o777
_KEPT_OF_A_DIRECTORY: Final = stat.S_ISGID | stat.S_ISVTX
"""Bits that a directory of the host keeps when a guest sets its permissions. No guest sets them."""
_CHANGED: Final = (stat.S_IFREG, stat.S_IFDIR, stat.S_IFSOCK)
"""What a guest may change permissions and times of. (A socket's file has nobody behind it on the host.)"""
_OPEN_FLAGS: Final = os.O_ACCMODE | os.O_APPEND
"""What of open(2)'s flags reaches the host. O_TRUNC is carried out once it is known what was opened."""
_TIMES_TRIED: Final = 8
_PROC_NAME: Final = "/proc/self/fd"


def refuse(number: int) -> NoReturn:
    """Raise the OSError of the errno(3) ``number``."""
    raise OSError(number, os.strerror(number))


def checked(name: bytes) -> bytes:
    """``name``, when it is one of an entry of a directory. Raises OSError for ``..``, for a path …"""
    if not name or name in (b".", b"..") or b"/" in name or b"\0" in name:
        refuse(errno.EINVAL)
    if len(name) > protocol.MAX_NAME:
        refuse(errno.ENAMETOOLONG)
    return name


class Folder:
    """The folder behind the descriptor ``root``; with at most ``most`` nodes. All methods raise OSError."""

    def __init__(self, root: int, most: int) -> None:
        self._root = root
        status = os.fstat(root)
        self.nodes = Nodes((status.st_dev, status.st_ino), most)
        self._by_number = os.open(_PROC_NAME, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def end(self) -> None:
        """Close what this opened, less what its callers hold. ``root`` is the caller's."""
        os.close(self._by_number)

    # finding

    @contextmanager
    def _pinned(self, node: Node) -> Generator[int]:
        """A descriptor (O_PATH) of ``node``, which is there still."""
        if node.handles:
            yield node.handles[0]  # also when its name is gone
            return
        descriptor = beneath.pin(self._root, node.path())
        try:
            status = os.fstat(descriptor)
            if (status.st_dev, status.st_ino) != node.key:
                refuse(errno.ESTALE)
            yield descriptor
        finally:
            os.close(descriptor)

    def _reopen(self, descriptor: int, flags: int) -> int:
        """Open the file behind ``descriptor``; a regular one, else it is refused."""
        _check_kind(os.fstat(descriptor).st_mode, (stat.S_IFREG,))
        flags = flags & _OPEN_FLAGS | os.O_CLOEXEC | os.O_NOCTTY
        return os.open(str(descriptor), flags, dir_fd=self._by_number)

    # nodes

    def status(self, node: Node) -> os.stat_result:
        """The status of ``node`` (stat(2))."""
        with self._pinned(node) as descriptor:
            return os.fstat(descriptor)

    def look_up(self, parent: Node, name: bytes) -> tuple[Node, os.stat_result]:
        """The node at ``name`` in ``parent``, of which the guest will be told."""
        with self._pinned(parent) as folder:
            return self._told(parent, folder, name)

    def _told(self, parent: Node, folder: int, name: bytes) -> tuple[Node, os.stat_result]:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        return self.nodes.seen(parent, name, status), status

    def read_link(self, node: Node) -> bytes:
        """Where the symbolic link leads, which the guest alone follows."""
        with self._pinned(node) as descriptor:
            return os.readlink(b"", dir_fd=descriptor)

    def open_file(self, node: Node, flags: int) -> int:
        """A descriptor of the regular file ``node``; with O_TRUNC among the ``flags`` it is empty."""
        with self._pinned(node) as pinned:
            descriptor = self._reopen(pinned, flags)
        return self._opened(node, descriptor, flags)

    def _opened(self, node: Node, descriptor: int, flags: int) -> int:
        try:
            if flags & os.O_TRUNC and flags & os.O_ACCMODE != os.O_RDONLY:
                os.ftruncate(descriptor, 0)
        except BaseException:
            os.close(descriptor)
            raise
        node.handles.append(descriptor)
        return descriptor

    def open_directory(self, node: Node) -> int:
        """A descriptor of the directory ``node``, to list it."""
        descriptor = beneath.open_directory(self._root, node.path())
        status = os.fstat(descriptor)
        if (status.st_dev, status.st_ino) != node.key:
            os.close(descriptor)
            refuse(errno.ESTALE)
        return descriptor

    def close(self, node: Node, descriptor: int) -> None:
        """``descriptor`` of the file ``node`` is of no more use."""
        node.handles.remove(descriptor)
        os.close(descriptor)

    def listed(self, parent: Node, folder: int, name: bytes) -> tuple[Node, os.stat_result]:
        """As `look_up`, for a name that was read from ``folder``, a descriptor of ``parent``."""
        return self._told(parent, folder, name)

    # changes of one node

    def truncate(self, node: Node, size: int, descriptor: int | None) -> None:
        """Set its size; ``descriptor`` is one by which it is open for writing."""
        if descriptor is not None:
            os.ftruncate(descriptor, size)
            return
        with self._pinned(node) as pinned:
            opened = self._reopen(pinned, os.O_WRONLY)
        try:
            os.ftruncate(opened, size)
        finally:
            os.close(opened)

    def set_mode(self, node: Node, mode: int) -> None:
        """Set its permissions, and no other bit."""
        with self._pinned(node) as pinned:
            before = os.fstat(pinned).st_mode
            _check_kind(before, _CHANGED)
            kept = before & _KEPT_OF_A_DIRECTORY if stat.S_ISDIR(before) else 0
            os.chmod(str(pinned), mode & _PERMISSIONS | kept, dir_fd=self._by_number)

    def set_times(self, node: Node, accessed: int | None, modified: int | None, *, now: bool) -> None:
        """Set when it was read and changed, in nanoseconds since the epoch; None leaves one. ``now``: both to now."""
        with self._pinned(node) as pinned:
            status = os.fstat(pinned)
            _check_kind(status.st_mode, (*_CHANGED, stat.S_IFLNK))
            times = None
            if not now:
                times = (
                    status.st_atime_ns if accessed is None else accessed,
                    status.st_mtime_ns if modified is None else modified,
                )
            if not stat.S_ISLNK(status.st_mode):
                _set_times(str(pinned), self._by_number, times)
                return
        with self._pinned(node.parent) as folder:
            _set_times(node.name, folder, times)

    # changes of a directory

    def create(self, parent: Node, name: bytes, mode: int, flags: int) -> tuple[Node, os.stat_result, int]:
        """Open a file by ``name``, made when it is not there. Its node, status and descriptor."""
        with self._pinned(parent) as folder:
            for _ in range(_TIMES_TRIED):
                try:
                    descriptor = _make(folder, name, mode, flags)
                except FileExistsError:
                    if flags & os.O_EXCL:
                        raise
                else:
                    node, status = self._told_of(parent, name, descriptor)
                    node.handles.append(descriptor)
                    return node, status, descriptor
                try:
                    node, status = self._told(parent, folder, name)
                except FileNotFoundError:
                    continue  # it was removed in between
                try:
                    return node, status, self.open_file(node, flags & ~os.O_CREAT)
                except BaseException:
                    self.nodes.forget(node.id, 1)
                    raise
        refuse(errno.EBUSY)

    def _told_of(self, parent: Node, name: bytes, descriptor: int) -> tuple[Node, os.stat_result]:
        try:
            status = os.fstat(descriptor)
            return self.nodes.seen(parent, name, status), status
        except BaseException:
            os.close(descriptor)
            raise

    def make_node(self, parent: Node, name: bytes, mode: int) -> tuple[Node, os.stat_result]:
        """An empty file, or the name of a Unix socket. A device or a FIFO is refused."""
        kind = stat.S_IFMT(mode) or stat.S_IFREG
        if kind not in (stat.S_IFREG, stat.S_IFSOCK):
            refuse(errno.EPERM)
        with self._pinned(parent) as folder:
            os.mknod(name, mode & _PERMISSIONS | kind, dir_fd=folder)
            return self._told(parent, folder, name)

    def make_directory(self, parent: Node, name: bytes, mode: int) -> tuple[Node, os.stat_result]:
        with self._pinned(parent) as folder:
            os.mkdir(name, mode & _PERMISSIONS, dir_fd=folder)
            return self._told(parent, folder, name)

    def make_link(self, parent: Node, name: bytes, target: bytes) -> tuple[Node, os.stat_result]:
        """A symbolic link to ``target``, whatever that is: it leads nowhere but in the guest."""
        with self._pinned(parent) as folder:
            os.symlink(target, name, dir_fd=folder)
            return self._told(parent, folder, name)

    def link(self, node: Node, parent: Node, name: bytes) -> tuple[Node, os.stat_result]:
        """Another name for the file ``node``."""
        with self._pinned(node.parent) as source, self._pinned(parent) as folder:
            status = os.stat(node.name, dir_fd=source, follow_symlinks=False)
            if (status.st_dev, status.st_ino) != node.key:
                refuse(errno.ESTALE)
            os.link(node.name, name, src_dir_fd=source, dst_dir_fd=folder, follow_symlinks=False)
            return self._told(parent, folder, name)

    def remove(self, parent: Node, name: bytes, *, directory: bool) -> None:
        """unlink(2) or rmdir(2)."""
        with self._pinned(parent) as folder:
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if directory:
                os.rmdir(name, dir_fd=folder)
            else:
                os.unlink(name, dir_fd=folder)
        self.nodes.removed(status)

    def rename(self, parent: Node, name: bytes, to: Node, new_name: bytes, flags: int) -> None:
        """renameat2(2) with RENAME_NOREPLACE or RENAME_EXCHANGE among the ``flags``, or neither."""
        if flags & ~(beneath.NOREPLACE | beneath.EXCHANGE):
            refuse(errno.EINVAL)
        with self._pinned(parent) as source, self._pinned(to) as target:
            moved = os.stat(name, dir_fd=source, follow_symlinks=False)
            try:
                there = os.stat(new_name, dir_fd=target, follow_symlinks=False)
            except FileNotFoundError:
                there = None
            beneath.rename(source, name, target, new_name, flags)
        if there is not None:
            if flags & beneath.EXCHANGE:
                self.nodes.moved(parent, name, there)
            elif (there.st_dev, there.st_ino) != (moved.st_dev, moved.st_ino):
                self.nodes.removed(there)
        self.nodes.moved(to, new_name, moved)

    def space(self) -> os.statvfs_result:
        """Sizes and free space of the file system which the folder is on (statvfs(3))."""
        return os.fstatvfs(self._root)


def _check_kind(mode: int, kinds: Collection[int]) -> None:
    """Refuse what is none of these: a device, a FIFO …"""
    if stat.S_IFMT(mode) not in kinds:
        refuse(errno.EACCES)


def _set_times(name: str | bytes, folder: int, times: tuple[int, int] | None) -> None:
    follow = isinstance(name, str)  # the number of a descriptor in /proc, which leads to what it is open on
    if times is None:
        os.utime(name, dir_fd=folder, follow_symlinks=follow)
    else:
        os.utime(name, ns=times, dir_fd=folder, follow_symlinks=follow)


def _make(folder: int, name: bytes, mode: int, flags: int) -> int:
    flags = flags & _OPEN_FLAGS | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY
    return os.open(name, flags, mode & _PERMISSIONS, dir_fd=folder)
