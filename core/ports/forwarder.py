"""Listeners on ports of the host, whose connections lead to ports of one sandbox."""

from __future__ import annotations

import errno
import logging
import socket
from typing import TYPE_CHECKING, Final

import trio

from sandtop.core.contract.sandbox import PortForward
from sandtop.core.errors import AlreadyExists, InvalidRequest, SandtopError, from_os_error
from sandtop.core.phrases import endpoint
from sandtop.core.ports.relay import carry, reset_when_closed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from sandtop.core.channel import GuestConnection

    Connect = Callable[[int], Awaitable[GuestConnection]]
    """Gives a connection to a port in the sandbox. Raises `SandtopError`."""
    Failed = Callable[[PortForward, SandtopError], None]
    """Is told of a connection of the host that led nowhere."""

log = logging.getLogger(__name__)
_BACKLOG: Final = 1024
MOST_PORTS: Final = 64
"""Ports of one sandbox that are published, or that one request forwards."""


class Forwarder:
    """Has ``ports`` of the host lead to ports of the sandbox ``name``.

    `listen`, then `serve`; `close` it in any case.

    Attributes:
        ports: with the numbers on which it listens, once it does.
    """

    def __init__(
        self, name: str, ports: Sequence[PortForward], connect: Connect, failed: Failed | None = None
    ) -> None:
        self.ports = list(ports)
        self._name = name
        self._connect = connect
        self._failed = failed
        self._listeners: list[trio.SocketListener] = []
        self._scope = trio.CancelScope()

    def listen(self) -> None:
        """Listen on all of them, or on none. Whoever connects waits until `serve`.

        Raises `AlreadyExists` for a port that is taken, `InvalidRequest`, `StorageError`.
        """
        if len(self.ports) > MOST_PORTS:
            raise InvalidRequest(
                f"{len(self.ports)} ports are too many for {self._name}: at most {MOST_PORTS}",
                sandbox=self._name,
            )
        found: list[PortForward] = []
        try:
            for port in self.ports:
                listener = _listener(port, self._name)
                self._listeners.append(listener)
                number = int(listener.socket.getsockname()[1])
                found.append(PortForward(address=port.address, host_port=number, guest_port=port.guest_port))
        except BaseException:
            self.close()
            raise
        self.ports = found

    async def serve(self) -> None:
        """Carry what comes, until `close`. Connections end with it."""
        with self._scope:
            async with trio.open_nursery() as nursery:
                for port, listener in zip(self.ports, self._listeners, strict=True):
                    nursery.start_soon(self._accept, port, listener, nursery)

    async def _accept(self, port: PortForward, listener: trio.SocketListener, nursery: trio.Nursery) -> None:
        async def answer(local: trio.SocketStream) -> None:
            await self._answer(port, local)

        try:
            await trio.serve_listeners(answer, [listener], handler_nursery=nursery)
        except* trio.ClosedResourceError:
            pass  # by `close`

    async def _answer(self, port: PortForward, local: trio.SocketStream) -> None:
        """Carry the bytes of one connection."""
        try:
            async with local:
                reset_when_closed(local)
                await carry(local, await self._connect(port.guest_port))
        except SandtopError as error:
            if self._failed is not None:
                self._failed(port, error)
        except Exception:
            # one connection, whatever went wrong on it, is not the end of all the others
            log.exception("a fault of ours on a connection to %s", self._name)

    def close(self) -> None:
        """Listen no more, and reset all connections. Harmless when that was done."""
        self._scope.cancel()
        for listener in self._listeners:
            listener.socket.close()
        self._listeners.clear()


def free_port(address: str) -> int:
    """A port of ``address`` that nobody listens on at this moment. Raises OSError."""
    with socket.socket(_family(address)) as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _listener(port: PortForward, name: str) -> trio.SocketListener:
    raw = socket.socket(_family(port.address), socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if raw.family == socket.AF_INET6:
            raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        raw.bind((port.address, port.host_port))
        raw.listen(_BACKLOG)
        raw.setblocking(False)
        return trio.SocketListener(trio.socket.from_stdlib_socket(raw))
    except OSError as error:
        raw.close()
        raise _explained(error, port, name) from error


def _explained(error: OSError, port: PortForward, name: str) -> SandtopError:
    where = f"{endpoint(port.address, port.host_port)} cannot lead to port {port.guest_port} of {name}"
    if error.errno == errno.EADDRINUSE:
        return AlreadyExists(
            f"{where}: something listens on port {port.host_port} already",
            sandbox=name,
            hint=f"choose another, or 0 for any; 'ss -ltnp sport = :{port.host_port}' and 'sandtop ls' say whose it is",
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return InvalidRequest(
            f"{where}: this user may not listen on port {port.host_port}",
            sandbox=name,
            hint="choose one from 1024 on",
        )
    if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
        return InvalidRequest(
            f"{where}: this host has no address {port.address}", sandbox=name, hint="'ip address' lists them"
        )
    return from_os_error(error, where, sandbox=name)
