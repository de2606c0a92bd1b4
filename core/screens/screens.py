"""The core's side of the screen worker: keeps one running, tells it of all terminals, and asks it what they show."""

from __future__ import annotations

import base64
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, cast

import trio

from sandtop.agent.wire import Control, Data, Frame, ProtocolError
from sandtop.core.errors import CoreFailure, InvalidRequest, WrongState
from sandtop.core.groups import unwrapped
from sandtop.core.screens.breadcrumb import Breadcrumb, CrashLoop
from sandtop.core.screens.process import Blobs, WorkerGone, WorkerLink, start_worker
from sandtop.core.session_folder import MOST_BYTES, Checkpoint
from sandtop.core.sessions.output import STDOUT
from sandtop.core.sessions.tty import CLIENT_ANSWERS

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from sandtop.core.sessions.session import Session
    from sandtop.core.sessions.tty import SessionControl, Size

log = logging.getLogger(__name__)
_PAUSES: Final = (0.0, 0.1, 0.5, 2.0, 10.0)
"""Seconds before the next worker is started, by the number of workers in a row that died young …"""
_STEADY: Final = 10.0
"""… which is, within so many seconds."""
_ANSWER_SECONDS: Final = 5.0
"""Seconds for the worker to answer. If it has sent nothing else meanwhile it is replaced."""
_MOST_ANSWER: Final = 64 << 20
"""Bytes of one answer."""
_RETURN_SECONDS: Final = 5.0
"""Seconds for a client whose core died to connect again, before the worker answers its program."""
_LATE_SECONDS: Final = 1.0
"""Seconds for which an answer to a program waits while somebody types a line. An older one is dropped."""
_MOST_LATE: Final = 100
"""Answers of one session that wait so."""


class _Open:
    """A session that the worker draws.

    Attributes:
        number: names it in messages between core and worker.
        control: what can be done to it; None for one that has ended, and is drawn again because somebody looks at it.
        end: the length of the log that the worker was told.
        late: answers to its program that wait until nobody types: when each came, its offset, its bytes.
        users: how many look at it now.
    """

    __slots__ = ("control", "end", "late", "number", "session", "users")

    def __init__(self, number: int, session: Session, control: SessionControl | None) -> None:
        self.number = number
        self.session = session
        self.control = control
        self.end = 0
        self.late: list[tuple[float, int, bytes]] = []
        self.users = 0


class _Request:
    """A question to the worker."""

    __slots__ = ("done", "failure", "fields")

    def __init__(self) -> None:
        self.done = trio.Event()
        self.fields: Mapping[str, object] = {}
        self.failure: Exception | None = None


class Screens:
    """The screens of all terminals. It is the `TerminalObserver` of every session manager.

    ``nursery`` owns the tasks that wait for clients to come back.
    """

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._open: dict[str, _Open] = {}
        self._by_number: dict[int, _Open] = {}
        self._news: set[_Open] = set()
        self._numbers = 0
        self._wanted = trio.Event()
        self._link: WorkerLink | None = None
        self._up = trio.Event()
        self._serving = trio.CancelScope()
        self._requests: dict[int, _Request] = {}
        self._blobs = Blobs(_MOST_ANSWER)
        self._last_word = 0.0
        self._crash_loop = CrashLoop()
        self._aside: set[str] = set()

    # what the sessions tell (TerminalObserver)

    def opened(self, session: Session, control: SessionControl) -> None:
        self._follow(session, control)
        if (
            session.tty is not None and session.tty.answered == CLIENT_ANSWERS
        ):  # a client of an earlier core's
            self._nursery.start_soon(self._wait_for_return, session, session.log.end(STDOUT))

    async def _wait_for_return(self, session: Session, offset: int) -> None:
        await trio.sleep(_RETURN_SECONDS)
        if (
            session.tty is not None
            and session.tty.answered == CLIENT_ANSWERS
            and session.input.holder is None
        ):
            session.input.unanswered_from(offset)

    def _follow(self, session: Session, control: SessionControl | None) -> _Open:
        self._numbers += 1
        each = _Open(self._numbers, session, control)
        self._open[session.row.id] = self._by_number[each.number] = each
        self._wanted.set()
        if self._link is not None:
            self._say_open(each)
        return each

    def advanced(self, key: str) -> None:
        each = self._open.get(key)
        if each is None:
            return
        if each.late and each.session.input.holder is None:
            self._type_late(each)
        if self._link is not None:
            self._news.add(each)
            self._link.gather()

    def resized(self, key: str, size: Size) -> None:
        if (each := self._open.get(key)) is not None:
            fields = {
                "number": size.number,
                "offset": size.offset,
                "rows": size.rows,
                "columns": size.columns,
            }
            self._tell(each, {"type": "size", **fields})

    def answerer_changed(self, key: str, *, client: bool, offset: int) -> None:
        if (each := self._open.get(key)) is not None:
            self._tell(each, {"type": "answerer", "client": client, "offset": offset})

    def ended(self, key: str) -> None:
        each = self._open.pop(key, None)
        if each is not None:
            self._tell(each, {"type": "close"})
            self._news.discard(each)
            del self._by_number[each.number]

    # to the worker

    def _tell(self, each: _Open, message: dict[str, object]) -> None:
        """Send a message about a session, and before it how long the session's log is."""
        link = self._link
        if link is None:
            return
        try:
            self._say_end(link, each)
            link.send({**message, "n": each.number})
        except WorkerGone:
            self._serving.cancel()

    def _say_end(self, link: WorkerLink, each: _Open) -> None:
        end = each.session.log.end(STDOUT)
        if end > each.end:
            each.end = end
            link.send({"type": "end", "n": each.number, "end": end})

    def _say_news(self) -> None:
        assert self._link is not None
        news, self._news = self._news, set()
        for each in news:
            self._say_end(self._link, each)

    def _say_open(self, each: _Open) -> None:
        tty = each.session.tty
        assert tty is not None
        first, *sizes = tty.sizes
        each.end = each.session.log.end(STDOUT)
        answered = tty.answered
        fields: dict[str, object] = {
            "folder": str(each.session.log.folder),
            "rows": first.rows,
            "columns": first.columns,
            "sizes": [[size.number, size.offset, size.rows, size.columns] for size in sizes],
            "answered": None if answered == CLIENT_ANSWERS else answered,
            "most_bytes": min(MOST_BYTES, max(each.session.log.cap // 4, 1)),
            "aside": each.session.row.id in self._aside,
        }
        self._aside.discard(each.session.row.id)
        message: dict[str, object] = {"type": "open", "n": each.number, **fields, "end": each.end}
        if self._link is not None:
            try:
                self._link.send(message)
            except WorkerGone:
                self._serving.cancel()

    # its life

    async def run(self) -> None:
        """Keep a worker running, from when the first session on a terminal is opened until cancelled."""
        with Breadcrumb.new() as breadcrumb:
            await self._run(breadcrumb)

    async def _run(self, breadcrumb: Breadcrumb) -> None:
        young = 0
        while True:
            await self._wanted.wait()
            begun = trio.current_time()
            why = "it ended"
            try:
                with trio.CancelScope() as self._serving:
                    async with start_worker(self._say_news, breadcrumb) as link:
                        await self._serve(link)
            except (WorkerGone, ProtocolError, OSError, trio.BrokenResourceError) as error:
                why = str(error) or why
            except Exception:
                # a fault in our own code costs this worker, and not the core
                log.exception("a fault of ours with the screen worker")
            finally:
                self._down()
            self._look_for_cause(breadcrumb)
            young = young + 1 if trio.current_time() - begun < _STEADY else 0
            log.warning("the screen worker is gone: %s", why)
            await trio.sleep(_PAUSES[min(young, len(_PAUSES) - 1)])

    def _look_for_cause(self, breadcrumb: Breadcrumb) -> None:
        """A worker died: if the last few died of the same session, the next one is to set its screen aside."""
        number, offset = breadcrumb.read()
        each = self._by_number.get(number)
        key = each.session.row.id if each is not None else ""
        if self._crash_loop.died(key, offset):
            self._aside.add(key)
            log.error("the screen of session %s is set aside: workers end while they draw it", key)

    async def _serve(self, link: WorkerLink) -> None:
        self._link = link
        self._last_word = trio.current_time()
        for each in self._open.values():
            self._say_open(each)
        self._up.set()
        with unwrapped():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(link.write)
                await link.read(self._take)
                nursery.cancel_scope.cancel()

    def _down(self) -> None:
        self._link = None
        self._up = trio.Event()
        self._news.clear()
        requests, self._requests = self._requests, {}
        for number, request in requests.items():
            self._blobs.pop(number)
            request.failure = WorkerGone()
            request.done.set()
        for each in self._by_number.values():
            if each.session.tty is not None and each.control is not None:
                each.session.tty.flow.gone("worker")
                each.control.give_credit(each.session)

    # what it says

    def _take(self, frame: Frame) -> None:
        self._last_word = trio.current_time()
        if isinstance(frame, Data):
            self._blobs.take(frame)
        elif isinstance(frame, Control):
            self._take_message(frame.message)

    def _take_message(self, message: Mapping[str, object]) -> None:
        kind = message["type"]
        if kind in ("answer", "failed"):
            request = self._requests.get(cast("int", message["req"]))
            if request is not None:
                request.fields = message
                if kind == "failed":
                    request.failure = _failure(message)
                request.done.set()
            return
        each = self._by_number.get(cast("int", message["n"]))
        if each is None or each.control is None:
            return
        offset = cast("int", message["offset"])
        if kind == "drew":
            each.control.reached(each.session, "worker", offset)
        elif kind == "reply":
            self._reply(each, offset, base64.b64decode(cast("str", message["data"])))

    def _reply(self, each: _Open, offset: int, data: bytes) -> None:
        holder = each.session.input.holder
        if holder is not None and holder.answers is None and len(each.late) < _MOST_LATE:
            # somebody without a terminal sends a line: an answer in the middle of it would end up in that line
            each.late.append((trio.current_time(), offset, data))
        elif each.control is not None:
            each.control.answer(each.session, offset, data)

    def _type_late(self, each: _Open) -> None:
        late, each.late = each.late, []
        for since, offset, data in late:
            if trio.current_time() - since < _LATE_SECONDS and each.control is not None:
                each.control.answer(each.session, offset, data)

    # questions

    async def dump(self, session: Session) -> Checkpoint:
        """The screen at the present end of the session's log. Raises `WorkerGone` when no worker answers in time."""
        with trio.move_on_after(_ANSWER_SECONDS):
            async with self._followed(session) as each:
                fields, dump = await self._ask(each, {"type": "dump"})
            offset, number, rows, columns = (
                cast("int", fields[name]) for name in ("offset", "number", "rows", "columns")
            )
            return Checkpoint(offset, number, rows, columns, dump)
        raise WorkerGone("it does not answer")

    async def look(
        self, session: Session, *, scrollback: bool, ansi: bool, wait_for: str | None, seconds: float
    ) -> bytes:
        """What shows, as JSON (`sandtop.core.screens.look`); with ``wait_for`` as soon as that pattern shows.

        When the worker dies meanwhile the next one is asked. Raises `InvalidRequest` for a wrong pattern,
        `WrongState` when the session ends and its last screen does not show the pattern, `TimeoutError` after
        ``seconds``, and `CoreFailure` when no worker answers.
        """
        message: dict[str, object] = {
            "type": "look",
            "scrollback": scrollback,
            "ansi": ansi,
            "wait_for": wait_for,
        }
        patience = seconds if wait_for is not None else 2 * _ANSWER_SECONDS
        with trio.move_on_after(patience):
            while True:
                try:
                    async with self._followed(session) as each:
                        message["final"] = each.control is None
                        return (await self._ask(each, message, waits=wait_for is not None))[1]
                except WorkerGone:
                    continue
        if wait_for is not None:
            raise TimeoutError
        raise CoreFailure("the screens are out of reach", hint="see the core's log")

    @asynccontextmanager
    async def _followed(self, session: Session) -> AsyncGenerator[_Open]:
        """The session as the worker draws it; one that has ended is drawn while somebody is in this context."""
        each = self._open.get(session.row.id)
        if each is None:
            each = self._follow(session, None)
        each.users += 1
        try:
            await self._up.wait()
            yield each
        finally:
            each.users -= 1
            if each.control is None and not each.users:
                self.ended(session.row.id)

    async def _ask(
        self, each: _Open, message: dict[str, object], *, waits: bool = False
    ) -> tuple[Mapping[str, object], bytes]:
        self._numbers += 1
        number, request = self._numbers, _Request()
        self._requests[number] = request
        self._blobs.expect(number)
        self._tell(each, {**message, "req": number})
        asked = trio.current_time()
        try:
            await request.done.wait()
        finally:
            blob = self._blobs.pop(number)
            self._requests.pop(number, None)
            if not request.done.is_set():
                self._tell(each, {"type": "forget", "req": number})
                if (
                    not waits
                    and self._last_word <= asked
                    and trio.current_time() - asked >= _ANSWER_SECONDS / 2
                ):
                    log.warning("the screen worker does not answer")
                    self._serving.cancel()
        if request.failure is not None:
            raise request.failure
        return request.fields, blob


def _failure(message: Mapping[str, object]) -> Exception:
    why = str(message.get("message"))
    code = message.get("code")
    if code == "invalid":
        return InvalidRequest(why)
    return WrongState(why) if code == "ended" else CoreFailure(why)
