"""The process of the screen worker, and the frames that core and worker send each other over a socket."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import trio

from sandtop.agent.wire import Control, Data, Decoder, Frame, encode

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from sandtop.core.screens.breadcrumb import Breadcrumb

    Message = dict[str, object]

_CHUNK: Final = 256 * 1024
_MOST_QUEUED: Final = 10_000
"""Messages queued for a worker that does not read; with one more it counts as dead."""
_GATHER: Final = 0.03
"""Seconds for which the growth of logs is gathered before the worker is told."""


class WorkerGone(Exception):
    """The worker died, or was ended because it did not answer."""


class WorkerLink:
    """The core's end of the socket to one worker. ``news`` is called before each write, to queue what was gathered."""

    def __init__(self, stream: trio.SocketStream, news: Callable[[], None]) -> None:
        self._stream = stream
        self._news = news
        self._queue: deque[bytes] = deque()
        self._wake = trio.Event()
        self._hurry = trio.Event()

    def send(self, message: Message) -> None:
        """Queue ``message``, to be sent at once. Raises `WorkerGone` for a worker that does not read."""
        if len(self._queue) >= _MOST_QUEUED:
            raise WorkerGone("it does not read what it is sent")
        self._queue.append(encode(Control(message)))
        self._wake.set()
        self._hurry.set()

    def gather(self) -> None:
        """There is something for ``news`` to queue, which can wait for `_GATHER` seconds."""
        self._wake.set()

    async def write(self) -> None:
        """Send what is queued, until cancelled. Raises trio's errors of a broken stream when the worker has ended."""
        while True:
            await self._wake.wait()
            with trio.move_on_after(_GATHER):
                await self._hurry.wait()
            self._wake, self._hurry = trio.Event(), trio.Event()
            self._news()
            while self._queue:
                pieces, self._queue = self._queue, deque()
                await self._stream.send_all(b"".join(pieces))

    async def read(self, take: Callable[[Frame], None]) -> None:
        """Call ``take`` with each frame that comes, until the worker has ended."""
        decoder = Decoder()
        while data := bytes(await self._stream.receive_some(_CHUNK)):
            for frame in decoder.feed(data):
                take(frame)


@asynccontextmanager
async def start_worker(news: Callable[[], None], breadcrumb: Breadcrumb) -> AsyncGenerator[WorkerLink]:
    """A new worker, which is killed at the end of the context. Raises OSError when it cannot be started."""
    breadcrumb.leave(0, 0)
    ours, theirs = socket.socketpair()
    try:
        process = await trio.lowlevel.open_process(
            [sys.executable, "-m", "sandtop.core.screens", str(breadcrumb.fd)],
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            pass_fds=(breadcrumb.fd,),
        )
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    async with trio.SocketStream(trio.socket.from_stdlib_socket(ours)) as stream:
        try:
            yield WorkerLink(stream, news)
        finally:
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()


class Blobs:
    """Answers that come in pieces, by the number of their request, each of at most ``most`` bytes."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._pieces: dict[int, bytearray] = {}

    def expect(self, request: int) -> None:
        self._pieces[request] = bytearray()

    def take(self, frame: Data) -> None:
        """Take a piece; one that nobody waits for any more is dropped. Raises `WorkerGone` for one that is wrong."""
        pieces = self._pieces.get(frame.stream)
        if pieces is None:
            return
        if frame.offset != len(pieces) or len(pieces) + len(frame.data) > self._most:
            raise WorkerGone("it answers with what makes no sense")
        pieces += frame.data

    def pop(self, request: int) -> bytes:
        return bytes(self._pieces.pop(request, b""))
