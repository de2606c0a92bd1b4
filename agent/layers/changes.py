"""A folder as a layer of an image: a tar, with whiteouts for what is gone.

Sources: OCI image specification, "Image Layer Filesystem Changeset"; Linux, Documentation/filesystems/overlayfs.rst,
"whiteouts and opaque directories".
"""

from __future__ import annotations

import errno
import os
import stat

from ..tar_content import Content
from . import header as tar
from .mark import OPAQUE, PLAIN, WHITEOUT

TYPE_CHECKING = False  # see wire/frames.py
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from .mark import Mark

_MOUNTED: Final = frozenset((b"dev", b"proc", b"run", b"sys"))
"""Folders that something is mounted on whenever a sandbox runs."""
_AGENTS: Final = frozenset((b"etc/hostname", b"etc/hosts", b"etc/machine-id", b"etc/resolv.conf"))
"""What each start of a sandbox writes anew. (Docker mounts files there, and leaves them out of layers, too.)"""
_OPAQUE: Final = "trusted.overlay.opaque"
_OVERLAY: Final = "trusted.overlay."
_UNREADABLE: Final = ("trusted.overlay.redirect", "trusted.overlay.metacopy")
"""Attributes by which overlayfs says that a file's content or place is elsewhere. The guest's kernel makes none unless
it is told to."""
_KEPT: Final = ("user.", "security.", "trusted.")
"""Extended attributes that an image can have: squashfs knows no others."""
_WHITEOUT: Final = b".wh."
_HIDES_ALL: Final = b".wh..wh..opq"
_MAX_LINKS: Final = 1 << 20
_MAX_ATTRIBUTES: Final = 512 * 1024
"""Bytes of those of one file."""


class Changes:
    """The layer of ``root``. Iterate for its bytes, in pieces of up to a MiB, some empty.

    With ``overlay`` it is the upper folder of an overlay file system, and ``before`` what it was when the last layer
    was taken: only what has changed since is in this one.

    Attributes:
        mark: what it was now; whole at the end.
    """

    def __init__(self, root: str, before: Mark | None = None, *, overlay: bool = True) -> None:
        self.mark: Mark = {}
        self._root = os.fsencode(root)
        self._before = before or {}
        self._overlay = overlay
        self._left_out = _AGENTS | _MOUNTED if overlay else frozenset[bytes]()
        self._links: dict[int, bytes] = {}

    def __iter__(self) -> Iterator[bytes]:
        """Raises OSError."""
        pending = [b""]
        while pending:
            above = pending.pop()
            below: list[bytes] = []
            for name in sorted(os.listdir(self._root + b"/" + above)):
                path = above + name
                if path in self._left_out:
                    continue
                status = os.lstat(self._root + b"/" + path)
                if stat.S_ISDIR(status.st_mode):
                    below.append(path + b"/")
                yield from self._entry(path, status)
            pending += reversed(below)
        yield from self._gone()
        yield tar.END

    def _entry(self, path: bytes, status: os.stat_result) -> Iterator[bytes]:
        attributes: dict[bytes, bytes] = {}
        kind = PLAIN
        if self._overlay:
            if stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
                kind = WHITEOUT
            elif stat.S_ISDIR(status.st_mode) and self._attribute(path, _OPAQUE) == b"y":
                kind = OPAQUE
        self.mark[path] = status.st_ino, status.st_ctime_ns, kind
        before = self._before.get(path)
        if before == self.mark[path]:
            yield b""
            return
        if kind == WHITEOUT:
            yield self._whiteout(path)
            return
        attributes = self._attributes(path)
        yield from self._member(path, status, attributes)
        # one that was taken with an earlier layer would hide what that layer has in it
        if kind == OPAQUE and not (before and before[0] == status.st_ino and before[2] == OPAQUE):
            yield tar.header(path + b"/" + _HIDES_ALL, tar.FILE, None)

    def _gone(self) -> Iterator[bytes]:
        """Whiteouts of what an earlier layer has, and is in the upper folder no more."""
        for path, (_inode, _changed, kind) in self._before.items():
            if kind == WHITEOUT or path in self.mark:
                continue
            above = path.rpartition(b"/")[0]
            if not above or (above in self.mark and os.path.isdir(self._root + b"/" + above)):
                yield self._whiteout(path)

    @staticmethod
    def _whiteout(path: bytes) -> bytes:
        above, slash, name = path.rpartition(b"/")
        return tar.header(above + slash + _WHITEOUT + name, tar.FILE, None)

    def _member(self, path: bytes, status: os.stat_result, attributes: dict[bytes, bytes]) -> Iterator[bytes]:
        kind = tar.KINDS.get(stat.S_IFMT(status.st_mode))
        if kind is None:
            return  # a socket, which is of no use without the program that listens
        if kind == tar.FOLDER:
            yield tar.header(path + b"/", kind, status, records=attributes)
            return
        if status.st_nlink > 1:
            first = self._links.get(status.st_ino)
            if first is not None:
                yield tar.header(path, tar.HARD_LINK, status, target=first)
                return
            if len(self._links) < _MAX_LINKS:
                self._links[status.st_ino] = path
        if kind == tar.FILE:
            yield from self._file(path, status, attributes)
        else:
            target = os.readlink(self._root + b"/" + path) if kind == tar.LINK else b""
            yield tar.header(path, kind, status, target=target, records=attributes)

    def _file(self, path: bytes, status: os.stat_result, records: dict[bytes, bytes]) -> Iterator[bytes]:
        fd = os.open(self._root + b"/" + path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            content = Content(fd)
            size, head = content.length, b""
            if content.extents is not None:  # GNU tar's manual, "Storing Sparse Files", 1.0
                head = content.map
                size = len(head) + sum(length for _, length in content.extents)
                records = {
                    **records,
                    b"GNU.sparse.major": b"1",
                    b"GNU.sparse.minor": b"0",
                    b"GNU.sparse.name": path,
                    b"GNU.sparse.realsize": b"%d" % content.length,
                }
            yield tar.header(path, tar.FILE, status, size=size, records=records) + head
            yield from content.pieces(_raised)
        finally:
            os.close(fd)

    def _attributes(self, path: bytes) -> dict[bytes, bytes]:
        """The records of its extended attributes. Raises OSError."""
        found: dict[bytes, bytes] = {}
        whole = self._root + b"/" + path
        try:
            names = os.listxattr(whole, follow_symlinks=False)
        except OSError as error:
            if error.errno == errno.EOPNOTSUPP:
                return found
            raise
        for name in names:
            if name in _UNREADABLE and self._overlay:
                raise OSError(errno.EINVAL, f"the disk has {name}, which cannot become a layer", whole)
            if name.startswith(_KEPT) and not name.startswith(_OVERLAY):
                found[b"SCHILY.xattr." + os.fsencode(name)] = os.getxattr(whole, name, follow_symlinks=False)
        if sum(map(len, found.values())) > _MAX_ATTRIBUTES:
            raise OSError(errno.E2BIG, f"more than {_MAX_ATTRIBUTES >> 10} KiB of extended attributes", whole)
        return found

    def _attribute(self, path: bytes, name: str) -> bytes:
        try:
            return os.getxattr(self._root + b"/" + path, name, follow_symlinks=False)
        except OSError as error:
            if error.errno in (errno.ENODATA, errno.EOPNOTSUPP):
                return b""
            raise


def _raised(error: OSError) -> None:
    """A layer with something else than the file's bytes in it would be worse than none."""
    raise error
