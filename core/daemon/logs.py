"""``session.logs``: what is stored of a session's output, in the order in which it came."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from sandtop.agent.protocol import MAX_DATA, Data, encode
from sandtop.core.errors import InvalidRequest
from sandtop.core.sessions import STDERR, STDOUT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandtop.core.daemon.connection import Connection
    from sandtop.core.sessions import Session
    from sandtop.core.sessions.log import Piece

_NAMES: Final = {"stdout": STDOUT, "stderr": STDERR}


async def send_logs(connection: Connection, session: Session, request: Mapping[str, object]) -> None:
    """Send what ``request`` asks for of the session's log. Raises `InvalidRequest`, `ClientGone`."""
    streams = _streams(request.get("streams"))
    since, tail = _number(request, "since"), _number(request, "tail")
    stamped, follow = request.get("timestamps") is True, request.get("follow") is True
    reader = _Reader(connection, session, streams, stamped=stamped)
    pieces = reader.pieces()
    if since is not None:
        pieces = [piece for piece in pieces if piece.time >= since]
    if tail is not None:
        pieces = _last_lines(session, pieces, int(tail))
    elif since is None:
        await reader.tell_gaps()
    await reader.send(pieces)
    while follow:
        fresh = reader.pieces()
        if fresh:
            await reader.send(fresh)
        elif session.ended:
            return
        else:
            await session.wait_for_news()


class _Reader:
    """How far a client has come in a session's log."""

    def __init__(self, connection: Connection, session: Session, streams: set[int], *, stamped: bool) -> None:
        self._connection = connection
        self._session = session
        self._stamped = stamped
        self._position = 0
        self._reached = {stream: session.log.first(stream) for stream in sorted(streams)}

    async def tell_gaps(self) -> None:
        """Say how many bytes fell to the cap before anybody could ask for them."""
        record = self._session.record
        totals = {STDOUT: record.stdout, STDERR: record.stderr} if record and record.source == "agent" else {}
        for stream in self._reached:
            log = self._session.log
            missing = log.first(stream) or max(totals.get(stream, 0) - log.end(stream), 0)
            if missing:
                await self._connection.message("gap", {"stream": stream, "bytes": missing})

    def pieces(self) -> list[Piece]:
        """What was stored since the last call to `send`."""
        log = self._session.log
        if all(log.end(stream) <= reached for stream, reached in self._reached.items()):
            return []
        pieces, self._position = log.pieces(self._position)
        return [
            piece.after(self._reached[piece.stream])
            for piece in pieces
            if piece.stream in self._reached and piece.end > self._reached[piece.stream]
        ]

    async def send(self, pieces: list[Piece]) -> None:
        """Send the bytes of ``pieces``."""
        for stream in self._reached:
            self._reached[stream] = self._session.log.end(stream)
        for piece in pieces:
            if self._stamped:
                await self._connection.message("time", {"at": piece.time})
            offset = piece.start
            while offset < piece.end:
                data = self._session.log.read(piece.stream, offset, min(MAX_DATA, piece.end - offset))
                if not data:  # it fell to the cap meanwhile
                    missing = piece.end - offset
                    await self._connection.message("gap", {"stream": piece.stream, "bytes": missing})
                    break
                await self._connection.send_bytes(encode(Data(piece.stream, offset, data)))
                offset += len(data)


def _streams(value: object) -> set[int]:
    if value is None:
        return {STDOUT, STDERR}
    names = cast("list[object]", value) if isinstance(value, list) else [value]
    streams = {_NAMES[name] for name in names if isinstance(name, str) and name in _NAMES}
    if len(streams) != len(names):
        raise InvalidRequest(f"streams are stdout and stderr, not {value!r:.60}")
    return streams


def _number(request: Mapping[str, object], field: str) -> float | None:
    value = request.get(field)
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool) or value < 0:
        raise InvalidRequest(f"{field} must be a number, 0 or more, not {value!r:.40}")
    return value


def _last_lines(session: Session, pieces: list[Piece], count: int) -> list[Piece]:
    """The end of ``pieces`` that holds the last ``count`` lines, read backwards so that a long log costs nothing."""
    kept: list[Piece] = []
    if count == 0:
        return kept
    lines = 0
    for whole in reversed(pieces):
        end = whole.end
        while end > whole.start:
            start = max(whole.start, end - MAX_DATA)
            data = session.log.read(whole.stream, start, end - start)
            # the newline that ends the very last line does not begin another
            position = len(data) - 1 if not kept and data.endswith(b"\n") else len(data)
            while (position := data.rfind(b"\n", 0, position)) >= 0:
                lines += 1
                if lines == count:
                    kept.append(whole.between(start + position + 1, end))
                    return kept[::-1]
            kept.append(whole.between(start, end))
            end = start
    return kept[::-1]
