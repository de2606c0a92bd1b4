"""A hypervisor's vsock on a Unix socket, written from Firecracker's description of it (docs/vsock.md, "Host-Initiated
Connections") and from nothing of ours: the line ``CONNECT PORT``, the answer ``OK PORT`` with the port assigned to the
host's end, and an end to the connection where nobody listens. Cloud Hypervisor's is the same.
"""

from __future__ import annotations

import itertools
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
    from pathlib import Path

    Guest = Callable[[trio.SocketStream], Awaitable[None]]


class HybridVsock:
    """``guests`` has what listens on each port of the guest.

    Attributes:
        asked: the lines that hosts sent, in order.
    """

    def __init__(self, guests: Mapping[int, Guest]) -> None:
        self._guests = guests
        self._ports = itertools.count(1 << 30)
        self.asked: list[bytes] = []

    async def _connection(self, stream: trio.SocketStream) -> None:
        async with stream:
            request = b""
            while not request.endswith(b"\n"):
                byte = bytes(await stream.receive_some(1))
                if not byte:
                    return
                request += byte
            self.asked.append(request)
            word, _, port = request.strip().partition(b" ")
            guest = self._guests.get(int(port)) if word == b"CONNECT" and port.isdigit() else None
            if guest is not None:
                await stream.send_all(b"OK %d\n" % next(self._ports))
                await guest(stream)

    async def _guarded(self, stream: trio.SocketStream) -> None:
        try:
            await self._connection(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return

    @asynccontextmanager
    async def listening(self, path: Path) -> AsyncGenerator[None]:
        """Listen at ``path``; any number of connections at a time."""
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        bound.bind(
            str(path)
        )  # not through trio, which does it in a thread: a clock that jumps would jump meanwhile
        bound.listen(16)
        listener = trio.socket.from_stdlib_socket(bound)

        async def accept(nursery: trio.Nursery) -> None:
            while True:
                connection, _ = await listener.accept()
                nursery.start_soon(self._guarded, trio.SocketStream(connection))

        with listener:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(accept, nursery)
                yield
                nursery.cancel_scope.cancel()
