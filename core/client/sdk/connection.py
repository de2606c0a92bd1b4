"""A TCP connection into a sandbox, as a stream of bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import anyio

from sandtop.core.client.link.asynchronous import AsyncConversation
from sandtop.core.client.link.connecting import Connecting, Unrepeated
from sandtop.core.contract.sandbox import SandboxConnect
from sandtop.core.errors import SandtopError, WrongState

if TYPE_CHECKING:
    from types import TracebackType


class Connection:
    """A TCP connection to a port of a sandbox: a stream of bytes both ways. `Sandbox.connect` makes it.

    One task may send while another receives. Use it as a context, or close it.
    """

    def __init__(self, connecting: Connecting, port: int, sandbox: str) -> None:
        self._connecting = connecting
        self._port = port
        self._sandbox = sandbox
        where = f"port {port} of {sandbox}"
        self._conversation = AsyncConversation(connecting, recovery=Unrepeated(connecting, where))
        self._turn = anyio.Event()
        self._reading = False
        self._closed = False
        self._fault: SandtopError | None = None

    @property
    def address(self) -> str:
        """Where in the sandbox the program listens: ``127.0.0.1`` or ``::1``."""
        return self._connecting.address or ""

    async def send_all(self, data: bytes) -> None:
        """Send all of ``data``; return when it is on its way. Waits as long as the program does not read.

        Raises `ChannelError` when the connection broke: the program reset it, the sandbox stopped, or the core went
        away; `WrongState` when it was closed here.
        """
        view = memoryview(data)
        while view:
            self._check()
            if self._connecting.ended:
                raise WrongState(
                    f"the end of this connection to port {self._port} of {self._sandbox} was sent"
                )
            if room := max(0, min(self._connecting.room, len(view))):
                self._connecting.write(bytes(view[:room]))
                view = view[room:]
                await self._conversation.send()
            else:
                await self._advance()

    async def receive_some(self, max_bytes: int = 65_536) -> bytes:
        """The next bytes, at least one and at most ``max_bytes``; empty when the program has ended its side.

        Raises as `send_all`.
        """
        while not self._connecting.intake.size:
            if self._connecting.intake.whole:
                return b""
            self._check()
            await self._advance()
        data = self._connecting.take(max_bytes)
        if self._fault is None and not self._connecting.over:
            await self._conversation.send()
        return data

    async def send_eof(self) -> None:
        """End this side: the program reads to the end of what was sent, and may go on sending. Harmless when ended."""
        if not self._connecting.ended:
            self._check()
            self._connecting.close()
            await self._conversation.send()

    async def aclose(self) -> None:
        """Close it: what was sent arrives, and then the end of it; what was not received is lost."""
        self._closed = True
        await self._conversation.aclose()

    async def stands(self) -> None:
        """Return when the program has taken it. Raises what the core reports."""
        while self._connecting.address is None:
            await self._advance()

    def _check(self) -> None:
        if self._fault is not None:
            raise self._fault
        if self._closed:
            raise WrongState(f"this connection to port {self._port} of {self._sandbox} was closed")

    async def _advance(self) -> None:
        """Return when something has happened, perhaps nothing of interest."""
        if self._reading:
            await self._turn.wait()
            return
        self._reading = True
        try:
            await self._conversation.advance()
            await self._conversation.send()
        except SandtopError as error:
            self._fault = error
            raise
        finally:
            self._reading = False
            self._turn.set()
            self._turn = anyio.Event()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()


async def connection(sandbox: str, name: str, port: int) -> Connection:
    """A connection to ``port`` of ``sandbox`` that stands. Raises what the core reports."""
    made = Connection(Connecting(SandboxConnect(sandbox=sandbox, port=port)), port, name)
    try:
        await made.stands()
    except BaseException:
        await made.aclose()
        raise
    return made
