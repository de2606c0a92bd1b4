"""Copying files into a sandbox and out of it: the SDK's ``upload`` and ``download``."""

from __future__ import annotations

import os
from contextlib import aclosing
from typing import TYPE_CHECKING

from . import transfer
from .conversation import Conversation
from .process import Process, begun

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Awaitable, Callable

    from .records import SandboxInfo


class Copyable:
    """What a sandbox has to be copied into and out of."""

    _info: SandboxInfo

    async def upload(
        self,
        source: str | os.PathLike[str],
        target: str,
        *,
        user: str | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """Copy ``source``, a file or a tree of this host, to ``target`` in the sandbox, as cp(1) does.

        Into ``target`` when that is a folder, else as ``target``; ``folder/.`` copies what is in a folder. Modes and
        times are kept, owners are ``user``. ``progress`` is called with the bytes so far. Raises `NotFound`, and
        `StorageError` with what could not be copied; all else was.
        """
        path = os.fspath(source)
        what = f"copying {path} to {self._info.name}:{target}"
        async with aclosing(transfer.pack(path, what)) as chunks:
            await self.upload_tar(chunks, target, user=user, progress=progress, rename=True)

    async def upload_tar(
        self,
        chunks: AsyncIterable[bytes],
        target: str,
        *,
        user: str | None = None,
        progress: Callable[[int], None] | None = None,
        rename: bool = False,
    ) -> None:
        """Unpack a tar stream in the folder ``target``; with ``rename`` its one top name may become ``target``."""
        builtin: dict[str, object] = {"name": "tar-extract", "path": target, "rename": rename}
        async with await self._copying(builtin, user) as process:
            await transfer.send_archive(process, chunks, f"copying to {self._info.name}:{target}", progress)

    async def download(
        self,
        source: str,
        target: str | os.PathLike[str],
        *,
        user: str | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """Copy ``source``, a file or a tree of the sandbox, to ``target`` on this host; otherwise as `upload`.

        Whatever the sandbox sends, nothing is written outside of ``target``.
        """
        path = os.fspath(target)
        what = f"copying {self._info.name}:{source} to {path}"
        async with await self._copying({"name": "tar-create", "paths": [source]}, user) as process:
            await transfer.receive_archive(process, [source], path, what, progress)

    async def download_tar(
        self, source: str, write: Callable[[bytes], Awaitable[object]], *, user: str | None = None
    ) -> None:
        """Pass the tar stream of ``source`` to ``write``, piece by piece. Raises `StorageError`."""
        what = f"copying {self._info.name}:{source}"
        async with await self._copying({"name": "tar-create", "paths": [source]}, user) as process:
            await transfer.pass_archive(process, write, what)

    async def _copying(self, builtin: dict[str, object], user: str | None) -> Process:
        following = transfer.copy_request(self._info.uuid, builtin, user)
        process = Process(
            Conversation(following), self._info.name, on_exit="kill", has_stdin=following.input_open
        )
        await begun(process)
        return process
