"""Carrying out the steps of a build in a sandbox: programs that run, and files that are copied into it."""

from __future__ import annotations

import posixpath
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

import anyio.to_thread

from sandtop.core.client.session.events import Stderr, Stdout
from sandtop.core.client.session.stream import EventStream
from sandtop.core.contract.session import Builtin
from sandtop.core.errors import FileError, ImageError, SpawnError

from .. import transfer
from ..archive import top_name
from ..process import Process, begun
from .archives import plain

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator

    from ..sandbox import Sandbox
    from .steps import Copy, Run

    Tell = Callable[[str], None]

_ROOT: Final = "0:0"
_KEPT: Final = "kept"
_LINE: Final = 4096
_MAX_LINKS: Final = 16


class _Lines:
    """What a program writes, line by line."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._held = b""
        self.last = ""

    def feed(self, data: bytes) -> None:
        *lines, self._held = (self._held + data).split(b"\n")
        for line in lines:
            self._say(line)
        if len(self._held) > _LINE:
            self.end()

    def end(self) -> None:
        if self._held:
            self._say(self._held)
            self._held = b""

    def _say(self, line: bytes) -> None:
        shown = line.rstrip(b"\r").rpartition(b"\r")[2].decode("utf-8", "replace").rstrip()
        self.last = shown or self.last
        self._tell(f"  {shown}")


async def run(sandbox: Sandbox, work: Run, tell: Tell) -> None:
    """Run a program. Raises `ImageError` when it fails or cannot be started."""
    lines = _Lines(tell)
    program, *arguments = work.argv
    try:
        async with await sandbox.exec_stream(
            program, arguments, cwd=work.workdir, env=work.env, user=work.user or _ROOT, stderr="stdout"
        ) as process:
            async for event in process:
                if isinstance(event, Stdout | Stderr):
                    lines.feed(event.data)
            record = await process.wait()
    except SpawnError as error:
        raise ImageError(error.message) from error
    lines.end()
    if record.exit_code:
        why = record.message or f"exit status {record.exit_code}"
        raise ImageError(f"{why}; its last line was {lines.last[:200]!r}" if lines.last else why)


async def copy(sandbox: Sandbox, work: Copy, origin: Sandbox | None) -> None:
    """Copy files into the sandbox, of this host or of the sandbox ``origin``. Raises `SandtopError`."""
    target = work.target.rstrip("/") or "/"
    made = work.target if work.archive is not None or origin is not None else posixpath.dirname(target)
    if origin is not None and not work.target.endswith("/"):
        made = posixpath.dirname(target)
    await sandbox.files.mkdir(made, parents=True, user=_ROOT)
    if origin is not None:
        await _copy_over(sandbox, work, origin, target)
    elif work.archive is not None:
        await _extract(sandbox, plain(work.archive), target, work.owner or _KEPT)
    elif work.selected is not None:
        pieces = work.selected.packed(work.mode, into_folder=work.target.endswith("/"))
        await _extract(sandbox, pieces, target, work.owner or _ROOT)


async def _copy_over(sandbox: Sandbox, work: Copy, origin: Sandbox, target: str) -> None:
    """Copy files from the sandbox ``origin``; no other than those arrive, whatever that sends."""
    for source in work.sources:
        path = await _found(origin, source)
        extract = Builtin(
            name="tar-extract", path=target, rename=True, names=[top_name(path)], owner=work.owner or _KEPT
        )
        async with (
            await _agents_program(origin, Builtin(name="tar-create", paths=[path])) as reader,
            await _agents_program(sandbox, extract) as writer,
        ):
            await transfer.relay_archive(reader, writer, source, None)


async def _found(origin: Sandbox, source: str) -> str:
    """The path of a source behind links, and for what is in a folder, if it is one. Raises `ImageError`."""
    path = source
    for _ in range(_MAX_LINKS):
        try:
            found = await origin.files.stat(path, follow=False, user=_ROOT)
        except FileError as error:
            raise ImageError(f"{source}: {error.strerror or error.message}") from error
        if found.kind == "directory":
            return f"{path.rstrip('/')}/."
        if found.target is None:
            return path
        path = posixpath.normpath(posixpath.join(posixpath.dirname(path), found.target))
    raise ImageError(f"{source}: links that lead to links without end")


async def _agents_program(sandbox: Sandbox, builtin: Builtin) -> Process:
    """The agent's own program that packs or unpacks, as root."""
    following = transfer.copy_request(sandbox.uuid, builtin, _ROOT)
    process = Process(EventStream(following), sandbox.name, on_exit="kill", has_stdin=following.input_open)
    await begun(process)
    return process


async def _extract(sandbox: Sandbox, pieces: Iterator[bytes], target: str, owner: str) -> None:
    builtin = Builtin(name="tar-extract", path=target, rename=True, owner=owner)
    async with aclosing(_chunks(pieces)) as chunks, await _agents_program(sandbox, builtin) as process:
        await transfer.send_archive(process, chunks, target, None)


async def _chunks(pieces: Iterator[bytes]) -> AsyncGenerator[bytes]:
    while (piece := await anyio.to_thread.run_sync(next, pieces, None)) is not None:
        yield piece
