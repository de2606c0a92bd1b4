"""TCP connections into a guest, which its agent makes to its loopback, and out of it: streams on the agent's link.

Each has its own credit in both directions, so one that is not read, here or in the guest, holds up no other. They end
with their link, since nobody knows what a program has taken of what was on its way. What the agent says is checked as
on all streams: it can send no more than there is credit for, and only on connections that were asked for here, or that
it began with a ``dial`` which was taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import trio

from sandtop.agent.wire import Credit, Data, Eof, Intake, ProtocolError, SendStream
from sandtop.agent.wire.limits import (
    FIRST_CONNECTION,
    FIRST_DIALED,
    LAST_STREAM,
    MAX_CONNECT_MS,
    MAX_CONNECTIONS,
    MAX_DIALED,
)
from sandtop.core.channel.older import too_old
from sandtop.core.errors import ChannelError, ConnectionRefused, SandtopError, TimedOut, WrongState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandtop.agent.wire import Outbox

CONNECT_SECONDS: Final = 10.0
"""Seconds that a connection may take to come to stand."""
_MARGIN: Final = 5.0
"""Seconds beyond that for the agent to say so."""
_MOST_HELD: Final = 32 << 20
_LEAST_WINDOW: Final = 32 << 10
_MOST_WINDOW: Final = 1 << 20
_PART: Final = 8
"""Bytes that are held in each direction of all connections of a guest, beside the least for each, and of that for one.
Each new one may have an eighth of what is left."""
_LINGER: Final = 60.0
"""Seconds for a program to end its side of a connection that was closed here. Then it is reset, as Linux does it
(tcp_fin_timeout, tcp(7))."""
_LINK_SECONDS: Final = 10.0
_MOST_WORDS: Final = 200
_NUMBERS: Final = FIRST_DIALED - FIRST_CONNECTION


class Link(Protocol):
    """What connections need of the link that they are streams of."""

    connects: bool
    connections: Connections

    @property
    def outbox(self) -> Outbox: ...
    def flush(self) -> None: ...
    def send(self, message: dict[str, object]) -> None: ...
    async def wait_up(self, deadline: float) -> None: ...


class GuestConnection(trio.abc.HalfCloseableStream):
    """A connection to a port of a guest, by `Connections.open`, or of a program of it, by `Connections.dialed`.

    What waits for it ends with ``trio.BrokenResourceError`` when it breaks; `fault` says why.

    Attributes:
        number: of its stream on the link.
        address: where in the guest the program was found, ``127.0.0.1`` or ``::1``; None before that, empty for
            one of a program.
        fault: why it broke; None while it has not.
        window: bytes that are held of it in each direction, at most.
        closed_at: when it was closed here, by trio's clock; None while it was not.
    """

    def __init__(self, number: int, window: int, link: Link) -> None:
        self.number = number
        self.address: str | None = None
        self.fault: SandtopError | None = None
        self.closed_at: float | None = None
        self._link = link
        self.window = window
        self._stream = SendStream(number)
        self._intake = Intake(number, window)
        self._news = trio.Event()

    # for `Connections`

    def ask(self, port: int) -> None:
        """Ask the agent for it."""
        milliseconds = min(MAX_CONNECT_MS, round(CONNECT_SECONDS * 1000))
        self._link.send({"type": "connect", "n": self.number, "port": port, "timeout_ms": milliseconds})
        self._begin()

    def answer(self) -> None:
        """Take what the agent has asked for: it may send."""
        self.address = ""
        self._begin()

    def _begin(self) -> None:
        self._link.outbox.add(self._stream)
        self._link.outbox.credit(self._intake.begin())
        self._link.flush()

    def take(self, frame: Data | Credit | Eof) -> bool:
        """Take a frame of its stream; whether that was news. Raises ProtocolError."""
        before = self._state
        if isinstance(frame, Data):
            self._intake.take(frame.offset, frame.data)
        elif isinstance(frame, Eof):
            self._link.outbox.credit(self._intake.finish(frame.offset))
            self._link.flush()
        else:
            self._link.outbox.take_credit(frame)
            self._link.flush()
        if news := before != self._state:
            self.heard()
        return news

    @property
    def _state(self) -> tuple[int, int, int, bool]:
        return self._stream.acked, self._stream.limit, self._intake.size, self._intake.whole

    @property
    def unwanted(self) -> bool:
        """Whether something has come that nobody will read."""
        return self.closed_at is not None and self._intake.size > 0

    @property
    def over(self) -> bool:
        """Whether both sides have ended it, and all of what was sent here has arrived."""
        return self._intake.whole and self._stream.finished and self._stream.eof_sent

    def heard(self) -> None:
        """Let everybody look who waits for something."""
        self._news.set()
        self._news = trio.Event()

    async def stands(self) -> None:
        """Return when it stands. Raises `SandtopError` when it does not come to that."""
        while self.address is None:
            if self.fault is not None:
                raise self.fault
            await self._news.wait()

    # a stream of trio's

    def _check(self) -> None:
        if self.closed_at is not None:
            raise trio.ClosedResourceError
        if self.fault is not None:
            raise trio.BrokenResourceError(self.fault.message) from self.fault

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        view = memoryview(data)
        while view:
            self._check()
            stream = self._stream
            room = min(stream.limit - stream.end, self.window - stream.retained)
            if room > 0:
                stream.write(bytes(view[:room]))
                view = view[room:]
                self._wake()
            else:
                await self._news.wait()

    def _wake(self) -> None:
        self._link.outbox.wake(self.number)
        self._link.flush()

    async def wait_send_all_might_not_block(self) -> None:
        while True:
            self._check()
            if self._stream.end < self._stream.limit and self._stream.retained < self.window:
                return
            await self._news.wait()

    async def send_eof(self) -> None:
        if self._stream.final is None:
            self._check()
            self._stream.close()
            self._wake()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        while not self._intake.size:
            if self._intake.whole:
                return b""
            self._check()
            await self._news.wait()
        piece = bytes(self._intake.first[:max_bytes])
        credit = self._intake.drop(len(piece))
        if credit is not None and self.fault is None:
            self._link.outbox.credit(credit)
            self._link.flush()
        return piece

    async def aclose(self) -> None:
        """Close it: what was sent arrives, and then its end. The program's own end is waited for elsewhere."""
        if self.closed_at is None:
            if self.fault is None and self._stream.final is None:
                self._stream.close()
                self._wake()
            self.closed_at = trio.current_time()
            self._link.connections.closed(self)
            self.heard()
        await trio.lowlevel.checkpoint()

    def reset(self) -> None:
        """End it at once, which the program sees."""
        self._link.connections.reset(self)


class Connections:
    """The connections on ``link``."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._all: dict[int, GuestConnection] = {}
        self._held = 0  # what may be held of them
        self._last = 0
        self._dialed = 0
        self._lingering = trio.Event()

    def __len__(self) -> int:
        return len(self._all)

    async def open(self, port: int, sandbox: str) -> GuestConnection:
        """A connection to ``port`` of 127.0.0.1 in the guest, or else of ::1. ``sandbox`` is its name, for errors.

        Raises `ConnectionRefused` when nothing listens there, `TimedOut`, `WrongState` when there are too many or the
        agent is too old, `ChannelError`.
        """
        await self._link.wait_up(_LINK_SECONDS)
        if not self._link.connects:
            raise too_old(sandbox, "cannot connect to ports")
        if len(self._all) - self._dialed >= MAX_CONNECTIONS:
            raise _too_many(sandbox)
        while (number := FIRST_CONNECTION + self._last % _NUMBERS) in self._all:
            self._last += 1
        self._last += 1
        connection = self._new(number)
        connection.ask(port)
        try:
            with trio.move_on_after(CONNECT_SECONDS + _MARGIN):
                await connection.stands()
                return connection
        except SandtopError as error:
            raise _explained(error, port, sandbox) from None
        finally:
            if connection.address is None:
                connection.reset()
        raise _explained(TimedOut("the agent says nothing"), port, sandbox)

    def dialed(self, message: Mapping[str, object]) -> GuestConnection | None:
        """The connection of a program of the guest, which the agent's ``dial`` begins; None when there are too many.

        Raises ProtocolError for a number that none can have, or another has.
        """
        number = message.get("n")
        if not isinstance(number, int) or not FIRST_DIALED <= number <= LAST_STREAM or number in self._all:
            raise ProtocolError("a dial with a number that it cannot have")
        if self._dialed >= MAX_DIALED:
            self._link.send({"type": "disconnect", "n": number})
            return None
        self._dialed += 1
        connection = self._new(number)
        connection.answer()
        return connection

    def _new(self, number: int) -> GuestConnection:
        window = max(_LEAST_WINDOW, min(_MOST_WINDOW, (_MOST_HELD - self._held) // _PART))
        self._held += window
        made = self._all[number] = GuestConnection(number, window, self._link)
        return made

    def take(self, frame: Data | Credit | Eof) -> bool:
        """Take a frame of a connection's stream; whether that was news. Raises ProtocolError."""
        connection = self._all.get(frame.stream)
        if connection is None:
            return False  # it was reset here, and the agent does not know yet
        news = connection.take(frame)
        if connection.over:
            self._forget(connection)
        elif connection.unwanted:
            self.reset(connection)
        return news

    def told(self, message: Mapping[str, object]) -> bool:
        """Take the agent's ``connected`` or ``disconnected``; whether that was news."""
        number = message.get("n")
        connection = self._all.get(number) if isinstance(number, int) else None
        if connection is None:
            return False
        if message["type"] == "connected":
            if connection.address is not None:
                return False
            connection.address = "::1" if message.get("address") == "::1" else "127.0.0.1"
            connection.heard()
        else:
            self._break(connection, _fault(message))
        return True

    def closed(self, connection: GuestConnection) -> None:
        """It was closed here: it goes when its program ends its side, too, or has had its time for that."""
        if connection.unwanted:
            self.reset(connection)
        elif connection.number in self._all:
            self._lingering.set()

    def reset(self, connection: GuestConnection) -> None:
        """End it at once, if it is not over."""
        if connection.number in self._all:
            self._link.send({"type": "disconnect", "n": connection.number})
            self._break(connection, ChannelError("the connection was reset"))

    def clear(self) -> None:
        """The link has ended, and all connections with it."""
        for connection in list(self._all.values()):
            self._break(connection, ChannelError("the sandbox is gone, or the link to it broke"))

    def _break(self, connection: GuestConnection, fault: SandtopError) -> None:
        self._forget(connection)
        connection.fault = fault
        connection.heard()

    def _forget(self, connection: GuestConnection) -> None:
        del self._all[connection.number]
        self._held -= connection.window
        self._dialed -= connection.number >= FIRST_DIALED
        self._link.outbox.remove(connection.number)

    async def sweep(self) -> None:
        """Reset those that were closed here `_LINGER` seconds ago. Runs while the link stands."""
        while True:
            await self._lingering.wait()
            self._lingering = trio.Event()
            while closed := [each for each in self._all.values() if each.closed_at is not None]:
                first = min(each.closed_at or 0.0 for each in closed)
                await trio.sleep_until(first + _LINGER)
                for connection in closed:
                    if (connection.closed_at or 0.0) + _LINGER <= trio.current_time():
                        self.reset(connection)


def _too_many(sandbox: str) -> WrongState:
    return WrongState(
        f"{sandbox} has {MAX_CONNECTIONS:,} connections, which is as many as there can be",
        sandbox=sandbox,
        hint="close some",
    )


def _fault(message: Mapping[str, object]) -> SandtopError:
    """What the agent says of a connection that did not come to stand, or broke."""
    code, words = message.get("code"), str(message.get("message"))[:_MOST_WORDS]
    if code == "refused":
        return ConnectionRefused(words)
    if code == "timeout":
        return TimedOut(words)
    if code == "limit":
        return WrongState(words)
    return ChannelError("the program reset the connection" if code == "reset" else words)


def _explained(error: SandtopError, port: int, sandbox: str) -> SandtopError:
    """``error``, met while connecting, in words for whoever asked."""
    if isinstance(error, ConnectionRefused):
        return ConnectionRefused(
            f"nothing listens on port {port} in {sandbox}",
            sandbox=sandbox,
            hint="on 127.0.0.1 or ::1 there; is the program up yet?",
        )
    if isinstance(error, WrongState):
        return _too_many(sandbox)
    if isinstance(error, TimedOut):
        return TimedOut(
            f"no connection to port {port} in {sandbox} within {CONNECT_SECONDS:g} s",
            sandbox=sandbox,
            hint="its program, or the sandbox, is too busy to take it",
        )
    return ChannelError(f"cannot connect to port {port} in {sandbox}: {error.message}", sandbox=sandbox)
