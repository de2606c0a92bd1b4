"""The files of a sandbox, read and written in place: the SDK's ``sandbox.files``."""

from __future__ import annotations

import errno
import os
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from sandtop.core.client.link.asynchronous import AsyncConversation, call, listen
from sandtop.core.client.link.files import FileListing, FileReading, FileWatching, FileWriting
from sandtop.core.client.link.plain import new_id
from sandtop.core.contract.codec import decode_result
from sandtop.core.contract.file import (
    FileAnswer,
    FileInfo,
    FileList,
    FileMkdir,
    FileRead,
    FileRemove,
    FileRename,
    FileStat,
    FileWatch,
    FileWrite,
)
from sandtop.core.errors import FileError, FileNotFound, NotADirectory

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

MAX_READ: Final = 256 << 20
"""Bytes that `Files.read` takes at the most, unless told otherwise: it holds them in memory."""

What = Literal[
    "created", "modified", "written", "attributes", "moved-from", "moved-to", "deleted", "gone", "lost"
]


@dataclass(frozen=True, slots=True)
class FileChange:
    """Something that happened to a file that is watched, or to what is in a folder.

    Attributes:
        what: ``created``, ``modified`` (some of it), ``written`` (closed after writing), ``attributes`` (mode, owner,
            time …), ``moved-from`` and ``moved-to`` (with the same ``cookie``), ``deleted``; ``gone``: what is watched
            is not there any more, and this is the last; ``lost``: there were more than anybody took, and some are lost.
        name: of what in the folder; empty: it is about what is watched itself.
        directory: whether that is a folder.
        cookie: by which the two halves of a rename are known; else 0.
    """

    what: What
    name: str
    directory: bool
    cookie: int


class Files:
    """The files of one sandbox, as the ``user`` that is given sees them: the sandbox's own (root), unless told.

    Relative paths begin at the sandbox's workdir. Names that are not UTF-8 are as `os.fsdecode` has them. What cannot
    be done raises a `FileError`, which is of Python's class, too: `FileNotFound` is a FileNotFoundError, and so
    `FileExists`, `IsADirectory`, `NotADirectory` and `PermissionDenied`. `WrongState`: it does not run.
    """

    def __init__(self, sandbox: str) -> None:
        self._sandbox = sandbox

    async def read(
        self,
        path: str,
        *,
        offset: int = 0,
        length: int | None = None,
        max_bytes: int = MAX_READ,
        user: str | None = None,
    ) -> bytes:
        """What is in the file at ``path``: all of it, or ``length`` bytes from ``offset``.

        Raises `FileError` (EFBIG) when that is more than ``max_bytes``; `read_chunks` has no limit. A FIFO or a device
        is refused (EINVAL).
        """
        request = FileRead(sandbox=self._sandbox, path=path, user=user, offset=offset, length=length)
        reading = FileReading(request)
        found = bytearray()
        async with aclosing(listen(reading)) as pieces:
            async for piece in pieces:
                size = reading.file.size if reading.file is not None else None
                expected = max(0, (size or 0) - offset)
                if len(found) + len(piece) > max_bytes or (length is None and expected > max_bytes):
                    raise FileError(
                        f"{path}: has more than {max_bytes:,} bytes",
                        errno=errno.EFBIG,
                        filename=path,
                        hint="read_chunks() has no limit, and max_bytes sets this one",
                    )
                found += piece
        return bytes(found)

    async def read_text(
        self, path: str, *, encoding: str = "utf-8", errors: str = "strict", user: str | None = None
    ) -> str:
        """The same as text. Raises UnicodeDecodeError for what is none, unless ``errors`` says what to do."""
        return (await self.read(path, user=user)).decode(encoding, errors)

    def read_chunks(
        self, path: str, *, offset: int = 0, length: int | None = None, user: str | None = None
    ) -> AsyncGenerator[bytes]:
        """What `read` returns, piece by piece, of a file of any size."""
        request = FileRead(sandbox=self._sandbox, path=path, user=user, offset=offset, length=length)
        return listen(FileReading(request))

    async def write(
        self,
        path: str,
        data: bytes | str,
        *,
        mode: int | None = None,
        parents: bool = True,
        user: str | None = None,
    ) -> FileInfo:
        """Make ``data`` (text as UTF-8) what is in the file at ``path``, and tell what is there now.

        ``mode`` are its permission bits; None keeps those that it has, and a new one gets 0644. ``parents`` makes
        folders that are missing. The file is replaced as a whole, so that nobody sees a part of it, and keeps its
        owner; where it cannot be replaced, as in a folder of somebody else's, it is written in its place. Where a link
        leads, that is written.
        """
        content = data.encode() if isinstance(data, str) else data
        request = FileWrite(sandbox=self._sandbox, path=path, user=user, mode=mode, parents=parents)
        writing = FileWriting(request, content)
        await AsyncConversation(writing).run()
        return decode_result(FileAnswer, writing.result or {}).file

    async def list(self, path: str = ".", *, user: str | None = None) -> list[FileInfo]:
        """What is in the folder at ``path``, by name, links not followed. `scan` does not hold all of it in memory."""
        async with aclosing(self.scan(path, user=user)) as entries:
            return sorted([one async for one in entries], key=lambda one: one.name)

    async def scan(self, path: str = ".", *, user: str | None = None) -> AsyncGenerator[FileInfo]:
        """What is in the folder at ``path``, in no order, as it comes."""
        async with aclosing(self.pages(path, user=user)) as pages:
            async for page in pages:
                for entry in page:
                    yield entry

    async def pages(self, path: str = ".", *, user: str | None = None) -> AsyncGenerator[Sequence[FileInfo]]:
        """What `scan` gives, as many at a time as come together: some hundred."""
        listing = FileListing(FileList(sandbox=self._sandbox, path=path, user=user))
        async with aclosing(listen(listing)) as several:
            async for rows in several:
                yield [_entry(path, cast("Sequence[Any]", row)) for row in rows]

    async def stat(self, path: str, *, follow: bool = True, user: str | None = None) -> FileInfo:
        """What is at ``path``; behind a symbolic link, unless ``follow`` is False."""
        return (await call(FileStat(sandbox=self._sandbox, path=path, user=user, follow=follow))).file

    async def exists(self, path: str, *, user: str | None = None) -> bool:
        """Whether there is anything at ``path``; False for a link that leads nowhere. Raises `PermissionDenied`."""
        try:
            await self.stat(path, user=user)
        except (FileNotFound, NotADirectory):
            return False
        return True

    async def mkdir(
        self, path: str, *, mode: int | None = None, parents: bool = False, user: str | None = None
    ) -> FileInfo:
        """Make a folder. With ``parents`` also those above it, and it is no error that it is there."""
        request = FileMkdir(
            sandbox=self._sandbox, path=path, user=user, mode=mode, parents=parents, request_id=new_id()
        )
        return (await call(request)).file

    async def remove(self, path: str, *, recursive: bool = False, user: str | None = None) -> None:
        """Remove a file or a link; with ``recursive`` also a folder with all that is in it.

        Raises `IsADirectory` for a folder without that.
        """
        await call(
            FileRemove(sandbox=self._sandbox, path=path, user=user, recursive=recursive, request_id=new_id())
        )

    async def rename(self, path: str, target: str, *, user: str | None = None) -> None:
        """Give what is at ``path`` the path ``target``, on the same file system; a file that is there is replaced.

        Raises `FileError` (EXDEV) across file systems, and for a folder that the image brought.
        """
        await call(
            FileRename(sandbox=self._sandbox, path=path, target=target, user=user, request_id=new_id())
        )

    async def watch(self, path: str, *, user: str | None = None) -> AsyncGenerator[FileChange]:
        """What happens to the file at ``path``, or to what is in the folder (not below), from now until it is gone.

        What happens before the first step of the iteration is not seen.
        """
        watching = FileWatching(FileWatch(sandbox=self._sandbox, path=path, user=user))
        async with aclosing(listen(watching)) as several:
            async for rows in several:
                for row in rows:
                    what, name, directory, cookie = cast("Sequence[Any]", row)
                    yield FileChange(what, name, directory, cookie)


def _entry(folder: str, row: Sequence[Any]) -> FileInfo:
    """An entry of the listing of ``folder``, whose row the core has checked."""
    name, kind, size, mode, uid, gid, links, modified_at, target = row
    return FileInfo(
        path=os.path.join(folder, name), name=name, kind=kind, size=size, mode=mode, uid=uid, gid=gid, links=links,
        modified_at=modified_at, target=target,
    )  # fmt: skip
