"""A connection that follows a session: output to the client by offset, input and signals from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from sandtop.agent.protocol import MAX_DATA, Control, Credit, Data, Eof, Frame, ProtocolError, encode
from sandtop.core.daemon.connection import ClientGone
from sandtop.core.daemon.steering import resize, send_signal
from sandtop.core.daemon.views import session_view
from sandtop.core.errors import SandtopError, from_os_error
from sandtop.core.groups import unwrapped
from sandtop.core.sessions import STDERR, STDIN, STDOUT

if TYPE_CHECKING:
    from sandtop.core.daemon.connection import Connection
    from sandtop.core.fleet import Sandbox
    from sandtop.core.sessions import Session

_READ: Final = 256 * 1024
"""Bytes read from the log at a time."""


class Follower:
    """Serves one client that follows ``session``, until it ends or the client goes."""

    def __init__(
        self,
        connection: Connection,
        sandbox: Sandbox,
        session: Session,
        offsets: dict[int, int],
        *,
        input_: bool,
    ) -> None:
        self._connection = connection
        self._sandbox = sandbox
        self._session = session
        self._offsets = offsets
        self._wants_input = input_
        self._credit: Credit | None = None
        self._lost: str | None = None
        self._told_started = False
        self.label = "a client"

    # InputHolder

    def credit(self, credit: Credit) -> None:
        """Pass on the agent's word on stdin; the latest is enough."""
        self._credit = credit
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
            if self._wants_input:
                session.hold_input(self)
            with unwrapped():
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._receive, nursery.cancel_scope)
                    await self._send()
                    nursery.cancel_scope.cancel()
        except OSError as error:
            raise from_os_error(error, "cannot read the session's log", sandbox=self._sandbox.name) from error
        finally:
            session.attached -= 1
            session.release_input(self)
        if not session.ended:
            raise ClientGone

    # to the client

    async def _send(self) -> None:
        session = self._session
        while True:
            frames = self._news()
            if frames:
                await self._connection.send_bytes(b"".join(map(encode, frames)))
                continue
            if session.ended:
                break
            await session.wait_for_news()
        record = session.record
        assert record is not None
        await self._connection.message(
            "result", {"record": record.to_json(), "session": session_view(self._sandbox, session)}
        )

    def _news(self) -> list[Frame]:
        frames: list[Frame] = []
        session = self._session
        if not self._told_started and (session.row.pid is not None or session.ended):
            self._told_started = True
            fields = {"session": session.row.id, "pid": session.row.pid, "tty": session.row.tty}
            frames.append(Control({"type": "started", **fields}))
        if not self._told_started:
            return frames
        if self._credit is not None:
            frames.append(self._credit)
            self._credit = None
        if self._lost is not None and not session.ended:
            frames.append(Control({"type": "lost-input", "reason": self._lost}))
            self._lost = None
        for stream in (STDOUT, STDERR):
            frames += self._output(stream)
        return frames

    def _output(self, stream: int) -> list[Frame]:
        log, offset = self._session.log, self._offsets[stream]
        frames: list[Frame] = []
        if offset < log.first(stream):
            offset = self._gap(frames, stream, offset, log.first(stream))
        data = log.read(stream, offset, _READ)
        for start in range(0, len(data), MAX_DATA):
            piece = data[start : start + MAX_DATA]
            frames.append(Data(stream, offset, piece))
            offset += len(piece)
        record = self._session.record
        if record is not None and offset >= log.end(stream):
            # what an ended session wrote and its log has no more: it was removed to keep within the settings
            total = record.stdout if stream == STDOUT else record.stderr
            if offset < total:
                offset = self._gap(frames, stream, offset, total)
        self._offsets[stream] = offset
        return frames

    def _gap(self, frames: list[Frame], stream: int, start: int, end: int) -> int:
        frames.append(Control({"type": "gap", "stream": stream, "bytes": end - start}))
        return end

    # from the client

    async def _receive(self, scope: trio.CancelScope) -> None:
        try:
            while True:
                await self._take(await self._connection.receive())
        except ClientGone:
            scope.cancel()

    async def _take(self, frame: Frame) -> None:
        session, sessions = self._session, self._sandbox.sessions
        if isinstance(frame, Data) and frame.stream == STDIN:
            if session.input_holder is self:
                sessions.write_stdin(session, frame.offset, frame.data)
        elif isinstance(frame, Eof) and frame.stream == STDIN:
            if session.input_holder is self:
                sessions.close_stdin(session, frame.offset)
        elif isinstance(frame, Control):
            await self._steer(frame.message)
        else:
            raise ProtocolError("a frame that a follower does not send")

    async def _steer(self, message: dict[str, object]) -> None:
        try:
            if message["type"] == "signal":
                await send_signal(self._sandbox, self._session, message)
            elif message["type"] == "resize":
                await resize(self._sandbox, self._session, message)
            else:
                raise ProtocolError(f"a '{message['type']}' that a follower does not send")
        except SandtopError:
            # the session or its machine has just ended: the record that says so is on its way
            return
