"""What the fake core sends to a client that follows a session, or reads its log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandtop.agent.wire import Control, Credit, Data, Eof, Frame, split
from sandtop.core.contract.codec import decode_event
from sandtop.core.contract.session import SessionExec
from sandtop.core.contract.session_events import (
    At,
    Drawn,
    Gap,
    Holder,
    InputLost,
    Resize,
    Signal,
    Started,
)
from sandtop.core.contract.session_results import SessionAnswer, SessionEnd
from sandtop.core.errors import WrongState

if TYPE_CHECKING:
    from sandtop.core.contract.session import SessionFollow, SessionLogs

    from .core import FakeCore
    from .link import Conn
    from .state import FakeSession

WINDOW = 64 * 1024


class Follower:
    """Serves one client that follows ``session``."""

    def __init__(
        self, core: FakeCore, conn: Conn, session: FakeSession, request: SessionExec | SessionFollow
    ) -> None:
        self._core = core
        self._conn = conn
        self._session = session
        self._request = request
        self._offsets = {1: request.stdout or 0, 2: request.stderr or 0}
        wanted = request.input
        if wanted is None:
            wanted = isinstance(request, SessionExec) and (request.stdin or request.tty is not None)
        self._types = wanted
        if wanted and session.taken_over and not request.take:
            raise WrongState("other types")
        self._may_lose = wanted and not request.take
        self._kills = isinstance(request, SessionExec) and request.on_hangup == "kill"
        self._credited = -1

    def run(self) -> SessionEnd | None:
        """The end of the session, once the client was told all; None when the client is gone, or the core."""
        session, conn, raw = self._session, self._conn, self._session.raw
        self._core.start(self._listen)  # first: a client that is gone already may want its program killed
        conn.tell(
            Started(
                session=session.id,
                pid=None if raw["pid"] is None else int(str(raw["pid"])),
                tty=raw["tty"] is True,
                from_=self._offsets[1],
                # the core follows what it starts before it has asked for the start: none of it is the past
                live_from=0 if isinstance(self._request, SessionExec) else len(session.output(1)),
            )
        )
        if self._types:
            conn.tell(Holder(label="test", you=True))
        raw["attached"] = int(str(raw["attached"])) + 1
        try:
            while True:
                with self._core.news:
                    self._core.news.wait_for(self._anything)
                    if conn.broken:
                        return None
                    frames, told_all = self._news()
                conn.send(*frames)
                if told_all:
                    return SessionEnd(record=session.info.record, session=session.info)
        finally:
            raw["attached"] = int(str(raw["attached"])) - 1

    @property
    def _lost(self) -> bool:
        return self._may_lose and self._session.taken_over

    def _anything(self) -> bool:
        session = self._session
        return (
            self._conn.broken
            or session.ended
            or self._lost
            or any(len(session.output(stream)) > offset for stream, offset in self._offsets.items())
            or (self._types and len(session.typed) != self._credited)
        )

    def _news(self) -> tuple[list[Frame], bool]:
        session = self._session
        frames: list[Frame] = []
        if self._lost:
            self._may_lose = self._types = False
            frames.append(Control(Holder(label="other", you=False).message()))
            frames.append(Control(InputLost(reason="taken over").message()))
        if self._types and len(session.typed) != self._credited:
            self._credited = len(session.typed)
            frames.append(Credit(0, self._credited, self._credited + WINDOW))
        for stream, offset in self._offsets.items():
            data = bytes(session.output(stream)[offset : offset + 2 * WINDOW])
            frames += split(stream, offset, data)
            self._offsets[stream] += len(data)
        told = all(len(session.output(stream)) <= offset for stream, offset in self._offsets.items())
        return frames, session.ended and told

    def _listen(self) -> None:
        try:
            while True:
                self._take(self._conn.receive())
        except (OSError, ValueError):
            with self._core.news:
                self._conn.gone = True
                self._core.news.notify_all()
            if self._kills and not self._conn.crashed and not self._session.ended:
                assert self._session.program is not None
                self._session.program.signal(9)

    def _take(self, frame: Frame) -> None:
        session = self._session
        if isinstance(frame, Control):
            kinds = {kind.kind: kind for kind in (Signal, Resize, Drawn)}
            event = decode_event(kinds[str(frame.message["type"])], frame.message)
            if isinstance(event, Resize):
                self._core.change(lambda: session.sizes.append((event.rows, event.columns)))
            elif isinstance(event, Signal) and session.program is not None:
                session.program.signal(event.signal)
        elif isinstance(frame, (Data, Eof)):
            if session.program is not None:
                session.program.accept(frame)
            elif isinstance(frame, Data):
                self._core.change(lambda: self._type(frame))
            self._core.change(lambda: None)

    def _type(self, frame: Data) -> None:
        session = self._session
        fresh = frame.data[len(session.typed) - frame.offset :]
        session.typed += fresh
        if session.echo:
            session.pieces.append((self._core.clock(), 1, fresh.replace(b"\r", b"\r\n")))


def send_log(core: FakeCore, conn: Conn, session: FakeSession, request: SessionLogs) -> SessionAnswer | None:
    """What was written, piece by piece in order; None when the core died meanwhile."""
    begin = {1: request.stdout or 0, 2: request.stderr or 0}
    at = {1: session.gaps.get(1, 0), 2: session.gaps.get(2, 0)}
    wanted = {1 if name == "stdout" else 2 for name in request.streams or ("stdout", "stderr")}
    for stream, count in session.gaps.items():
        conn.tell(Gap(stream=stream, bytes=count))
    with core.news:
        pieces = _last_lines(session.pieces, request.tail, at, request.most)
    done = 0
    while True:
        for when, stream, data in pieces:
            fresh = data[max(0, begin[stream] - at[stream]) :] if stream in wanted else b""
            if fresh:
                if request.timestamps:
                    conn.tell(At(at=when))
                conn.send(*split(stream, at[stream] + len(data) - len(fresh), fresh))
            at[stream] += len(data)
        done += len(pieces)
        with core.news:
            if request.follow:
                reached = done
                core.news.wait_for(
                    lambda reached=reached: len(session.pieces) > reached or session.ended or conn.broken  # type: ignore[misc]
                )
            if conn.broken:
                return None
            pieces = session.pieces[done:]
            if not request.follow or not pieces:
                return SessionAnswer(session=session.info)


def _last_lines(
    pieces: list[tuple[float, int, bytes]], tail: int | None, at: dict[int, int], most: int | None
) -> list[tuple[float, int, bytes]]:
    """As many pieces from the end as hold ``tail`` lines; ``at`` skips the others. Empty ones keep the count."""
    if tail is None:
        return list(pieces)
    kept: list[tuple[float, int, bytes]] = []
    left = tail
    for when, stream, data in reversed(pieces):
        lines = data.splitlines(keepends=True)
        shown = b"".join(lines[-left:]) if left > 0 else b""
        if most is not None:
            shown = shown[len(shown) - max(0, most) :] if len(shown) > most else shown
            most -= len(shown)
        left -= len(lines)
        at[stream] += len(data) - len(shown)
        kept.append((when, stream, shown))
    return kept[::-1]
