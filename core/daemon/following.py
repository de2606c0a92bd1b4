"""A connection that follows a session: output to the client by offset, input and signals from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from sandtop.agent.wire import Control, Credit, Data, Eof, Frame, ProtocolError, encode, split
from sandtop.core.contract.codec import decode_event
from sandtop.core.contract.session_events import Drawn, Gap, Holder, InputLost, Resize, Signal, Started
from sandtop.core.contract.session_results import SessionEnd
from sandtop.core.daemon.connection import ClientGone
from sandtop.core.daemon.steering import resize, send_signal
from sandtop.core.daemon.viewing import FAR, begin
from sandtop.core.daemon.views import session_view
from sandtop.core.errors import InvalidRequest, SandtopError, from_os_error
from sandtop.core.groups import unwrapped
from sandtop.core.sessions import STDERR, STDIN, STDOUT

if TYPE_CHECKING:
    from sandtop.core.daemon.claims import Claim
    from sandtop.core.daemon.connection import Connection
    from sandtop.core.daemon.viewing import View
    from sandtop.core.fleet import Sandbox
    from sandtop.core.screens.screens import Screens
    from sandtop.core.sessions import Session

_READ: Final = 256 * 1024
"""Bytes read from the log at a time."""
_LAST_WORD: Final = 2.0
"""Seconds for a client to go once it has been told all."""
_SMALL_CREDIT: Final = 16 * 1024
"""Bytes of fresh credit that a terminal can do without for …"""
_CREDIT_WAITS: Final = 0.02
"""… so many seconds: that a key was taken need not be said before its echo."""
_STAY: Final = 5.0
"""Seconds until the screen is asked for again, when it was not to be had."""
_ORDERS: Final = 16
"""Signals and sizes of one client that wait for the agent; beyond it the client waits."""


class Follower:
    """Serves one client that follows ``session``, until it ends or the client goes."""

    def __init__(
        self,
        connection: Connection,
        sandbox: Sandbox,
        session: Session,
        offsets: dict[int, int],
        claim: Claim,
        view: View,
        screens: Screens,
    ) -> None:
        self._connection = connection
        self._sandbox = sandbox
        self._session = session
        self._offsets = offsets
        self._claim = claim
        self._credit: Credit | None = None
        self._lost: str | None = None
        self._told_started = False
        self._told_holder: str | None = None
        self._live_from = session.log.end(STDOUT)
        self._view = view
        self._screens = screens
        self._screen: list[Frame] = []
        self._stay_until = 0.0
        self._granted = 0
        self._credit_waits = trio.Event()
        if view.fresh:
            self._offsets[STDOUT] = self._live_from
        self.label = claim.label
        self.client = claim.client

    # InputHolder

    @property
    def answers(self) -> int | None:
        """All that was sent to it counts as answered, or it might be answered twice."""
        return self._offsets[STDOUT] if self._view.output else None

    def credit(self, credit: Credit) -> None:
        """Pass on the agent's word on stdin; the latest is enough."""
        self._credit = credit
        if self._view.terminal and credit.limit - self._granted < _SMALL_CREDIT:
            self._credit_waits.set()  # the echo, which comes at once, takes it along
        else:
            self._session.notify()

    def lost_input(self, reason: str) -> None:
        """Tell the client."""
        self._lost = reason
        self._session.notify()

    async def run(self) -> None:
        """Return when the session has ended and the client was told all.

        Raises `ClientGone`, ProtocolError for a client that breaks the rules, `StorageError` for a log that is not
        readable.
        """
        session = self._session
        session.attached += 1
        try:
            if self._claim.wanted:
                self._lost = self._claim.refusal(session)
                if self._lost is None:
                    session.input.hold(self)
                    if self._view.size is not None:
                        session.resize(*self._view.size)
            with unwrapped():
                async with trio.open_nursery() as nursery:
                    orders, todo = trio.open_memory_channel[Control](_ORDERS)
                    nursery.start_soon(self._receive, orders, nursery.cancel_scope)
                    nursery.start_soon(self._steer, todo)
                    if self._view.terminal:
                        nursery.start_soon(self._remind_of_credit)
                    await self._send()
                    if self._view.terminal:
                        # If the core closed the connection while something that the client sent lay unread in it, the
                        # client would get ECONNRESET in place of the result (unix(7)). A terminal may be sending keys
                        # at any moment, so the client closes first.
                        await trio.sleep(_LAST_WORD)
                    nursery.cancel_scope.cancel()
        except OSError as error:
            raise from_os_error(error, "cannot read the session's log", sandbox=self._sandbox.name) from error
        finally:
            session.attached -= 1
            session.input.release(self)
        if not session.ended:
            raise ClientGone

    # to the client

    async def _send(self) -> None:
        session = self._session
        if self._view.fresh:
            beginning = await begin(self._screens, session)
            self._offsets[STDOUT], self._screen = beginning.offset, beginning.frames
            self._live_from = beginning.live_from
        while True:
            if self._view.terminal and session.log.end(STDOUT) - self._offsets[STDOUT] > FAR:
                await self._catch_up()
            frames = self._news()
            if told_all := self._told_all:
                frames.append(self._result())
            if frames:
                await self._connection.send_bytes(b"".join(map(encode, frames)))
                if told_all:
                    return
            else:
                await session.wait_for_news()

    @property
    def _told_all(self) -> bool:
        """Whether, with what `_news` has just given, the client has all that there will ever be."""
        session = self._session
        return session.ended and (
            not self._view.output
            or all(self._offsets[stream] >= session.log.end(stream) for stream in (STDOUT, STDERR))
        )

    def _result(self) -> Control:
        view = session_view(self._sandbox, self._session)
        return Control({"type": "result", **SessionEnd(record=view.record, session=view).to_json()})

    async def _remind_of_credit(self) -> None:
        """Send a small credit that no output took along."""
        while True:
            await self._credit_waits.wait()
            await trio.sleep(_CREDIT_WAITS)
            self._credit_waits = trio.Event()
            if self._credit is not None:
                self._session.notify()

    async def _catch_up(self) -> None:
        """Leave out what the client is behind: the screen has what came of it."""
        if trio.current_time() < self._stay_until:
            return
        beginning = await begin(self._screens, self._session)
        if beginning.frames and beginning.offset > self._offsets[STDOUT]:
            self._offsets[STDOUT], self._screen = beginning.offset, beginning.frames
        else:
            self._stay_until = trio.current_time() + _STAY

    def _news(self) -> list[Frame]:
        frames: list[Frame] = []
        session = self._session
        if not self._told_started and (session.row.pid is not None or session.ended):
            self._told_started = True
            started = Started(
                session=session.row.id,
                pid=session.row.pid,
                tty=session.row.tty,
                from_=self._offsets[STDOUT],
                live_from=self._live_from,
            )
            frames.append(Control(started.message()))
        if not self._told_started:
            return frames
        holder = session.input.holder.label if session.input.holder is not None else None
        if holder != self._told_holder and not session.ended:
            self._told_holder = holder
            frames.append(Control(Holder(label=holder, you=session.input.holder is self).message()))
        if self._credit is not None:
            frames.append(self._credit)
            self._granted, self._credit = self._credit.limit, None
        if self._lost is not None and not session.ended:
            frames.append(Control(InputLost(reason=self._lost).message()))
            self._lost = None
        frames += self._screen
        self._screen = []
        if self._view.output:
            for stream in (STDOUT, STDERR):
                frames += self._output(stream)
        return frames

    def _output(self, stream: int) -> list[Frame]:
        log, offset = self._session.log, self._offsets[stream]
        frames: list[Frame] = []
        if offset < log.first(stream):
            offset = self._gap(frames, stream, offset, log.first(stream))
        data = log.read(stream, offset, _READ)
        frames += split(stream, offset, data)
        offset += len(data)
        record = self._session.record
        if record is not None and offset >= log.end(stream):
            # what an ended session wrote and its log has no more: it was removed to keep within the settings
            total = record.stdout if stream == STDOUT else record.stderr
            if offset < total:
                offset = self._gap(frames, stream, offset, total)
        self._offsets[stream] = offset
        return frames

    def _gap(self, frames: list[Frame], stream: int, start: int, end: int) -> int:
        frames.append(Control(Gap(stream=stream, bytes=end - start).message()))
        return end

    # from the client

    async def _receive(self, orders: trio.MemorySendChannel[Control], scope: trio.CancelScope) -> None:
        try:
            while True:
                await self._take(await self._connection.receive(), orders)
        except ClientGone:
            scope.cancel()

    async def _take(self, frame: Frame, orders: trio.MemorySendChannel[Control]) -> None:
        session, sessions = self._session, self._sandbox.sessions
        if isinstance(frame, Data) and frame.stream == STDIN:
            if session.input.holder is self:
                sessions.write_stdin(session, frame.offset, frame.data)
        elif isinstance(frame, Eof) and frame.stream == STDIN:
            if session.input.holder is self:
                sessions.close_stdin(session, frame.offset)
        elif isinstance(frame, Control) and frame.message["type"] in ("signal", "resize"):
            await orders.send(frame)
        elif isinstance(frame, Control) and frame.message["type"] == "drawn":
            self._drawn(frame.message)
        else:
            raise ProtocolError("a frame that a follower does not send")

    def _drawn(self, message: dict[str, object]) -> None:
        try:
            offset = decode_event(Drawn, message).offset
        except InvalidRequest as error:
            raise ProtocolError(error.message) from None
        if offset > self._offsets[STDOUT]:
            raise ProtocolError("a client that has drawn what it did not get")
        if self._session.input.holder is self:  # watchers slow nobody down
            self._sandbox.sessions.reached(self._session, "holder", offset)

    async def _steer(self, todo: trio.MemoryReceiveChannel[Control]) -> None:
        """Pass signals and sizes on, apart from `_receive`: however slow the agent, a client's end shows at once."""
        async for asked in todo:
            message = asked.message
            try:
                if message["type"] == "signal":
                    order = decode_event(Signal, message)
                    await send_signal(self._sandbox, self._session, order, self.label)
                elif self._session.input.holder is self:  # a watcher's window is its own affair
                    await resize(self._sandbox, self._session, decode_event(Resize, message))
            except SandtopError:
                # it makes no sense, or the session or its machine has just ended: the record of that is on its way
                continue
