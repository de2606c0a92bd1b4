"""``core.logs``: what the sessions of several sandboxes wrote, merged by the time at which it came."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Final

import trio

from sandtop.agent.wire import MAX_DATA, STREAMS_PER_SESSION, Control, Data, encode
from sandtop.core.contract.core_events import Source
from sandtop.core.contract.session_events import At, Gap
from sandtop.core.daemon.logs import NAMES, last_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandtop.core.contract.core import Logs
    from sandtop.core.daemon.connection import Connection
    from sandtop.core.daemon.selection import Selection
    from sandtop.core.fleet import Sandbox
    from sandtop.core.sessions import Session
    from sandtop.core.sessions.log import Piece

_AT_ONCE: Final = 256
"""Pieces of a session that are looked at in one go."""
_SEND: Final = 256 * 1024
"""Bytes gathered before they are sent."""
_LOOK: Final = 0.1
"""Seconds between two looks at what is new; what came in between is put into order."""
_ARGUMENTS: Final = 32
_CHARACTERS: Final = 200
"""Arguments of a command line, and characters of each, that a client is told."""


class Merging:
    """Sends what ``request`` asks for of the sandboxes of ``selection``."""

    def __init__(self, connection: Connection, selection: Selection, request: Logs) -> None:
        self._connection = connection
        self._selection = selection
        self._request = request
        self._taps: dict[str, _Tap] = {}
        self._numbers: dict[str, int] = {}
        self._count = 0
        self._out = bytearray()

    async def run(self) -> None:
        """Return when all is sent; with ``follow`` never. Raises OSError, `ClientGone`."""
        await self._past()
        while self._request.follow:
            await trio.sleep(_LOOK)
            await self._news()

    # which sessions there are

    def _new_taps(self, *, tail: int | None) -> list[_Tap]:
        """A tap for each session that was not there before, oldest first."""
        found: list[_Tap] = []
        for sandbox in self._selection.sandboxes():
            uuid, sessions = sandbox.row.uuid, sandbox.sessions
            last = sessions.next_number() - 1
            if last > self._numbers.get(uuid, 0):
                for session in sessions.since(self._numbers.get(uuid, 0)):
                    self._count += 1
                    found.append(_Tap(self._count, sandbox, session, self._request, tail=tail))
                self._numbers[uuid] = last
        return sorted(found, key=lambda tap: tap.begun_at)

    # what was written before

    async def _past(self) -> None:
        """Merge what is stored: of each session a piece at a time, and of one that began later none before its time."""
        taps = self._new_taps(tail=self._request.tail)
        heap: list[tuple[float, int, Iterator[Piece] | None, Piece | None, _Tap]] = [
            (tap.begun_at, tap.number, None, None, tap) for tap in taps
        ]
        heapq.heapify(heap)
        while heap:
            _, number, pieces, piece, tap = heapq.heappop(heap)
            if piece is not None:
                await self._send(tap, piece)
            if pieces is None:
                pieces = iter(await tap.first())
            following = next(pieces, None)
            if following is None:
                pieces = iter(await tap.more())
                following = next(pieces, None)
            await trio.lowlevel.checkpoint()
            if following is not None:
                heapq.heappush(heap, (following.time, number, pieces, following, tap))
            elif not tap.over:
                self._taps[tap.key] = tap
        await self._flush()

    # what comes

    async def _news(self) -> None:
        """Send what came since the last look, in order."""
        for tap in self._new_taps(tail=None):
            self._taps[tap.key] = tap
        found = [(piece, tap) for tap in self._taps.values() for piece in await tap.more()]
        for piece, tap in sorted(found, key=lambda each: (each[0].time, each[1].number)):
            await self._send(tap, piece)
        self._taps = {key: tap for key, tap in self._taps.items() if not tap.over}
        await self._flush()

    # sending

    async def _send(self, tap: _Tap, piece: Piece) -> None:
        log, stream = tap.session.log, piece.stream
        offset = piece.start
        if not tap.told:
            tap.told = True
            self._put(tap.source().message())
        self._put(At(at=piece.time).message())
        number = tap.number * STREAMS_PER_SESSION + stream
        while offset < piece.end:
            first = max(log.first(stream), piece.start)
            if offset < first:  # it fell to the cap, some of it perhaps at this moment
                missing = min(first, piece.end) - offset
                self._put(Gap(stream=number, bytes=missing).message())
                offset += missing
                continue
            data = log.read(stream, offset, min(MAX_DATA, piece.end - offset))
            if not data:
                break  # the log was removed
            self._out += encode(Data(number, offset, data))
            offset += len(data)
            if len(self._out) >= _SEND:
                await self._flush()

    def _put(self, message: dict[str, object]) -> None:
        self._out += encode(Control(message))

    async def _flush(self) -> None:
        if self._out:
            data, self._out = bytes(self._out), bytearray()
            await self._connection.send_bytes(data)


class _Tap:
    """How far one session's log was read, piece by piece.

    Attributes:
        told: whether the client knows the session.
        over: whether nothing more will come.
    """

    def __init__(
        self, number: int, sandbox: Sandbox, session: Session, request: Logs, *, tail: int | None
    ) -> None:
        self.number = number
        self.session = session
        self.told = self.over = False
        self._sandbox = sandbox
        self._given = {NAMES[name]: 0 for name in request.streams or NAMES}
        self._since = request.since
        self._tail = tail
        self._position = 0
        if request.offsets is not None and (reached := request.offsets.get(session.row.id)) is not None:
            self._given |= {
                NAMES[name]: at for name, at in zip(NAMES, reached, strict=True) if NAMES[name] in self._given
            }
            self._since = self._tail = None

    @property
    def key(self) -> str:
        return self.session.row.id

    @property
    def begun_at(self) -> float:
        """No output is older."""
        return self.session.row.created_at

    def source(self) -> Source:
        """What the client is told of it."""
        row = self.session.row
        argv = [word[:_CHARACTERS] for word in row.argv[:_ARGUMENTS]]
        return Source(
            number=self.number,
            sandbox=self._sandbox.name,
            uuid=row.uuid,
            session=row.id,
            argv=argv,
            tty=row.tty,
        )

    async def first(self) -> list[Piece]:
        """The last lines where no more than these are wanted, else the first pieces."""
        if self._tail is None:
            return await self.more()
        log = self.session.log
        stop = log.span.stop
        ends = {stream: log.end(stream) for stream in self._given}
        found = await last_lines(log, set(self._given), self._tail, self._since)
        self._given, self._position, self._tail, self._since = ends, max(stop - 1, 0), None, None
        return found

    async def more(self) -> list[Piece]:
        """The next pieces; none when there are none now. Raises OSError."""
        log, ended = self.session.log, self.session.ended
        found: list[Piece] = []
        while not found and any(log.end(stream) > given for stream, given in self._given.items()):
            goal = log.span.stop
            start = max(self._position, log.span.start)
            stop = min(start + _AT_ONCE, goal)
            for piece in log.pieces(start, stop):
                given = self._given.get(piece.stream)
                if given is None or given >= piece.end:
                    continue
                self._given[piece.stream] = piece.end
                if self._since is None or piece.time >= self._since:
                    found.append(piece.between(max(piece.start, given), piece.end))
            if stop >= goal:
                self._position = max(stop - 1, start)  # the last piece can still grow
                break
            self._position = stop
            await trio.lowlevel.checkpoint()
        self.over = ended and not found
        return found
