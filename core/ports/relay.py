"""Bytes between two streams, until each side has ended, or one breaks."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, Final, Protocol

import trio

if TYPE_CHECKING:
    from sandtop.core.channel import GuestConnection

_CHUNK: Final = 64 * 1024
_RESET: Final = struct.pack("ii", 1, 0)
_KEEP: Final = struct.pack("ii", 0, 0)


def reset_when_closed(local: trio.SocketStream) -> None:
    """From now on a close of ``local`` is a reset (SO_LINGER of socket(7)), also when this process is killed.

    A program at its other end would take anything else for the end of what it was sent. One that is gone without a word
    is found out by the kernel (SO_KEEPALIVE).
    """
    local.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    local.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


def keep_when_closed(local: trio.SocketStream) -> None:
    """A close of ``local`` is no reset any more: all of what was sent is its beginning and its end."""
    local.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _KEEP)


class Counted(Protocol):
    """Bytes that were carried, seen from the guest."""

    sent: int
    received: int


class Count:
    """See `Counted`."""

    sent = received = 0


async def carry(local: trio.SocketStream, guest: GuestConnection, counted: Counted | None = None) -> bool:
    """Carry bytes between a connection of the host and one in a guest until both have ended on both sides.

    When either breaks, the other is reset, as it is when this is cancelled. Closes both. Returns whether both ended.
    ``counted`` is added to as they pass.
    """
    ended: list[trio.abc.ReceiveStream] = []
    count: Counted = Count() if counted is None else counted

    async def pump(
        source: trio.abc.ReceiveStream, sink: trio.abc.HalfCloseableStream, scope: trio.CancelScope
    ) -> None:
        try:
            while data := await source.receive_some(_CHUNK):
                await sink.send_all(data)
                if source is guest:
                    count.sent += len(data)
                else:
                    count.received += len(data)
            await sink.send_eof()
            ended.append(source)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            scope.cancel()

    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pump, local, guest, nursery.cancel_scope)
            nursery.start_soon(pump, guest, local, nursery.cancel_scope)
        if len(ended) == 2:
            keep_when_closed(local)
            await guest.aclose()
        return len(ended) == 2
    finally:
        if len(ended) < 2:
            guest.reset()
        await trio.aclose_forcefully(local)
