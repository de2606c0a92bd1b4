"""Copying files into a sandbox, out of it and to another: the SDK's ``upload``, ``download`` and ``copy``."""

from __future__ import annotations

import os
import posixpath
from contextlib import aclosing
from typing import TYPE_CHECKING

import anyio.to_thread

from sandtop.core.client.session.stream import EventStream
from sandtop.core.contract.session import Builtin
from sandtop.core.errors import InvalidRequest, StorageError

from . import transfer
from .archive import top_name
from .process import Process, begun

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Awaitable, Callable, Sequence

    from sandtop.core.contract.sandbox import SandboxInfo

    from ._skipped import Skipped

    Path = str | os.PathLike[str]


class Copyable:
    """What a sandbox has to be copied into and out of."""

    _info: SandboxInfo

    async def upload(
        self,
        source: Path | Sequence[Path],
        target: str,
        *,
        user: str | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """Copy ``source``, a file or a tree of this host, to ``target`` in the sandbox, as cp(1) does.

        Into ``target`` when that is a folder, else as ``target``; ``folder/.`` copies what is in a folder. A list of
        them is copied into ``target``, which must be a folder. Modes, times and holes are kept, owners are ``user``.
        ``progress`` is called with the bytes so far. Raises `InvalidRequest` for an empty path, `NotFound`, and
        `StorageError` with what could not be copied; all else was.
        """
        paths, several = checked(source), _is_list(source)
        _check_paths([target])
        what = f"copying {_some(paths)} to {self._info.name}:{target}"
        archive = await transfer.packer(paths)
        async with aclosing(transfer.packed(archive)) as chunks:
            await self._unpack(
                chunks, target, what, user, progress, rename=not several, skipped=archive.skipped
            )

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
        _check_paths([target])
        await self._unpack(
            chunks, target, f"copying to {self._info.name}:{target}", user, progress, rename=rename
        )

    async def _unpack(
        self,
        chunks: AsyncIterable[bytes],
        target: str,
        what: str,
        user: str | None,
        progress: Callable[[int], None] | None,
        *,
        rename: bool,
        skipped: Skipped | None = None,
    ) -> None:
        builtin = Builtin(name="tar-extract", path=target, rename=rename)
        async with await self._copying(builtin, user) as process:
            await transfer.send_archive(process, chunks, what, progress, skipped)

    async def download(
        self,
        source: str | Sequence[str],
        target: Path,
        *,
        user: str | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """Copy ``source``, a file or a tree of the sandbox, to ``target`` on this host; otherwise as `upload`.

        Whatever the sandbox sends, nothing is written outside of ``target``.
        """
        paths, path = checked(source), os.fspath(target)
        _check_paths([path])
        if _is_list(source) and not await anyio.to_thread.run_sync(os.path.isdir, path):
            raise StorageError(f"{path}: not a folder, and so no place for a list of files")
        what = f"copying {self._info.name}:{_some(paths)} to {path}"
        async with await self._copying(Builtin(name="tar-create", paths=paths), user) as process:
            await transfer.receive_archive(process, paths, path, what, progress)

    async def download_tar(
        self,
        source: str | Sequence[str],
        write: Callable[[bytes], Awaitable[object]],
        *,
        user: str | None = None,
    ) -> None:
        """Pass the tar stream of ``source`` to ``write``, piece by piece. Raises `StorageError`."""
        paths = checked(source)
        what = f"copying {self._info.name}:{_some(paths)}"
        async with await self._copying(Builtin(name="tar-create", paths=paths), user) as process:
            await transfer.pass_archive(process, write, what)

    async def copy(
        self,
        source: str | Sequence[str],
        other: Copyable,
        target: str,
        *,
        user: str | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """Copy ``source`` of this sandbox to ``target`` in the sandbox ``other``, as `upload` does; nothing stays here.

        What arrives there is what was asked for, whatever this sandbox sends: no other name, and no link in its place.
        Raises `InvalidRequest` for a folder that would be copied into itself, and as `upload`.
        """
        paths = checked(source)
        _check_paths([target])
        if other._info.uuid == self._info.uuid:
            self._check_itself(paths, target)
        what = f"copying {self._info.name}:{_some(paths)} to {other._info.name}:{target}"
        builtin = Builtin(
            name="tar-extract",
            path=target,
            rename=not _is_list(source),
            names=[top_name(path) for path in paths],
        )
        async with (
            await self._copying(Builtin(name="tar-create", paths=paths), user) as reader,
            await other._copying(builtin, user) as writer,
        ):
            await transfer.relay_archive(reader, writer, what, progress)

    def _check_itself(self, paths: Sequence[str], target: str) -> None:
        """A tree that is copied into itself has no end."""
        whole = posixpath.normpath(posixpath.join(self._info.workdir, target))
        for path in paths:
            top = posixpath.normpath(posixpath.join(self._info.workdir, path))
            if whole == top or whole.startswith(f"{top.rstrip('/')}/"):
                raise InvalidRequest(
                    f"{path} cannot be copied into itself, {target}", sandbox=self._info.name
                )

    async def _copying(self, builtin: Builtin, user: str | None) -> Process:
        following = transfer.copy_request(self._info.uuid, builtin, user)
        process = Process(
            EventStream(following), self._info.name, on_exit="kill", has_stdin=following.input_open
        )
        await begun(process)
        return process


def _is_list(source: Path | Sequence[Path]) -> bool:
    return not isinstance(source, str | os.PathLike)


def checked(source: Path | Sequence[Path]) -> list[str]:
    """The paths of ``source``. Raises `InvalidRequest` for an empty one, none, or two that would get one name."""
    paths = [os.fspath(path) for path in ([source] if isinstance(source, str | os.PathLike) else source)]
    _check_paths(paths)
    seen: dict[str, str] = {}
    for path in paths:
        name = top_name(path)
        if name in seen and name != ".":
            raise InvalidRequest(
                f"{seen[name]} and {path} would both become {name}", hint="copy one after the other"
            )
        seen[name] = path
    return paths


def _check_paths(paths: Sequence[str]) -> None:
    """An empty path is a variable that was not set, and nobody means a whole file system by it."""
    if not paths:
        raise InvalidRequest("there is nothing to copy", hint="give a path")
    for path in paths:
        if not path:
            raise InvalidRequest(
                "a path to copy is empty", hint="is a variable not set? '.' is the folder itself"
            )
        if "\0" in path:
            raise InvalidRequest(f"{path!r:.80} is no path: there is a NUL in it")


def _some(paths: Sequence[str]) -> str:
    return paths[0] if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"
