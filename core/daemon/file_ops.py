"""The operations on files of a sandbox: what clients ask, passed on to a file server in it."""

from __future__ import annotations

import errno
import math
import posixpath
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

import trio

from sandtop.agent.wire import Credit, Data, Eof, ProtocolError, encode
from sandtop.agent.wire.limits import FILE_AT_ONCE, FILE_WINDOW, MAX_OFFSET
from sandtop.core.contract.file import (
    FileAnswer,
    FileList,
    FileMkdir,
    FileRead,
    FileRemove,
    FileRename,
    FileStat,
    FileWatch,
    FileWrite,
)
from sandtop.core.contract.file_events import FileChanges, FileEntries, FileOpened
from sandtop.core.contract.record import Nothing
from sandtop.core.daemon.connection import ClientGone
from sandtop.core.daemon.dispatch import answers, makes, serves
from sandtop.core.errors import FileError, SandtopError, file_error
from sandtop.core.files import FileFailed, FilesLost, Lines, entries_of, happenings_of, info_of
from sandtop.core.groups import unwrapped
from sandtop.core.sessions import printable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from sandtop.core.daemon.connection import Connection
    from sandtop.core.daemon.dispatch import Core
    from sandtop.core.daemon.once import Work
    from sandtop.core.files import Caller, Kind
    from sandtop.core.fleet import Sandbox

    Asking = FileStat | FileRead | FileWrite | FileList | FileWatch | FileMkdir | FileRemove | FileRename

_INPUT: Final = 0
_OUTPUT: Final = 1
_SENT: Final = 256 * 1024
"""Bytes that are sent to a client at once."""
_LAST_WORD: Final = 5.0
"""Seconds for a client to go once it was told that a file cannot be written."""
_ACKNOWLEDGE: Final = FILE_WINDOW // 4
_HINTS: Final = {
    errno.EXDEV: "they are on different file systems, or it is a folder of the image: sandtop exec {} -- mv",
    errno.ENOSPC: "the sandbox's disk is full, or so is the folder's file system",
}
"""What to do, by the kernel's number; `{}` is the sandbox."""


@asynccontextmanager
async def _call(
    core: Core, request: Asking, do: str, fields: Mapping[str, object], *, kind: Kind = "files"
) -> AsyncGenerator[Caller]:
    """A call about ``request.path``. Raises `FileError` as the sandbox's kernel has it, and what `FileServers` does."""
    sandbox = core.fleet.get(request.sandbox)
    await sandbox.adopted()
    sandbox.running_machine("use files of")
    whole = {"path": _absolute(sandbox, request.path), **fields}
    try:
        async with sandbox.sessions.files.call(do, whole, request.user, kind=kind) as call:
            yield call
    except FileFailed as failure:
        raise _error(sandbox, request, failure) from None


def _absolute(sandbox: Sandbox, path: str) -> str:
    return posixpath.join("/", sandbox.row.config.workdir, path)


def _error(sandbox: Sandbox, request: Asking, failure: FileFailed) -> FileError:
    about = request.path
    if isinstance(request, FileRename) and failure.path == _absolute(sandbox, request.target):
        about = request.target
    hint = _HINTS.get(failure.errno)
    if failure.errno == errno.EISDIR and isinstance(request, FileRemove):
        hint = "only recursively, with all that is in it"
    return file_error(
        failure.errno,
        f"{sandbox.name}:{printable(about)}: {printable(failure.why) or 'it cannot be done'}",
        about,
        sandbox=sandbox.name,
        hint=hint and hint.format(sandbox.name),
    )


@asynccontextmanager
async def _while_there(connection: Connection) -> AsyncGenerator[None]:
    """Until the client goes."""
    with unwrapped():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.until_gone)
            yield
            nursery.cancel_scope.cancel()


# looking


@answers(FileStat)
async def stat(core: Core, request: FileStat) -> FileAnswer:
    return await _stat(core, request)


async def _stat(core: Core, request: FileStat) -> FileAnswer:
    try:
        return await _look(core, request)
    except FilesLost:  # to ask again changes nothing
        return await _look(core, request)


async def _look(core: Core, request: FileStat) -> FileAnswer:
    async with _call(core, request, "stat", {"follow": request.follow}) as call:
        return FileAnswer(file=info_of(await call.answer(), request.path))


@asynccontextmanager
async def _open(
    core: Core,
    connection: Connection,
    request: Asking,
    do: str,
    fields: Mapping[str, object],
    *,
    kind: Kind = "files",
) -> AsyncGenerator[Caller]:
    """A call whose answer is a stream, of which the client has heard that it begins. Ends when the client goes."""
    async with _while_there(connection), AsyncExitStack() as stack:
        call = await stack.enter_async_context(_call(core, request, do, fields, kind=kind))
        try:
            said = await call.opened()
        except FilesLost:  # nothing has come of it, and to ask again changes nothing
            call = await stack.enter_async_context(_call(core, request, do, fields, kind=kind))
            said = await call.opened()
        await connection.tell(FileOpened(file=info_of(said, request.path)))
        yield call


@serves(FileRead)
async def read(core: Core, request: FileRead, connection: Connection) -> Nothing:
    fields = {"offset": request.offset, "length": request.length}
    async with _open(core, connection, request, "read", fields) as call:
        offset, end = (
            request.offset,
            MAX_OFFSET if request.length is None else request.offset + request.length,
        )
        while await call.wait_data():
            frames = bytearray()
            while len(frames) < _SENT and (piece := call.piece()) is not None:
                frames += encode(Data(_OUTPUT, offset, piece))
                offset += len(piece)
            if offset > end:
                raise ProtocolError("the guest sends more of a file than was asked for")
            await connection.send_bytes(bytes(frames))
    return Nothing()


@serves(FileList)
async def list_folder(core: Core, request: FileList, connection: Connection) -> Nothing:
    async with _open(core, connection, request, "list", {}) as call:
        lines = Lines()
        while await call.wait_data():
            if rows := lines.feed(call.piece() or b""):
                await connection.tell(FileEntries(rows=entries_of(rows)))
    return Nothing()


@serves(FileWatch)
async def watch(core: Core, request: FileWatch, connection: Connection) -> Nothing:
    async with _open(core, connection, request, "watch", {}, kind="watch") as call:
        lines = Lines()
        while await call.wait_data(math.inf):
            if rows := lines.feed(call.piece() or b""):
                await connection.tell(FileChanges(rows=happenings_of(rows)))
    return Nothing()


# changing


@serves(FileWrite)
async def write(core: Core, request: FileWrite, connection: Connection) -> FileAnswer | None:
    try:
        return await _write(core, request, connection)
    except SandtopError as error:
        await connection.message("error", error.to_wire())
    with trio.move_on_after(_LAST_WORD), suppress(ClientGone, ProtocolError):
        await connection.until_gone()  # what it still sends is read: else it might not hear the error
    return None


async def _write(core: Core, request: FileWrite, connection: Connection) -> FileAnswer:
    fields = {"mode": request.mode, "parents": request.parents}
    async with _call(core, request, "write", fields) as call:
        with unwrapped():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(call.until_over)  # it may fail before all has come
                await _pass_on(connection, call)
                nursery.cancel_scope.cancel()
        return FileAnswer(file=info_of(await call.answer(), request.path))


async def _pass_on(connection: Connection, call: Caller) -> None:
    """Pass what the client sends on to the end of it."""
    taken, limit = 0, FILE_AT_ONCE
    while True:
        frame = await connection.receive()
        if isinstance(frame, Data) and (frame.stream, frame.offset) == (_INPUT, taken):
            await call.send(frame.data)
            taken += len(frame.data)
            if taken > limit:
                raise ProtocolError("more of a file than there was credit for")
            if taken + FILE_WINDOW - limit >= _ACKNOWLEDGE:
                limit = taken + FILE_WINDOW
                await connection.send(Credit(_INPUT, taken, limit))
        elif isinstance(frame, Eof) and (frame.stream, frame.offset) == (_INPUT, taken):
            call.send_end()
            return
        else:
            raise ProtocolError("expected the content of a file")


@makes(FileMkdir)
async def make_folder(core: Core, request: FileMkdir, work: Work) -> FileAnswer:
    fields = {"mode": request.mode, "parents": request.parents}
    made = await _change(core, request, "mkdir", fields, work, done=errno.EEXIST)
    if made is None:
        return await _stat(core, FileStat(sandbox=request.sandbox, path=request.path, user=request.user))
    return FileAnswer(file=info_of(made, request.path))


@makes(FileRemove)
async def remove(core: Core, request: FileRemove, work: Work) -> Nothing:
    await _change(core, request, "remove", {"recursive": request.recursive}, work, done=errno.ENOENT)
    return Nothing()


@makes(FileRename)
async def rename(core: Core, request: FileRename, work: Work) -> Nothing:
    target = _absolute(core.fleet.get(request.sandbox), request.target)
    if await _change(core, request, "rename", {"target": target}, work, done=errno.ENOENT) is None:
        look = FileStat(sandbox=request.sandbox, path=request.target, user=request.user, follow=False)
        await _stat(core, look)  # it is there if it was renamed
    return Nothing()


async def _change(
    core: Core, request: Asking, do: str, fields: Mapping[str, object], work: Work, *, done: int
) -> Mapping[str, object] | None:
    """The answer to a call that changes something; None for a repeat that finds it done, which the errno ``done`` says.

    The client hears of one that takes long that it goes on.
    """
    repeated = work.repeated
    for last in (False, True):
        try:
            async with _call(core, request, do, fields) as call:
                while await call.wait_alive():
                    work.progress(f"{do}: {printable(request.path)} …")
                return await call.answer()
        except FilesLost:  # nobody knows whether it was done
            if last:
                raise
            repeated = True
        except FileError as error:
            if not repeated or error.errno != done:
                raise
            break
    return None
