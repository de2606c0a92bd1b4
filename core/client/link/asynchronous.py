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

from sandtop.core.errors import CoreOutdated, CoreUnavailable
from sandtop.core.location import CORE_SOCKET, runtime_directory

from .blocking import progress_line
from .exchange import HELLO_SECONDS, Exchange, Listing, wants_launch
from .plain import CREDENTIALS, QUIET_SECONDS, READ_BYTES, LinkLost, check_owner, is_long, patience, request
from .recovery import Recovery

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .blocking import Operation

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
        with anyio.move_on_after(QUIET_SECONDS, shield=True) as scope:
            try:
                await self._stream.send(data)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
                raise LinkLost from error
        if scope.cancelled_caught:
            raise CoreUnavailable("the core does not read what it is sent", hint="see its log")

    async def receive(self, seconds: float | None) -> bytes:
        """The next bytes. Raises `LinkLost` at the end, or `CoreUnavailable` when none come for ``seconds``."""
        with anyio.move_on_after(seconds):
            try:
                return await self._stream.receive(READ_BYTES)
            except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
                raise LinkLost from error
        raise CoreUnavailable(
            f"the core has not answered for {seconds:.0f} s", hint="see 'sandtop core status' and its log"
        )

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


async def open_link(operation: Operation, recovery: Recovery) -> AsyncLink:
    """A connection on which ``operation`` has begun. Starts the core when none runs."""
    while True:
        try:
            link = await connect()
        except OSError as error:
            delay = recovery.refused(time.monotonic(), launch=wants_launch(error))
            if delay is None:
                from .launching import launch

                await anyio.to_thread.run_sync(launch, abandon_on_cancel=True)
            else:
                await anyio.sleep(delay)
            continue
        data = b""
        try:
            data = operation.opening()
            await link.send(data)
        except LinkLost:
            if is_long(data):
                return link
            await link.aclose()
            await anyio.sleep(recovery.broke(time.monotonic()))
        except BaseException:
            await link.aclose()
            raise
        else:
            return link


async def replace_core(recovery: Recovery) -> None:
    """End a core that is older than this client; the next connection starts ours."""
    from .blocking import stop_core

    recovery.outdated()
    await anyio.to_thread.run_sync(stop_core, abandon_on_cancel=True)


async def call(
    op: str,
    fields: Mapping[str, object] | None = None,
    progress: Callable[[str], None] | None = None,
) -> dict[str, object]:
    """Ask the core for ``op`` and return its result; start the core, or wait for it to come back, when it must be.

    Raises what the core reports, or `CoreUnavailable`.
    """
    return await call_message(request(op, fields or {}), progress)


async def call_all(op: str, fields: Mapping[str, object] | None = None) -> list[dict[str, object]]:
    """`call` for all the pages of ``sandbox.list`` or ``session.list``, oldest first."""
    listing = Listing(op, fields or {})
    while listing.take(await call(op, listing.fields)):
        pass
    return listing.items


async def call_message(
    message: dict[str, object], progress: Callable[[str], None] | None = None
) -> dict[str, object]:
    """`call` with a request that is made already, so that its id is known."""
    exchange = Exchange(message)
    recovery = Recovery()
    while True:
        link = await open_link(exchange, recovery)
        try:
            return await _result(link, exchange, patience(str(message["op"])), progress)
        except LinkLost:
            await anyio.sleep(recovery.broke(time.monotonic()))
        except CoreOutdated:
            await replace_core(recovery)
        finally:
            await link.aclose()
        exchange = exchange.again()


async def _result(
    link: AsyncLink, exchange: Exchange, seconds: float, progress: Callable[[str], None] | None
) -> dict[str, object]:
    while exchange.result is None:
        data = await link.receive(seconds if exchange.greeted else HELLO_SECONDS)
        for frame in exchange.feed(data):
            if progress is not None and (line := progress_line(frame)) is not None:
                progress(line)
    return exchange.result
