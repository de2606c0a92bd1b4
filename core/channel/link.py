"""The core's end of the link to one agent: handshake, frames, reconnecting, requests with deadlines."""

from __future__ import annotations

import secrets
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, Protocol

import trio

from sandtop.agent.protocol import (
    AGENT_PROTOCOL,
    Control,
    Credit,
    Data,
    Decoder,
    Frame,
    HostHandshake,
    Outbox,
    ProtocolError,
    marker,
)
from sandtop.core.errors import ChannelError
from sandtop.core.groups import unwrapped

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from sandtop.core.channel.transport import Transport

_CHUNK: Final = 256 * 1024
_HANDSHAKE_DEADLINE: Final = 10.0
"""Seconds for an agent that is up to answer the marker, also on a host whose cores are all busy."""
_RECONNECT_PAUSES: Final = (0.0, 0.05, 0.2, 0.5, 1.0)
_OLDEST_AGENT: Final = AGENT_PROTOCOL - 1

Message = dict[str, object]


class Listener(Protocol):
    """Who is told what the agent says. Methods must not block; a ProtocolError out of one closes the link."""

    def link_up(self, hello: Mapping[str, object]) -> None:
        """A new link stands; ``hello`` is the agent's."""
        ...

    def link_down(self, reason: str) -> None:
        """The link broke; another will be tried."""
        ...

    def message(self, message: Mapping[str, object]) -> None:
        """A control message that is not an answer to a request of this link."""
        ...

    def data(self, frame: Data) -> None:
        """Output of a session."""
        ...

    def stdin_credit(self, credit: Credit) -> None:
        """The agent's word on a stdin stream."""
        ...

    def drained(self) -> None:
        """All that one read brought was handed over."""
        ...


class AgentLink:
    """The link to one machine's agent, for as long as the machine lives.

    ``run`` connects, and connects again whenever the link breaks. What must survive a break is either sent again
    (requests without an answer, see `request`) or reconciled by the listener in ``link_up``.
    """

    def __init__(self, transport: Transport, token: str, listener: Listener) -> None:
        self._transport = transport
        self._token = token
        self._listener = listener
        self._outbox = Outbox()
        self._wake = trio.Event()
        self._answers: dict[str, _Waiting] = {}
        self._up = trio.Event()
        self.last_heard = trio.current_time()
        self.connected = False

    @property
    def outbox(self) -> Outbox:
        """For streams; call `flush` after changing it."""
        return self._outbox

    def flush(self) -> None:
        """Something was put into the outbox."""
        self._wake.set()

    def send(self, message: Message) -> None:
        """Queue a control message. Lost when the link breaks: the listener says it again in ``link_up``."""
        if self.connected:
            self._outbox.control(message)
            self._wake.set()

    async def wait_up(self, deadline: float) -> None:
        """Return once the link stands. Raises `ChannelError` after ``deadline`` seconds."""
        with trio.move_on_after(deadline):
            await self._up.wait()
            return
        raise ChannelError(
            f"the agent did not answer within {deadline:g} s",
            hint="it may be overloaded or broken: try again, or restart the sandbox",
        )

    async def request(self, message: Message, deadline: float) -> Message:
        """Send ``message`` with an ``op`` of its own and return the agent's ``done``; sent again on a new link.

        Raises `ChannelError` after ``deadline`` seconds.
        """
        op = secrets.token_hex(8)
        waiting = _Waiting({**message, "op": op})
        self._answers[op] = waiting
        try:
            self.send(waiting.message)
            with trio.move_on_after(deadline):
                await waiting.answered.wait()
                return waiting.answer
            raise ChannelError(f"the agent did not answer '{message['type']}' within {deadline:g} s")
        finally:
            del self._answers[op]

    async def ping(self, deadline: float = 5.0) -> float:
        """The agent's round trip in seconds. Raises `ChannelError` after ``deadline``."""
        sequence = secrets.token_hex(8)
        waiting = _Waiting({"type": "ping", "seq": sequence})
        self._answers[sequence] = waiting
        begun = trio.current_time()
        try:
            self.send(waiting.message)
            with trio.move_on_after(deadline):
                await waiting.answered.wait()
                return trio.current_time() - begun
            raise ChannelError(f"the agent did not answer a ping within {deadline:g} s")
        finally:
            del self._answers[sequence]

    async def run(self, first_deadline: float) -> None:
        """Keep the link up until cancelled. The first handshake may take ``first_deadline`` seconds (a boot)."""
        failures, deadline = 0, first_deadline
        while True:
            reason = "the machine closed the channel"
            try:
                async with self._open(deadline) as (stream, first):
                    failures, deadline = 0, _HANDSHAKE_DEADLINE
                    await self._serve(stream, first)
            except (ChannelError, ProtocolError) as error:
                reason = str(error)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass
            self._down(reason)
            await trio.sleep(_RECONNECT_PAUSES[min(failures, len(_RECONNECT_PAUSES) - 1)])
            failures += 1

    def _down(self, reason: str) -> None:
        if self.connected:
            self.connected = False
            self._up = trio.Event()
            self._listener.link_down(reason)

    @asynccontextmanager
    async def _open(self, deadline: float) -> AsyncGenerator[tuple[trio.abc.Stream, bytes]]:
        """A stream on which the agent has answered, and the first bytes behind its answer."""
        stream = await self._transport.open()
        try:
            first: bytes | None = None
            with trio.move_on_after(deadline):
                first = await self._shake_hands(stream)
            if first is None:
                raise ChannelError(f"the agent did not answer within {deadline:g} s")
            yield stream, first
        finally:
            await trio.aclose_forcefully(stream)

    async def _shake_hands(self, stream: trio.abc.Stream) -> bytes:
        nonce = secrets.token_hex(16)
        handshake = HostHandshake(nonce)
        await stream.send_all(marker(self._token, nonce))
        while True:
            data = await stream.receive_some(_CHUNK)
            if not data:
                raise ChannelError("the machine closed the channel")
            first = handshake.feed(bytes(data))
            if first is not None:
                return first

    async def _serve(self, stream: trio.abc.Stream, first: bytes) -> None:
        self._outbox.restart()
        self._outbox.control({"type": "hello", "version": AGENT_PROTOCOL, "core": "sandtop"})
        self._wake.set()
        with unwrapped():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write, stream)
                await self._read(stream, first)
                nursery.cancel_scope.cancel()

    async def _read(self, stream: trio.abc.Stream, data: bytes) -> None:
        decoder = Decoder()
        while True:
            for frame in decoder.feed(data):
                self._take(frame)
            self._listener.drained()
            data = bytes(await stream.receive_some(_CHUNK))
            if not data:
                return
            self.last_heard = trio.current_time()

    def _take(self, frame: Frame) -> None:
        if isinstance(frame, Control):
            self._take_control(frame.message)
        elif not self.connected:
            raise ProtocolError("data before the agent's hello")
        elif isinstance(frame, Data):
            self._listener.data(frame)
        elif isinstance(frame, Credit):
            self._outbox.take_credit(frame)
            self._wake.set()
            self._listener.stdin_credit(frame)
        else:
            raise ProtocolError("an eof from the agent: output ends with the exit record")

    def _take_control(self, message: Message) -> None:
        kind = message["type"]
        if kind == "hello":
            self._hello(message)
        elif not self.connected:
            raise ProtocolError(f"'{kind}' before the agent's hello")
        elif kind in ("done", "pong"):
            waiting = self._answers.get(str(message.get("op") if kind == "done" else message.get("seq")))
            if waiting is not None:
                waiting.answer = message
                waiting.answered.set()
        else:
            self._listener.message(message)

    def _hello(self, message: Message) -> None:
        version = message.get("version")
        if self.connected or not isinstance(version, int) or not _OLDEST_AGENT <= version <= AGENT_PROTOCOL:
            raise ProtocolError(f"a hello of version {version!r}")
        self.connected = True
        self._listener.link_up(message)
        for waiting in self._answers.values():
            self._outbox.control(waiting.message)
        self._up.set()
        self._wake.set()

    async def _write(self, stream: trio.abc.Stream) -> None:
        while True:
            while (pieces := self._outbox.pull()) is not None:
                await stream.send_all(pieces[0] if len(pieces) == 1 else b"".join(pieces))
            self._wake = trio.Event()
            await self._wake.wait()


class _Waiting:
    """A request that waits for its answer."""

    __slots__ = ("answer", "answered", "message")

    def __init__(self, message: Message) -> None:
        self.message = message
        self.answered = trio.Event()
        self.answer: Message = {}
