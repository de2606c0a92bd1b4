"""``sandbox.connect`` and ``sandbox.forward``: connections to ports of a sandbox, for a client and for its host."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

import trio

from sandtop.agent.wire import Credit, Data, Eof, Intake, ProtocolError
from sandtop.core.contract.record import Nothing
from sandtop.core.contract.sandbox import (
    Connected,
    ForwardFailed,
    Forwarding,
    PortForward,
    SandboxConnect,
    SandboxForward,
)
from sandtop.core.daemon.connection import ClientGone
from sandtop.core.daemon.dispatch import serves
from sandtop.core.errors import ChannelError, InvalidRequest, SandtopError, WrongState
from sandtop.core.groups import unwrapped
from sandtop.core.ports import Forwarder

if TYPE_CHECKING:
    from sandtop.agent.wire import Frame
    from sandtop.core.channel import GuestConnection
    from sandtop.core.daemon.connection import Connection
    from sandtop.core.daemon.dispatch import Core

_UP: Final = 0
_DOWN: Final = 1
"""The streams of a client's connection, to the sandbox and from it."""
_WINDOW: Final = 256 * 1024
_CHUNK: Final = 64 * 1024
_LINGER: Final = 60.0
"""Seconds for what a client sent to reach the sandbox once the client is gone."""
_WORDS: Final = 64
"""Connections that failed and of which a client was not told yet; of more it is not told at all."""


@serves(SandboxConnect)
async def connect(core: Core, request: SandboxConnect, connection: Connection) -> Nothing | None:
    sandbox = core.fleet.get(request.sandbox)
    await sandbox.adopted()
    guest = await sandbox.connect(request.port)
    try:
        await connection.tell(Connected(address=guest.address or ""))
        if not await _Carriage(connection, guest).run():
            return None
    finally:
        if guest.closed_at is None:
            guest.reset()
    if guest.fault is not None:
        raise ChannelError(
            f"the connection to port {request.port} of {sandbox.name} broke: {guest.fault.message}",
            sandbox=sandbox.name,
        )
    return Nothing()


class _Carriage:
    """Carries bytes between a client and ``guest``, a connection in a guest, with credit both ways."""

    def __init__(self, connection: Connection, guest: GuestConnection) -> None:
        self._connection = connection
        self._guest = guest
        self._up = Intake(_UP, _WINDOW)
        self._sent = self._limit = 0
        self._news = trio.Event()
        self._gone = False
        self._all_up = trio.Event()

    async def run(self) -> bool:
        """Return when both sides have ended, or either broke; whether the client is still there.

        Raises ProtocolError for a client that breaks the rules.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read, nursery.cancel_scope)
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError), unwrapped():
                async with trio.open_nursery() as pumps:
                    pumps.start_soon(self._pump_up)
                    pumps.start_soon(self._pump_down)
            nursery.cancel_scope.cancel()
        return not self._gone

    def _heard(self) -> None:
        self._news.set()
        self._news = trio.Event()

    async def _read(self, scope: trio.CancelScope) -> None:
        """Take what the client says. It sends nothing, or two who wait for each other's reading would wait for ever."""
        try:
            while True:
                self._take(await self._connection.receive())
                self._heard()
        except ClientGone:
            self._gone = True
            scope.deadline = trio.current_time() + _LINGER
            self._heard()
        await self._all_up.wait()
        await self._guest.aclose()

    def _take(self, frame: Frame) -> None:
        """Raises ProtocolError."""
        if isinstance(frame, Data) and frame.stream == _UP:
            self._up.take(frame.offset, frame.data)
        elif isinstance(frame, Eof) and frame.stream == _UP:
            self._up.finish(frame.offset)
        elif isinstance(frame, Credit) and frame.stream == _DOWN and frame.acked <= self._sent:
            self._limit = max(self._limit, frame.limit)
        else:
            raise ProtocolError("a connection takes bytes on stream 0, and credit for those on stream 1")

    async def _tell(self, frame: Frame) -> None:
        with suppress(ClientGone):  # which `_read` finds out, too
            await self._connection.send(frame)

    async def _pump_up(self) -> None:
        up = self._up
        await self._tell(up.begin())
        while not up.ended:
            if up.size:
                piece = bytes(up.first)
                await self._guest.send_all(piece)
                if (credit := up.drop(len(piece))) is not None:
                    await self._tell(credit)
            elif self._gone:
                break
            else:
                await self._news.wait()
        else:
            await self._tell(Credit(_UP, up.received, up.received))
            await self._guest.send_eof()
        self._all_up.set()

    async def _pump_down(self) -> None:
        while data := await self._guest.receive_some(_CHUNK):
            rest = memoryview(data)
            while rest:
                if (room := self._limit - self._sent) > 0:
                    piece = bytes(rest[:room])
                    await self._tell(Data(_DOWN, self._sent, piece))
                    self._sent += len(piece)
                    rest = rest[len(piece) :]
                elif self._gone:
                    return
                else:
                    await self._news.wait()
        await self._tell(Eof(_DOWN, self._sent))


@serves(SandboxForward)
async def forward(core: Core, request: SandboxForward, connection: Connection) -> None:
    sandbox = core.fleet.get(request.sandbox)
    await sandbox.adopted()
    if not request.ports:
        raise InvalidRequest("which ports are to be forwarded? None is named", sandbox=sandbox.name)
    machine = sandbox.running_machine("forward ports of")
    told, failures = trio.open_memory_channel[ForwardFailed](_WORDS)

    def failed(port: PortForward, error: SandtopError) -> None:
        with suppress(trio.WouldBlock):
            told.send_nowait(ForwardFailed(port=port, reason=str(error)))

    forwarder = Forwarder(sandbox.name, request.ports, sandbox.connect, failed)
    forwarder.listen()
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(forwarder.serve)
            nursery.start_soon(connection.until_gone)
            nursery.start_soon(_tell_failures, connection, failures)
            await connection.tell(Forwarding(ports=forwarder.ports))
            await machine.settled.wait()
            nursery.cancel_scope.cancel()
    finally:
        forwarder.close()
    raise WrongState(
        f"ports of {sandbox.name} are forwarded no more: it is {sandbox.state}",
        sandbox=sandbox.name,
        hint=f"start it first: sandtop start {sandbox.name}",
    )


async def _tell_failures(connection: Connection, failures: trio.MemoryReceiveChannel[ForwardFailed]) -> None:
    async for failure in failures:
        await connection.tell(failure)
