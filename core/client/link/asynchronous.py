"""The client on anyio: the same under asyncio and trio. One connection an operation, no task of its own.

`blocking` is the same on a plain socket; what both decide is in `exchange` and `recovery`.
"""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING

import anyio
from anyio.abc import SocketAttribute, SocketStream

from sandtop.core.errors import CoreOutdated, CoreUnavailable, SandtopError
from sandtop.core.location import CORE_SOCKET, runtime_directory

from . import blocking
from .answers import answer
from .operation import Operation
from .plain import CREDENTIALS, READ_BYTES, SEND_SECONDS, LinkLost, check_owner, is_long
from .recovery import Recovery

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from typing import TypeVar

    from sandtop.agent.wire import Frame
    from sandtop.core.contract.record import Record, Request
    from sandtop.core.contract.sandbox import SandboxPage
    from sandtop.core.contract.session_results import SessionPage

    from .listening import Listening
    from .listing import Listing

    R = TypeVar("R", bound=Record)
    P = TypeVar("P", bound=SandboxPage | SessionPage)
    T = TypeVar("T")
    Item = TypeVar("Item")

_CONNECT_SECONDS = 10.0


class AsyncLink:
    """One connection to the core."""

    __slots__ = ("_stream",)

    def __init__(self, stream: SocketStream) -> None:
        self._stream = stream

    async def send(self, data: bytes) -> None:
        """Send all of ``data``. Raises `LinkLost`, or `CoreUnavailable` when the core does not take it in time.

        A cancelled caller waits for it: half a frame would be the end of the connection.
        """
        with anyio.move_on_after(SEND_SECONDS, shield=True) as scope:
            try:
                await self._stream.send(data)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
                raise LinkLost from error
        if scope.cancelled_caught:
            raise CoreUnavailable("the core does not read what it is sent", hint="see its log")

    async def receive(self, seconds: float | None) -> bytes:
        """The next bytes. Raises `LinkLost` at the end, or `TimeoutError` when none come for ``seconds``."""
        with anyio.move_on_after(seconds):
            try:
                return await self._stream.receive(READ_BYTES)
            except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
                raise LinkLost from error
        raise TimeoutError

    async def aclose(self) -> None:
        """Close it, also in a cancelled task."""
        with anyio.CancelScope(shield=True):
            await self._stream.aclose()


async def connect() -> AsyncLink:
    """A connection to the running core. Raises OSError when there is none, `CoreUnavailable` when it is not ours."""
    path = os.path.join(runtime_directory(), CORE_SOCKET)
    with anyio.move_on_after(_CONNECT_SECONDS):
        stream = await anyio.connect_unix(path)
        link = AsyncLink(stream)
        try:
            raw = stream.extra(SocketAttribute.raw_socket)
            check_owner(path, raw.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size))
        except BaseException:
            await link.aclose()
            raise
        return link
    raise TimeoutError(f"no connection to {path} within {_CONNECT_SECONDS:.0f} s")


class AsyncConversation:
    """Carries ``operation`` to its end, over as many connections as it takes; ``progress`` hears what the core tells.

    This is the one place where the client on anyio connects, starts a core, or replaces one.
    """

    def __init__(
        self,
        operation: Operation,
        *,
        recovery: Recovery | None = None,
        progress: Callable[[str], None] | None = None,
    ) -> None:
        self.operation = operation
        self._progress = progress
        self._link: AsyncLink | None = None
        self._recovery = recovery or Recovery()
        self._sending = anyio.Lock()

    async def run(self) -> None:
        """Go on until the operation is over, and close the connection. Raises what the core reports."""
        try:
            while not self.operation.over:
                await self.advance()
                await self.send()
        finally:
            await self.aclose()

    async def advance(self) -> list[Frame]:
        """Wait for something, and take it; none of the operation's own frames may come of it.

        Raises what the core reports. When it is cancelled nothing is lost.
        """
        try:
            link = self._link or await self._connect()
            if link is None:
                return []
            before = self.operation.progress
            frames = self.operation.feed(await self._receive(link))
        except LinkLost:
            await self.aclose()
            await anyio.sleep(self._recovery.broke(time.monotonic()))
            return []
        except CoreOutdated as error:
            await self.aclose()
            self._recovery.outdated(error)
            await anyio.to_thread.run_sync(blocking.stop_core, abandon_on_cancel=True)
            return []
        except SandtopError:
            await self.aclose()
            raise
        if self.operation.progress > before:
            self._recovery.progressed()
        if self._progress is not None:
            for frame in frames:
                if (line := blocking.progress_line(frame)) is not None:
                    self._progress(line)
        return frames

    async def send(self) -> None:
        """Send what the operation has to send now, if there is a connection. Several tasks may do that."""
        async with self._sending:
            while (link := self._link) is not None and (outgoing := self.operation.pull()) is not None:
                try:
                    await link.send(outgoing)
                except LinkLost:
                    return  # whoever reads finds out too, and connects again

    async def aclose(self) -> None:
        """Close the connection; `advance` makes another."""
        link, self._link = self._link, None
        if link is not None:
            await link.aclose()

    async def _connect(self) -> AsyncLink | None:
        """Try once to make a connection and begin the operation on it.

        None when nobody answers: then a core was started, or enough time has passed to try again.
        """
        try:
            link = await connect()
        except OSError as error:
            delay = self._recovery.refused(time.monotonic(), error)
            if delay is not None:
                await anyio.sleep(delay)
                return None
            from .launching import launch

            await anyio.to_thread.run_sync(launch, abandon_on_cancel=True)
            return None
        data = b""
        try:
            async with self._sending:  # what waits to be sent begins anew with the connection
                data = self.operation.opening()
                await link.send(data)
        except BaseException as error:
            if not (isinstance(error, LinkLost) and is_long(data)):
                await link.aclose()
                raise
        self._link = link
        return link

    async def _receive(self, link: AsyncLink) -> bytes:
        seconds = self.operation.patience
        try:
            return await link.receive(seconds)
        except TimeoutError:
            raise self.operation.silence(seconds or 0.0) from None


async def call(request: Request[R], progress: Callable[[str], None] | None = None) -> R:
    """Make ``request`` of the core and return its result; start the core, or wait for it to come back, when it must be.

    Raises what the core reports, or `CoreUnavailable`.
    """
    operation = Operation(request)
    await AsyncConversation(operation, progress=progress).run()
    return answer(request, operation.result)


async def call_all(listing: Listing[P, T], pages: int | None = None) -> list[T]:
    """All the pages of ``listing``, or the newest ``pages`` of them, oldest first. Raises as `call`."""
    while listing.take(await call(listing.request)) and pages != 1:
        pages = None if pages is None else pages - 1
    return listing.items


async def listen(operation: Listening[Item]) -> AsyncGenerator[Item]:
    """What comes of ``operation``, until it is over. Raises what the core reports, or `CoreUnavailable`."""
    conversation = AsyncConversation(operation)
    try:
        while True:
            while operation.items:
                yield operation.items.popleft()
            if operation.over:
                return
            await conversation.advance()
    finally:
        await conversation.aclose()
