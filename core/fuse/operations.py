"""What each operation of the protocol does, as a request's body says, and the body of its answer (see `bodies`)."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

from sandtop.core.fuse import beneath, protocol
from sandtop.core.fuse.bodies import NO_ENTRY, NOT_THERE, Shown, fields, moment, name_in, names_in
from sandtop.core.fuse.directory import Directory
from sandtop.core.fuse.folder import checked, refuse
from sandtop.core.fuse.protocol import NotFuse, Op

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandtop.core.fuse.folder import Folder
    from sandtop.core.fuse.nodes import Node

    Handler = Callable[[int, memoryview], bytes]

_WRITES: Final = frozenset(
    {
        Op.SETATTR, Op.SYMLINK, Op.MKNOD, Op.MKDIR, Op.UNLINK, Op.RMDIR, Op.RENAME, Op.RENAME2, Op.LINK, Op.WRITE,
        Op.CREATE, Op.FALLOCATE,
    }
)  # fmt: skip
_MOST_SIZE: Final = (1 << 63) - 1


class Operations:
    """The operations on ``folder``, whose files are shown as those of ``uid`` and ``gid``; at most ``most`` are open.

    Attributes:
        handlers: by operation: called with a node's number and a body. They raise OSError, or `NotFuse` for a body that
            is none.
    """

    def __init__(self, folder: Folder, uid: int, gid: int, *, read_only: bool, most: int) -> None:
        self._folder = folder
        self._shown = Shown(uid, gid)
        self._read_only = read_only
        self._most = most
        self._files: dict[int, tuple[Node, int]] = {}
        self._directories: dict[int, Directory] = {}
        self._last = 0
        methods: Mapping[Op, Handler] = {
            Op.LOOKUP: self._look_up, Op.FORGET: self._forget, Op.BATCH_FORGET: self._forget_all,
            Op.GETATTR: self._get_attributes, Op.SETATTR: self._set_attributes, Op.READLINK: self._read_link,
            Op.SYMLINK: self._symlink, Op.MKNOD: self._make_node, Op.MKDIR: self._make_directory,
            Op.UNLINK: self._unlink, Op.RMDIR: self._remove_directory, Op.RENAME: self._rename,
            Op.RENAME2: self._rename_by_flags, Op.LINK: self._link, Op.OPEN: self._open, Op.CREATE: self._create,
            Op.READ: self._read, Op.WRITE: self._write, Op.RELEASE: self._release, Op.FSYNC: self._sync,
            Op.FALLOCATE: self._allocate, Op.LSEEK: self._seek, Op.STATFS: self._space, Op.INIT: self._begin,
            Op.OPENDIR: self._open_directory, Op.READDIR: self._list, Op.READDIRPLUS: self._list_with_attributes,
            Op.RELEASEDIR: self._release_directory, Op.FSYNCDIR: self._sync_directory,
            Op.INTERRUPT: _nothing, Op.NOTIFY_REPLY: _nothing, Op.DESTROY: _nothing,
        }  # fmt: skip
        self.handlers: dict[int, Handler] = {
            op: _read_only if read_only and op in _WRITES else handler for op, handler in methods.items()
        }

    def close(self) -> None:
        """Close all that the guest has open."""
        for node, descriptor in self._files.values():
            self._folder.close(node, descriptor)
        for directory in self._directories.values():
            directory.close()
        self._files.clear()
        self._directories.clear()

    def _node(self, number: int) -> Node:
        return self._folder.nodes.get(number)

    # the mount

    def _begin(self, _number: int, body: memoryview) -> bytes:
        major, minor, read_ahead, flags = fields(protocol.INIT_IN, body)
        if major != protocol.MAJOR or minor < protocol.OLDEST_MINOR:
            refuse(errno.EPROTO)
        return protocol.INIT_OUT.pack(
            protocol.MAJOR,
            protocol.MINOR,
            min(read_ahead, protocol.MAX_WRITE),
            flags & protocol.WANTED,
            16,
            12,
            protocol.MAX_WRITE,
            1,
            protocol.MAX_WRITE // 4096,
            0,
            0,
        )

    def _space(self, _number: int, _body: memoryview) -> bytes:
        found = self._folder.space()
        return protocol.STATFS_OUT.pack(
            found.f_blocks,
            found.f_bfree,
            found.f_bavail,
            found.f_files,
            found.f_ffree,
            found.f_bsize,
            protocol.MAX_NAME,
            found.f_frsize,
            0,
        )

    # nodes

    def _look_up(self, number: int, body: memoryview) -> bytes:
        name = name_in(body)
        try:
            return self._shown.entry(self._folder.look_up(self._node(number), name))
        except FileNotFoundError:
            return NOT_THERE

    def _forget(self, number: int, body: memoryview) -> bytes:
        self._folder.nodes.forget(number, fields(protocol.FORGET_IN, body)[0])
        return b""

    def _forget_all(self, _number: int, body: memoryview) -> bytes:
        count, _ = fields(protocol.BATCH_FORGET_IN, body)
        if len(body) < protocol.BATCH_FORGET_IN.size + count * protocol.FORGET_ONE.size:
            raise NotFuse("a list of what is forgotten that is not whole")
        for n in range(count):
            self._folder.nodes.forget(
                *protocol.FORGET_ONE.unpack_from(
                    body, protocol.BATCH_FORGET_IN.size + n * protocol.FORGET_ONE.size
                )
            )
        return b""

    def _get_attributes(self, number: int, body: memoryview) -> bytes:
        flags, _, handle = fields(protocol.GETATTR_IN, body)
        if flags & protocol.GETATTR_FH and handle in self._files:
            return self._shown.attributes(os.fstat(self._files[handle][1]))
        return self._shown.attributes(self._folder.status(self._node(number)))

    def _set_attributes(self, number: int, body: memoryview) -> bytes:
        what, _, handle, size, _, accessed, modified, _, accessed_ns, modified_ns, _, mode, *_ = fields(
            protocol.SETATTR_IN, body
        )
        node, folder = self._node(number), self._folder
        if what & protocol.SET_MODE:
            folder.set_mode(node, mode)
        if what & protocol.SET_SIZE:
            if size > _MOST_SIZE:
                refuse(errno.EFBIG)
            by = self._file(handle) if what & protocol.BY_HANDLE else None
            folder.truncate(node, size, by)
        # who owns it is not the guest's to say: all is the operator's, and is shown as the sandbox's user's
        if what & (protocol.SET_ATIME | protocol.SET_MTIME):
            both = protocol.ATIME_NOW | protocol.MTIME_NOW
            folder.set_times(
                node,
                moment(what, protocol.SET_ATIME, protocol.ATIME_NOW, accessed, accessed_ns),
                moment(what, protocol.SET_MTIME, protocol.MTIME_NOW, modified, modified_ns),
                now=what & both == both,
            )
        return self._shown.attributes(folder.status(node))

    def _read_link(self, number: int, _body: memoryview) -> bytes:
        return self._folder.read_link(self._node(number))

    # names

    def _symlink(self, number: int, body: memoryview) -> bytes:
        name, target = names_in(body, 2)
        if not 0 < len(target) <= protocol.MAX_TARGET:
            refuse(errno.ENAMETOOLONG)
        return self._shown.entry(self._folder.make_link(self._node(number), checked(name), target))

    def _make_node(self, number: int, body: memoryview) -> bytes:
        mode, *_ = fields(protocol.MKNOD_IN, body)
        name = name_in(body[protocol.MKNOD_IN.size :])
        return self._shown.entry(self._folder.make_node(self._node(number), name, mode))

    def _make_directory(self, number: int, body: memoryview) -> bytes:
        mode, _ = fields(protocol.MKDIR_IN, body)
        name = name_in(body[protocol.MKDIR_IN.size :])
        return self._shown.entry(self._folder.make_directory(self._node(number), name, mode))

    def _unlink(self, number: int, body: memoryview) -> bytes:
        self._folder.remove(self._node(number), name_in(body), directory=False)
        return b""

    def _remove_directory(self, number: int, body: memoryview) -> bytes:
        self._folder.remove(self._node(number), name_in(body), directory=True)
        return b""

    def _rename(self, number: int, body: memoryview) -> bytes:
        (to,) = fields(protocol.RENAME_IN, body)
        return self._move(number, to, 0, body[protocol.RENAME_IN.size :])

    def _rename_by_flags(self, number: int, body: memoryview) -> bytes:
        to, flags, _ = fields(protocol.RENAME2_IN, body)
        return self._move(number, to, flags, body[protocol.RENAME2_IN.size :])

    def _move(self, number: int, to: int, flags: int, names: memoryview) -> bytes:
        old, new = names_in(names, 2)
        self._folder.rename(self._node(number), checked(old), self._node(to), checked(new), flags)
        return b""

    def _link(self, number: int, body: memoryview) -> bytes:
        (old,) = fields(protocol.LINK_IN, body)
        name = name_in(body[protocol.LINK_IN.size :])
        return self._shown.entry(self._folder.link(self._node(old), self._node(number), name))

    # files

    def _open(self, number: int, body: memoryview) -> bytes:
        flags, _ = fields(protocol.OPEN_IN, body)
        if self._read_only and (flags & os.O_ACCMODE != os.O_RDONLY or flags & os.O_TRUNC):
            refuse(errno.EROFS)
        self._check_room()
        node = self._node(number)
        return self._opened(node, self._folder.open_file(node, flags))

    def _create(self, number: int, body: memoryview) -> bytes:
        flags, mode, _, _ = fields(protocol.CREATE_IN, body)
        name = name_in(body[protocol.CREATE_IN.size :])
        self._check_room()
        node, status, descriptor = self._folder.create(self._node(number), name, mode, flags)
        return self._shown.entry((node, status)) + self._opened(node, descriptor)

    def _check_room(self) -> None:
        if len(self._files) + len(self._directories) >= self._most:
            refuse(errno.ENFILE)

    def _opened(self, node: Node, descriptor: int) -> bytes:
        self._last += 1
        self._files[self._last] = node, descriptor
        return protocol.OPEN_OUT.pack(self._last, 0, 0)

    def _file(self, handle: int) -> int:
        if handle not in self._files:
            refuse(errno.EBADF)
        return self._files[handle][1]

    def _read(self, _number: int, body: memoryview) -> bytes:
        handle, offset, size, *_ = fields(protocol.READ_IN, body)
        if size > protocol.MAX_WRITE or offset > _MOST_SIZE:
            refuse(errno.EINVAL)
        return os.pread(self._file(handle), size, offset)

    def _write(self, _number: int, body: memoryview) -> bytes:
        handle, offset, size, *_ = fields(protocol.WRITE_IN, body)
        data = body[protocol.WRITE_IN.size :]
        if size > len(data) or offset > _MOST_SIZE:
            refuse(errno.EINVAL)
        return protocol.WRITE_OUT.pack(os.pwrite(self._file(handle), data[:size], offset), 0)

    def _release(self, _number: int, body: memoryview) -> bytes:
        handle, *_ = fields(protocol.RELEASE_IN, body)
        if (found := self._files.pop(handle, None)) is not None:
            self._folder.close(*found)
        return b""

    def _sync(self, _number: int, body: memoryview) -> bytes:
        handle, flags, _ = fields(protocol.FSYNC_IN, body)
        (os.fdatasync if flags & 1 else os.fsync)(self._file(handle))
        return b""

    def _allocate(self, _number: int, body: memoryview) -> bytes:
        handle, offset, length, mode, _ = fields(protocol.FALLOCATE_IN, body)
        if mode:
            refuse(errno.EOPNOTSUPP)
        if offset > _MOST_SIZE or not 0 < length <= _MOST_SIZE:
            refuse(errno.EINVAL)
        beneath.allocate(self._file(handle), offset, length)
        return b""

    def _seek(self, _number: int, body: memoryview) -> bytes:
        handle, offset, whence, _ = fields(protocol.LSEEK_IN, body)
        if whence not in (os.SEEK_DATA, os.SEEK_HOLE) or offset > _MOST_SIZE:
            refuse(errno.EINVAL)
        return protocol.LSEEK_OUT.pack(os.lseek(self._file(handle), offset, whence))

    # directories

    def _open_directory(self, number: int, _body: memoryview) -> bytes:
        self._check_room()
        node = self._node(number)
        opened = Directory(node, self._folder.open_directory(node))
        self._last += 1
        self._directories[self._last] = opened
        return protocol.OPEN_OUT.pack(self._last, 0, 0)

    def _directory(self, handle: int) -> Directory:
        if handle not in self._directories:
            refuse(errno.EBADF)
        return self._directories[handle]

    def _list(self, _number: int, body: memoryview) -> bytes:
        return self._listed(body, attributes=False)

    def _list_with_attributes(self, _number: int, body: memoryview) -> bytes:
        return self._listed(body, attributes=True)

    def _listed(self, body: memoryview, *, attributes: bool) -> bytes:
        handle, offset, size, *_ = fields(protocol.READ_IN, body)
        if size > protocol.MAX_WRITE or offset > _MOST_SIZE:
            refuse(errno.EINVAL)
        directory = self._directory(handle)
        directory.go_to(offset)
        answer = bytearray()
        while (entry := directory.peek()) is not None:
            room = protocol.DIRENT.size + len(entry.name) + 7 & ~7
            if attributes:
                room += len(NO_ENTRY)
            if len(answer) + room > size:
                break
            if attributes:
                answer += self._entry_of(directory, entry.name)
            answer += protocol.DIRENT.pack(entry.inode, entry.after, len(entry.name), entry.kind)
            answer += entry.name + bytes(-len(entry.name) % 8)
            directory.take()
        return bytes(answer)

    def _entry_of(self, directory: Directory, name: bytes) -> bytes:
        if name not in (b".", b".."):
            try:
                return self._shown.entry(self._folder.listed(directory.node, directory.descriptor, name))
            except OSError:  # it is gone, or there are too many: the kernel looks it up when it needs it
                pass
        return NO_ENTRY

    def _release_directory(self, _number: int, body: memoryview) -> bytes:
        handle, *_ = fields(protocol.RELEASE_IN, body)
        if (found := self._directories.pop(handle, None)) is not None:
            found.close()
        return b""

    def _sync_directory(self, _number: int, body: memoryview) -> bytes:
        handle, *_ = fields(protocol.FSYNC_IN, body)
        os.fsync(self._directory(handle).descriptor)
        return b""


def _nothing(_number: int, _body: memoryview) -> bytes:
    return b""


def _read_only(_number: int, _body: memoryview) -> bytes:
    refuse(errno.EROFS)
