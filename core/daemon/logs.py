"""``session.logs``: what is stored of a session's output, in the order in which it came."""

from __future__ import annotations

import errno
import math
from typing import TYPE_CHECKING, Final

import trio

from sandtop.agent.wire import MAX_DATA, Control, Data, encode
from sandtop.core.contract.session_events import At, Gap
from sandtop.core.errors import from_os_error
from sandtop.core.sessions import STDERR, STDOUT

if TYPE_CHECKING:
    from sandtop.core.contract.session import SessionLogs
    from sandtop.core.daemon.connection import Connection
    from sandtop.core.sessions import Session
    from sandtop.core.sessions.log import Piece, SessionLog

_AT_ONCE: Final = 2048
"""Pieces looked at before others get their turn."""
_SEND: Final = 256 * 1024
"""Bytes gathered before they are sent."""
NAMES: Final = {"stdout": STDOUT, "stderr": STDERR}


async def send_logs(connection: Connection, session: Session, request: SessionLogs) -> None:
    """Send what ``request`` asks for of the session's log. Raises `StorageError`, `ClientGone`."""
    since, tail = request.since, request.tail
    begin: dict[int, int | None] = {}
    for name in NAMES if request.streams is None else request.streams:
        offset = (
            request.stdout if name == "stdout" else request.stderr
        )  # where one that lost its connection goes on
        begin[NAMES[name]] = offset or 0 if since is tail is None or offset is not None else None
    reader = _Reader(connection, session, begin, stamped=request.timestamps)
    try:
        if tail is not None:
            await reader.tail(tail, since, request.most)
        else:
            await reader.forward(since)
        while request.follow and not (session.ended and reader.all_sent):
            if reader.all_sent:
                await session.wait_for_news()
            if not await reader.forward(None) and not reader.all_sent:
                raise OSError(errno.EIO, "its index is damaged", str(session.log.folder))
        await reader.finish()
    except OSError as error:
        raise from_os_error(error, "cannot read the session's log") from error


class _Reader:
    """How far a client has come in a session's log; None where any byte may be the first."""

    def __init__(
        self, connection: Connection, session: Session, begin: dict[int, int | None], *, stamped: bool
    ) -> None:
        self._connection = connection
        self._session = session
        self._log = session.log
        self._stamped = stamped
        self._position = 0
        self._reached = begin
        self._out = bytearray()

    @property
    def all_sent(self) -> bool:
        """Whether there is nothing stored that was not sent."""
        return all((reached or 0) >= self._log.end(stream) for stream, reached in self._reached.items())

    async def forward(self, since: float | None) -> bool:
        """Send what is stored at this moment from where this reader stands, that from before ``since`` left out.

        Returns whether there was anything.
        """
        before, goal = dict(self._reached), self._log.span.stop
        while True:
            start = max(self._position, self._log.span.start)
            stop = min(start + _AT_ONCE, goal)
            pieces = self._log.pieces(start, stop)
            self._position = stop if stop < goal else max(stop - 1, start)  # the last piece can still grow
            for piece in pieces:
                if since is None or piece.time >= since:
                    await self._send(piece)
                elif piece.stream in self._reached:
                    self._reached[piece.stream] = piece.end
            await trio.lowlevel.checkpoint()
            if stop >= goal:
                break
        await self._flush()
        return self._reached != before

    async def tail(self, count: int, since: float | None, most: int | None) -> None:
        """Send the last ``count`` lines, of them no more than the newest ``most`` bytes."""
        stop = self._log.span.stop
        ends = {stream: self._log.end(stream) for stream in self._reached}
        for piece in await last_lines(self._log, set(self._reached), count, since, most):
            await self._send(piece)
        await self._flush()
        self._reached = dict(ends)
        self._position = max(stop - 1, 0)

    async def finish(self) -> None:
        """Say what an ended session wrote and its log has no more."""
        record = self._session.record
        totals = {STDOUT: record.stdout, STDERR: record.stderr} if record is not None else {}
        for stream, reached in self._reached.items():
            if reached is not None and reached < totals.get(stream, 0):
                self._put_gap(stream, totals[stream] - reached)
        await self._flush()

    async def _send(self, piece: Piece) -> None:
        stream = piece.stream
        if stream not in self._reached:
            return
        reached = self._reached[stream]
        offset = piece.start if reached is None else reached
        if offset < piece.end and self._stamped:
            self._out += encode(Control(At(at=piece.time).message()))
        while offset < piece.end:
            first = max(self._log.first(stream), piece.start)
            if offset < first:  # it fell to the cap, some of it perhaps at this moment
                missing = min(first, piece.end) - offset
                self._put_gap(stream, missing)
                offset += missing
                continue
            data = self._log.read(stream, offset, min(MAX_DATA, piece.end - offset))
            if not data:
                break  # the log was removed
            self._out += encode(Data(stream, offset, data))
            offset += len(data)
            if len(self._out) >= _SEND:
                await self._flush()
        self._reached[stream] = max(offset, reached or 0)

    def _put_gap(self, stream: int, size: int) -> None:
        self._out += encode(Control(Gap(stream=stream, bytes=size).message()))

    async def _flush(self) -> None:
        if self._out:
            data, self._out = bytes(self._out), bytearray()
            await self._connection.send_bytes(data)


async def last_lines(
    log: SessionLog, streams: set[int], count: int, since: float | None, most: int | None = None
) -> list[Piece]:
    """The pieces with the last ``count`` lines, read backwards so that a long log costs no more than what is asked."""
    kept: list[Piece] = []
    room = math.inf if most is None else most
    first, stop = log.span.start, log.span.stop
    while count > 0:
        start = max(stop - _AT_ONCE, first)
        for piece in reversed(log.pieces(start, stop)):
            if since is not None and piece.time < since:
                return kept[::-1]
            if piece.stream in streams:
                if (size := piece.end - piece.start) > room:
                    piece = piece.between(piece.end - int(room), piece.end)
                count = await _take_lines(log, piece, count, kept)
                room -= size
                if count == 0 or room <= 0:
                    return kept[::-1]
        if start <= first:
            break
        stop = start
    return kept[::-1]


async def _take_lines(log: SessionLog, piece: Piece, count: int, kept: list[Piece]) -> int:
    """Put the end of ``piece`` with its last ``count`` lines into ``kept``, newest first; how many are still wanted."""
    end = piece.end
    while end > piece.start:
        await trio.lowlevel.checkpoint()
        start = max(piece.start, end - MAX_DATA)
        data = log.read(piece.stream, start, end - start)
        # the newline that ends the very last line does not begin another
        position = len(data) - 1 if not kept and data.endswith(b"\n") else len(data)
        while (position := data.rfind(b"\n", 0, position)) >= 0:
            count -= 1
            if count == 0:
                if start + position + 1 < end:
                    kept.append(piece.between(start + position + 1, end))
                return 0
        kept.append(piece.between(start, end))
        end = start
    return count
