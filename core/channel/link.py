"""The core's end of the link to one agent: handshake, frames, reconnecting."""

from __future__ import annotations

import logging
import math
import secrets
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import trio

from sandtop.agent.wire import (
    AGENT_PROTOCOL,
    Control,
    Credit,
    Data,
    Decoder,
    Frame,
    Outbox,
    ProtocolError,
)
from sandtop.agent.wire.limits import (
    FIRST_CONNECTION,
    MAX_AGENT_MESSAGE,
    MAX_AGENT_VALUES,
    MAX_HELLO_VALUES,
    MAX_OP,
)
from sandtop.core.channel.connections import Connections
from sandtop.core.channel.handshake import CHUNK, shake_hands
from sandtop.core.channel.requests import Message, Requests
from sandtop.core.channel.turns import LITTLE, Throttle, Turn
from sandtop.core.errors import ChannelError
from sandtop.core.groups import unwrapped

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from sandtop.core.channel.listener import Listener, Outward
    from sandtop.core.channel.transport import Transport

log = logging.getLogger(__name__)
_HELLO_DEADLINE: Final = 10.0
"""Seconds for an agent to send its hello once it has answered the marker."""
_MARKER_DEADLINES: Final = (2.0, 5.0, 10.0)
"""Seconds for an agent that is up to answer the marker, by the number of failed attempts. The first ones are short,
since a marker can be lost with what was on its way when the host's side was closed. The later ones are longer, since
on a host whose processors are all busy an answer takes a while."""
_RECONNECT_PAUSES: Final = (0.0, 0.05, 0.2, 0.5, 1.0)
"""Seconds before the next attempt, by the number of failed attempts."""
_STEADY: Final = 5.0
"""Seconds that a link must stand to count as a success. With an agent that breaks every link at once the attempts
are as far apart as after failures."""
_PULSE: Final = 10.0
"""Seconds between two pings …"""
_SILENCE: Final = 5.0
"""… and without an answer to one before the agent counts as silent. Its link stays: a guest may be busy, or paused."""
_GATHERED: Final = 4
"""Turns after which what came is stored, so that many small writes become one."""
_OLDEST_AGENT: Final = AGENT_PROTOCOL - 1


class AgentLink:
    """The link to one machine's agent, for as long as the machine lives.

    ``run`` connects, and connects again whenever the link breaks. Requests that have no answer yet are then sent again
    (see `request`); everything else that a break lost is made good by the listener in ``link_up``.

    Attributes:
        listener: takes what the agent says. It is replaced only when the agent has nothing to say to the one before.
        connected: whether the agent has said hello on a link that stands.
        measures: whether the agent of a link that stands knows `processes`; an older one does not.
        files: the same of its file server, and …
        merges: … of output in one stream, and …
        connects: … of connections into its guest, and …
        layers: … of layers of what it holds, and …
        mounts: … of what it mounts, and …
        folders: … of folders of the host that it mounts.
        connections: TCP connections into the guest, and out of it.
        outward: takes what its programs ask for outside of it; None for a guest that may ask for nothing.
        measured: what its guest uses, as the agent said last, unchecked; and when that was, by trio's clock.
        fault: how the agent broke the protocol, until a link has stood for `_STEADY` seconds since; else None.
    """

    def __init__(self, transport: Transport, token: str, listener: Listener) -> None:
        self._transport = transport
        self._token = token
        self.listener = listener
        self._outbox = Outbox()
        self._wake = trio.Event()
        self._requests = Requests(self.send)
        self._up = trio.Event()
        self._broken: str | None = None
        self._serving = trio.CancelScope()
        self._asked_at: float | None = None
        self._turn = Turn()
        self._throttle = Throttle()
        self.connected = False
        self.fault: str | None = None
        self.measures = self.files = self.merges = self.connects = self.layers = False
        self.mounts = self.folders = False
        self.connections = Connections(self)
        self.outward: Outward | None = None
        self.measured: tuple[float, object] | None = None

    @property
    def silent(self) -> bool:
        """Whether the agent of a link that stands does not answer."""
        return self._asked_at is not None and trio.current_time() - self._asked_at > _SILENCE

    @property
    def outbox(self) -> Outbox:
        """What is to be sent: streams, credit and control messages. Call `flush` after putting something into it."""
        return self._outbox

    def flush(self) -> None:
        """Something was put into the outbox."""
        self._wake.set()

    def send(self, message: Message) -> None:
        """Queue a control message. A break loses it: what matters is sent again by the listener in ``link_up``."""
        if not self.connected:
            return
        try:
            self._outbox.control(message)
        except ProtocolError as error:
            # the outbox is full, because the agent does not read: its link is closed, and our caller is not to blame
            self._broken = str(error)
            self._serving.cancel()
        self._wake.set()

    async def wait_up(self, deadline: float) -> None:
        """Return once the link stands. Raises `ChannelError` after ``deadline`` seconds."""
        if self.connected:  # even an event that is set costs a turn of the event loop to wait for
            return
        with trio.move_on_after(deadline):
            await self._up.wait()
            return
        raise ChannelError(
            f"the agent did not answer within {deadline:g} s",
            hint="it may be overloaded or broken: try again, or restart the sandbox",
        )

    async def request(self, message: Message, deadline: float) -> Message:
        """Send ``message`` and return the agent's ``done``. On a new link the message is sent again.

        The agent does what has the same ``op`` once. A caller that may repeat its request puts its own into
        ``message``; else a new one is made. Raises `ChannelError` after ``deadline`` seconds.
        """
        op = message.get("op")
        if not isinstance(op, str) or not 0 < len(op) <= MAX_OP:
            op = secrets.token_hex(8)
        return await self._requests.ask("done", op, {**message, "op": op}, deadline)

    async def ping(self, deadline: float = 5.0, *, sessions: bool = False) -> float:
        """The seconds that the agent took to answer. Raises `ChannelError` after ``deadline`` seconds.

        `measured` is new then, with ``sessions`` also as to what each session uses.
        """
        sequence = secrets.token_hex(8)
        begun = trio.current_time()
        message: Message = {"type": "ping", "seq": sequence, "usage": "sessions" if sessions else "total"}
        answer = await self._requests.ask("pong", sequence, message, deadline)
        if (usage := answer.get("usage")) is not None:
            self.measured = trio.current_time(), usage
        return trio.current_time() - begun

    async def processes(self, deadline: float) -> Message:
        """The agent's ``processes``: what runs in its guest. Raises `ChannelError` after ``deadline`` seconds."""
        sequence = secrets.token_hex(8)
        return await self._requests.ask("processes", sequence, {"type": "top", "seq": sequence}, deadline)

    async def run(self, boot_seconds: float | None) -> None:
        """Keep the link up until cancelled.

        ``boot_seconds`` is how long the first handshake may take with a machine that boots; None for one that is up.
        """
        failures = 0
        while True:
            begun, reason, fault = trio.current_time(), "the machine closed the channel", None
            patience = _MARKER_DEADLINES[min(failures, len(_MARKER_DEADLINES) - 1)]
            try:
                async with self._open(boot_seconds or patience) as (stream, first):
                    begun, boot_seconds = trio.current_time(), None
                    await self._serve(stream, first)
            except ChannelError as error:
                reason = str(error)
            except ProtocolError as error:
                reason = fault = str(error)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass
            except Exception:
                # a fault in our own code that a guest has found ends the guest's link, and not the core
                log.exception("a fault of ours on a link")
                reason = fault = "sandtop met a fault of its own, see the core's log"
            if self.connected and trio.current_time() - begun >= _STEADY:
                failures, self.fault = 0, None
            if fault is not None:
                self.fault = fault
                log.warning("a link is closed: %s", fault)
            self._down(reason)
            await trio.sleep(_RECONNECT_PAUSES[min(failures, len(_RECONNECT_PAUSES) - 1)])
            failures += 1

    def _down(self, reason: str) -> None:
        if self.connected:
            self.connected = False
            self._up = trio.Event()
            try:
                self.listener.link_down(reason)
            except Exception:
                log.exception("a fault of ours at the end of a link")

    @asynccontextmanager
    async def _open(self, deadline: float) -> AsyncGenerator[tuple[trio.abc.Stream, bytes]]:
        """A stream on which the agent has answered the marker, and the bytes that came with the answer, behind it."""
        stream: trio.abc.Stream | None = None
        try:
            first: bytes | None = None
            with trio.move_on_after(deadline):
                stream = await self._transport.open(self._token)
                first = await shake_hands(stream, self._token)
            if stream is None or first is None:
                raise ChannelError(f"the agent did not answer within {deadline:g} s")
            yield stream, first
        finally:
            if stream is not None:
                await trio.aclose_forcefully(stream)

    async def _serve(self, stream: trio.abc.Stream, first: bytes) -> None:
        self._outbox.restart()
        self._outbox.control({"type": "hello", "version": AGENT_PROTOCOL, "core": "sandtop"})
        self._wake.set()
        self._broken = None
        try:
            with unwrapped():
                async with trio.open_nursery() as nursery:
                    self._serving = nursery.cancel_scope
                    nursery.start_soon(self._write, stream)
                    nursery.start_soon(self._expect_hello)
                    nursery.start_soon(self._feel_pulse)
                    nursery.start_soon(self.connections.sweep)
                    await self._read(stream, first)
                    nursery.cancel_scope.cancel()
        finally:
            self.connections.clear()
        if self._broken is not None:
            raise ProtocolError(self._broken)

    async def _expect_hello(self) -> None:
        """End a link on which the agent sends no hello. Clear `fault` when the link has stood for `_STEADY` seconds."""
        with trio.move_on_after(_HELLO_DEADLINE) as patience:
            await self._up.wait()
        if patience.cancelled_caught:
            raise ChannelError(f"the agent did not say hello within {_HELLO_DEADLINE:g} s")
        await trio.sleep(_STEADY)
        self.fault = None

    async def _feel_pulse(self) -> None:
        """Ping the agent every `_PULSE` seconds; the next ping waits until the last one is answered."""
        await self._up.wait()
        try:
            while True:
                await trio.sleep(_PULSE)
                self._asked_at = trio.current_time()
                await self.ping(math.inf)
                self._asked_at = None
        finally:
            self._asked_at = None

    async def _read(self, stream: trio.abc.Stream, data: bytes) -> None:
        decoder, turn, throttle = Decoder(max_values=MAX_HELLO_VALUES), self._turn, self._throttle
        with turn:
            turns, greeted = 0, False
            while True:
                before = await turn.begin()
                for frame in decoder.frames(data):
                    news = self._take(frame)
                    if not greeted and self.connected:
                        greeted = True
                        decoder.max_control, decoder.max_values = MAX_AGENT_MESSAGE, MAX_AGENT_VALUES
                    now = time.perf_counter()
                    if not news:
                        throttle.spend(now - before)
                    elif isinstance(frame, Data) and len(frame.data) < LITTLE:
                        throttle.spend_on_little(now - before)
                    before = now
                    if now >= turn.until:
                        turns += 1
                        if turns % _GATHERED == 0:
                            await self._store()
                        before = await turn.pass_on(throttle.wait)
                await self._store()
                turn.end()
                if wait := throttle.wait:
                    await trio.sleep(wait)
                data = bytes(await stream.receive_some(CHUNK))
                if not data:
                    return

    async def _store(self) -> None:
        while self.listener.drained():
            if self._turn.over:
                await self._turn.pass_on()

    def _take(self, frame: Frame) -> bool:
        """Take one frame; whether it changed anything."""
        if isinstance(frame, Control):
            return self._take_control(frame.message)
        if not self.connected:
            raise ProtocolError("data before the agent's hello")
        if frame.stream >= FIRST_CONNECTION:
            return self.connections.take(frame)
        if isinstance(frame, Data):
            return self.listener.data(frame)
        if isinstance(frame, Credit):
            self._outbox.take_credit(frame)
            self._wake.set()
            return self.listener.stdin_credit(frame)
        raise ProtocolError("an eof from the agent: output ends with the exit record")

    def _take_control(self, message: Message) -> bool:
        kind = message["type"]
        if kind == "hello":
            self._hello(message)
            return True
        if not self.connected:
            raise ProtocolError(f"{kind!r:.40} before the agent's hello")
        if kind in ("connected", "disconnected"):
            return self.connections.told(message)
        if kind in ("dial", "resolve", "strays"):
            return self.outward is not None and self.outward.told(self, message)
        answered = self._requests.take(message)
        return self.listener.message(message) if answered is None else answered

    def _hello(self, message: Message) -> None:
        version = message.get("version")
        if self.connected or not isinstance(version, int) or not _OLDEST_AGENT <= version <= AGENT_PROTOCOL:
            raise ProtocolError(f"a hello of version {version!r:.40}")
        self.connected = True
        self.measures, self.files, self.merges, self.connects, self.layers, self.mounts = (
            message.get(name) is True
            for name in ("measures", "files", "merges", "connects", "layers", "mounts")
        )
        self.folders = isinstance(message.get("folders"), list)
        self.listener.link_up(message)
        for request in self._requests.unanswered():
            self._outbox.control(request)
        self._up.set()
        self._wake.set()

    async def _write(self, stream: trio.abc.Stream) -> None:
        while True:
            while data := self._outbox.batch():
                await stream.send_all(data)
            self._wake = trio.Event()
            await self._wake.wait()
