"""Writing a file: as a whole beside its place, and put there when it is complete, so that nobody sees a part of it."""

from __future__ import annotations

import errno
import os
import stat

from ..wire import values
from .call import GO_ON, WAIT
from .status import about, check_regular, failed, make_parents

TYPE_CHECKING = False  # see wire/frames.py
if TYPE_CHECKING:
    from typing import Final

    from .call import Call, Fields, Steps

_ABOVE: Final = 40
"""Symbolic links that the kernel follows in one path (path_resolution(7))."""
_COPY: Final = 1 << 20
_NO_NEW_FILE: Final = frozenset(
    (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS)
)
"""What a folder says in which a file may be written and none be made: one of somebody else's, /proc, /sys."""
_NO_ATTRIBUTES: Final = frozenset((errno.EOPNOTSUPP, errno.ENODATA, errno.EPERM, errno.EACCES, errno.ENOENT))
_NOT_REPLACED: Final = frozenset((errno.EBUSY, errno.EACCES, errno.EPERM, errno.EXDEV))
"""What rename(2) says of a file that can be written to but not replaced, such as a mount point."""


def write(fields: Fields, call: Call) -> Steps:
    """``write``: the file at ``path`` is what comes by the core's stream, with ``mode``, or the mode that it has.

    With ``parents`` folders that are missing are made. What is there keeps its owner, and where a link leads, that is
    written. It is replaced at once and as a whole; only where it cannot be, it is written in its place.
    """
    path = values.text(fields, "path")
    mode = None if fields.get("mode") is None else values.integer(fields, "mode", 0, 0o7777)
    target = _Target(path, mode, parents=values.boolean(fields, "parents"))
    try:
        while call.pieces or not call.finished:
            if not call.pieces:
                yield WAIT
                continue
            target.write(call.pieces.popleft())
            yield GO_ON
        target.commit()
        return about(os.stat(target.path))
    except OSError as error:
        error.filename = path
        raise
    finally:
        target.close()


class _Target:
    """The file that is being written: one without a name beside its place, or the one in its place itself.

    Attributes:
        path: the place, behind all links.
    """

    def __init__(self, path: str, mode: int | None, *, parents: bool) -> None:
        if path.endswith("/"):
            raise failed(errno.EISDIR, path)
        self.path = _behind_links(path)
        self._mode = mode
        self._temporary: str | None = None
        folder = os.path.dirname(self.path) or "/"
        if parents:
            make_parents(folder)
        self._there = _status(self.path)
        if self._there is not None and not os.access(self.path, os.W_OK, effective_ids=True):
            raise failed(errno.EACCES, path)  # to put another in its place may be allowed, and is not meant
        self._in_place = self._there is not None and self._there.st_uid != os.geteuid() != 0
        if self._in_place:  # only its owner can give a new file the same owner
            self._fd = self._open_in_place()
            return
        try:
            self._fd = self._make(folder)
        except OSError as error:
            if self._there is None or error.errno not in _NO_NEW_FILE:
                raise
            self._in_place = True
            self._fd = self._open_in_place()

    def _open_in_place(self) -> int:
        return os.open(self.path, os.O_WRONLY | os.O_TRUNC | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)

    def _make(self, folder: str) -> int:
        try:  # without a name nothing of it is left when this process is killed
            return os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL):
                raise
        self._temporary = self._beside()
        return os.open(self._temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)

    def _beside(self) -> str:
        """A name that nothing has, in the same folder."""
        return os.path.join(os.path.dirname(self.path), f".sandtop-{os.urandom(8).hex()}")

    def write(self, piece: bytes) -> None:
        view = memoryview(piece)
        while view:
            view = view[os.write(self._fd, view) :]

    def commit(self) -> None:
        """All was written: put it in its place."""
        if self._in_place:
            if self._mode is not None:
                os.fchmod(self._fd, self._mode)
            return
        there = self._there
        if there is not None and (there.st_uid, there.st_gid) != (os.geteuid(), os.getegid()):
            self._keep_owner(there)
        if there is not None:
            self._keep_attributes()
        mode = stat.S_IMODE(there.st_mode) if there is not None else 0o666 & ~_umask()
        os.fchmod(self._fd, mode if self._mode is None else self._mode)
        if self._temporary is None:
            name = self._beside()
            # with a src_dir_fd Python calls linkat(2), which follows that link to what has no name yet
            os.link(f"/proc/self/fd/{self._fd}", name, src_dir_fd=self._fd)
            self._temporary = name
        try:
            os.rename(self._temporary, self.path)
            self._temporary = None
        except OSError as error:
            if there is None or error.errno not in _NOT_REPLACED:
                raise
            self._copy_in_place()

    def _keep_owner(self, there: os.stat_result) -> None:
        try:
            os.fchown(self._fd, there.st_uid, there.st_gid)
        except PermissionError:
            os.fchown(self._fd, there.st_uid, -1)  # a group that its owner is not in

    def _keep_attributes(self) -> None:
        """Its extended attributes, access lists among them. What is security's is about what it was before."""
        try:
            for name in os.listxattr(self.path):
                if not name.startswith("security."):
                    os.setxattr(self._fd, name, os.getxattr(self.path, name))
        except OSError as error:
            if error.errno not in _NO_ATTRIBUTES:
                raise

    def _copy_in_place(self) -> None:
        os.lseek(self._fd, 0, os.SEEK_SET)
        source, self._fd = self._fd, -1
        try:
            self._fd = self._open_in_place()
            while piece := os.read(source, _COPY):
                self.write(piece)
        finally:
            os.close(source)

    def close(self) -> None:
        """Nothing of it stays but what is in its place."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if self._temporary is not None:
            os.unlink(self._temporary)
            self._temporary = None


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _behind_links(path: str) -> str:
    """Where a file at ``path`` is: what a link leads to, there or not, is what is written."""
    for _ in range(_ABOVE):
        try:
            leads = os.readlink(path)
        except OSError:  # no link, or nothing there
            return path
        path = os.path.join(os.path.dirname(path), leads)
    raise failed(errno.ELOOP, path)


def _status(path: str) -> os.stat_result | None:
    """What is at ``path`` now; None for nothing. Refuses what is no regular file."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    check_regular(status, path)
    return status
