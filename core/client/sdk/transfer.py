"""Files into a sandbox and out of it, as tar streams through the agent's own programs."""

from __future__ import annotations

import io
import os
import threading
from typing import TYPE_CHECKING

import anyio
import anyio.from_thread
import anyio.to_thread

from sandtop.core.client.link.exec_messages import exec_message
from sandtop.core.client.session.events import Gap, Stderr, Stdout
from sandtop.core.client.session.following import Following
from sandtop.core.errors import NotFound, StorageError, WrongState

from .archive import Unpacker, top_name
from .packing import Packer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Sequence

    from typing_extensions import Buffer

    from sandtop.core.client.session.events import Event
    from sandtop.core.contract.session import Builtin

    from ._skipped import Skipped
    from .process import Process

    Progress = Callable[[int], None]

_PATIENCE = 10.0
"""Seconds that a disk may take for what was read last, once a copy is cancelled."""
_COMPLAINTS = 5
"""Lines of what could not be copied that an error tells."""


def copy_request(sandbox: str, builtin: Builtin, user: str | None) -> Following:
    """The session of the agent's own program ``builtin``."""
    stdin = builtin.name == "tar-extract"
    message = exec_message(sandbox, builtin=builtin, user=user, stdin=stdin, awaited=False, on_hangup="kill")
    return Following(message, stdin=stdin)


async def send_archive(
    process: Process,
    chunks: AsyncIterable[bytes],
    what: str,
    progress: Progress | None,
    skipped: Skipped | None = None,
) -> None:
    """Let ``process``, a ``tar-extract``, unpack ``chunks``, of which ``skipped`` says what is not in them.

    Raises `StorageError` with that and what could not be unpacked, once all else was.
    """
    sent = 0
    try:
        async for chunk in chunks:
            await process.stdin.send(chunk)
            sent += len(chunk)
            if progress is not None:
                progress(sent)
        await process.stdin.aclose()
    except WrongState:
        pass  # it has ended early, and says why
    lines, count = (skipped.lines, skipped.count) if skipped is not None else ([], 0)
    said = await _complaints(process, bytearray())
    if count or said:
        raise _incomplete(what, lines + said, count + len(said))


async def packer(paths: Sequence[str]) -> Packer:
    """The archive of ``paths``. Raises `NotFound` for a single one that is not there."""
    if len(paths) == 1 and not await anyio.to_thread.run_sync(os.path.lexists, paths[0].rstrip("/") or "/"):
        raise NotFound(f"{paths[0]}: no such file")
    return Packer(*paths)


async def packed(archive: Packer) -> AsyncGenerator[bytes, None]:
    """The tar stream; what is not in it is in ``archive.skipped`` at its end."""
    chunks = iter(archive)
    while (chunk := await anyio.to_thread.run_sync(next, chunks, None)) is not None:
        yield chunk


async def receive_archive(
    process: Process, sources: Sequence[str], target: str, what: str, progress: Progress | None
) -> None:
    """Unpack what ``process``, a ``tar-create`` of ``sources``, writes at ``target``. Raises `StorageError`."""
    stream = _Stream(process, progress)
    unpacker = Unpacker(target, [top_name(source) for source in sources])
    try:
        await _in_thread(lambda: unpacker.unpack(io.BufferedReader(stream, 1 << 18)), stream)
    except StorageError as error:
        if stream.ended:
            # there was no archive to read, or not all of it: what went wrong in the sandbox is the better error
            await _check(process, stream.said, what)
        raise StorageError(f"{what}: {error.message}") from error
    await _check(process, stream.said, what)
    if unpacker.skipped.count:
        raise _incomplete(what, unpacker.skipped.lines, unpacker.skipped.count)


async def pass_archive(process: Process, write: Callable[[bytes], Awaitable[object]], what: str) -> None:
    """Pass what ``process``, a ``tar-create``, writes to ``write``. Raises `StorageError`."""
    said = bytearray()
    async for event in process:
        _whole(event, what)
        if isinstance(event, Stdout):
            await write(event.data)
        elif isinstance(event, Stderr):
            keep(said, event.data)
    await _check(process, said, what)


async def relay_archive(reader: Process, writer: Process, what: str, progress: Progress | None) -> None:
    """Pass what ``reader``, a ``tar-create``, writes on to ``writer``, a ``tar-extract`` of another sandbox.

    Raises `StorageError` with what either could not do; all else was copied.
    """
    said = bytearray()
    count = 0
    try:
        async for event in reader:
            _whole(event, what)
            if isinstance(event, Stdout):
                await writer.stdin.send(event.data)
                count += len(event.data)
                if progress is not None:
                    progress(count)
            elif isinstance(event, Stderr):
                keep(said, event.data)
        await writer.stdin.aclose()
    except WrongState:  # the writer has ended early, and says why
        await _check(writer, bytearray(), what)
        raise
    failures: list[StorageError] = []
    for process, heard in ((reader, said), (writer, bytearray())):
        try:
            await _check(process, heard, what)
        except StorageError as error:
            failures.append(error)
    if failures:
        raise StorageError("; ".join(error.message for error in failures)) from failures[0]


async def _in_thread(work: Callable[[], None], stream: _Stream) -> None:
    """Do ``work``, which reads ``stream`` and writes to the disk, in a thread.

    When this is cancelled the thread ends with its next read, and is waited for: nothing is written afterwards.
    """
    begun = False
    ended = threading.Event()

    def run() -> None:
        nonlocal begun
        begun = True
        try:
            work()
        finally:
            ended.set()

    try:
        await anyio.to_thread.run_sync(run, abandon_on_cancel=True)
    finally:
        stream.stop()
        if begun and not ended.is_set():
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(ended.wait, _PATIENCE)


class _Stopped(Exception):
    """Nobody wants what is read any more."""


class _Stream(io.RawIOBase):
    """What a process writes, as a file to be read in another thread."""

    def __init__(self, process: Process, progress: Progress | None) -> None:
        super().__init__()
        self._events = process.__aiter__()
        self._progress = progress
        self._held = memoryview(b"")
        self._taken = 0
        self._stopped = False
        self._waiting: anyio.CancelScope | None = None
        self.ended = False
        self.said = bytearray()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer).cast("B")
        if not self._held:
            self._held = memoryview(anyio.from_thread.run(self._next))
        count = min(len(view), len(self._held))
        view[:count] = self._held[:count]
        self._held = self._held[count:]
        return count

    def stop(self) -> None:
        """Whoever reads gets `_Stopped`."""
        # not by the scope of who waits for the thread: under asyncio a thread's tasks are not in it
        self._stopped = True
        if self._waiting is not None:
            self._waiting.cancel()

    async def _next(self) -> bytes:
        """The next piece; empty at the end. Raises `_Stopped`."""
        if self._stopped:
            raise _Stopped
        with anyio.CancelScope() as self._waiting:
            return await self._piece()
        raise _Stopped

    async def _piece(self) -> bytes:
        async for event in self._events:
            if isinstance(event, Stdout):
                self._taken += len(event.data)
                if self._progress is not None:
                    self._progress(self._taken)
                return event.data
            _whole(event)
            if isinstance(event, Stderr):
                keep(self.said, event.data)
        self.ended = True
        return b""


def _whole(event: Event, what: str | None = None) -> None:
    """Raises `StorageError` when ``event`` says that the archive has lost some of it on its way."""
    if isinstance(event, Gap) and event.stream == "stdout":
        lead = f"{what}: " if what else ""
        lost = f"{event.bytes} bytes of the archive are lost"
        raise StorageError(f"{lead}{lost}: it came faster than it was taken here")


def keep(said: bytearray, data: bytes) -> None:
    """Append complaints, but not without end."""
    said += data[: max(0, 65536 - len(said))]


async def _check(process: Process, said: bytearray, what: str) -> None:
    """Read on to the end. Raises `StorageError` when the agent's program complained."""
    if lines := await _complaints(process, said):
        raise _incomplete(what, lines)


async def _complaints(process: Process, said: bytearray) -> list[str]:
    """What the agent's program complained of, read to its end; nothing when it succeeded."""
    async for event in process:
        if isinstance(event, Stderr):
            keep(said, event.data)
    record = await process.wait()
    if not record.exit_code:
        return []
    return said.decode(errors="replace").splitlines() or [record.message or f"exit status {record.exit_code}"]


def _incomplete(what: str, lines: list[str], count: int | None = None) -> StorageError:
    """``count`` is of all lines, where ``lines`` are but the first."""
    shown = "; ".join(lines[:_COMPLAINTS])
    more = (len(lines) if count is None else count) - _COMPLAINTS
    return StorageError(f"{what}: {shown}" + (f"; and {more} more" if more > 0 else ""))
