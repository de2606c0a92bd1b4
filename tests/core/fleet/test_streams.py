"""``core.stats``, ``core.events`` and ``core.logs`` as a client has them, over a socket, on machines in memory."""

from __future__ import annotations

import dataclasses
import socket
import time
from contextlib import asynccontextmanager
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
import trio

from sandtop.agent.wire import Control, Decoder
from sandtop.core.client.link.listening import EventsListening, LogsListening, StatsListening
from sandtop.core.contract.codec import decode_request
from sandtop.core.contract.core import Events, Logs, Stats
from sandtop.core.contract.core_events import Happening, HostHistory, Sample, SandboxHistory
from sandtop.core.daemon.connection import ClientGone, Connection
from sandtop.core.daemon.event_ops import events
from sandtop.core.daemon.logs_ops import logs
from sandtop.core.daemon.stats_ops import stats
from sandtop.core.errors import NotFound

from .lab import CONFIG, SETTINGS
from .test_upkeep import execute

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from sandtop.core.client.link.listening import Listening, LogPiece
    from sandtop.core.contract.record import Request
    from sandtop.core.fleet import Sandbox
    from sandtop.core.sessions import Session

    from .conftest import RunCase
    from .lab import Core, Lab

SERVED: dict[type[Request[Any]], Callable[..., Awaitable[object]]] = {
    Events: events,
    Logs: logs,
    Stats: stats,
}


class Heard:
    """What has come of one request."""

    def __init__(self, stream: trio.SocketStream, operation: Listening[Any]) -> None:
        self._stream = stream
        self._operation = operation

    async def next(self) -> Any:  # noqa: ANN401 - what it is depends on the request
        """The next item."""
        while not self._operation.items:
            data = await self._stream.receive_some(65536)
            assert data, "the core said no more"
            self._operation.feed(bytes(data))
        return self._operation.items.popleft()

    async def rest(self) -> list[Any]:
        """All that comes until the core closes."""
        while data := await self._stream.receive_some(65536):
            self._operation.feed(bytes(data))
        found = list(self._operation.items)
        self._operation.items.clear()
        return found


@asynccontextmanager
async def asked(core: Core, operation: Listening[Any], request: Request[Any]) -> AsyncGenerator[Heard]:
    """The handler of ``request`` at work; the client goes with the block."""
    ours, theirs = (trio.SocketStream(trio.socket.from_stdlib_socket(end)) for end in socket.socketpair())

    async def serve() -> None:
        async with theirs:
            try:
                await SERVED[type(request)](SimpleNamespace(fleet=core.fleet), request, Connection(theirs))
            except ClientGone:
                return

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        async with ours:
            yield Heard(ours, operation)


def write(session: Session, text: str, stream: int = 1) -> None:
    session.log.append(stream, text.encode())
    session.notify()


async def told(core: Core, **fields: Any) -> list[LogPiece]:  # noqa: ANN401
    request = Logs(**fields)
    async with asked(core, LogsListening(request), request) as heard:
        return cast("list[LogPiece]", await heard.rest())


def texts(pieces: list[LogPiece]) -> list[tuple[str, str]]:
    return [(piece.source.sandbox, piece.data.decode()) for piece in pieces]


async def two(core: Core) -> list[tuple[Sandbox, Session]]:
    """Two sandboxes with a session each."""
    found: list[tuple[Sandbox, Session]] = []
    for name, label in (("a", "x"), ("b", "y")):
        box = await core.create(name, dataclasses.replace(CONFIG, labels={"team": label}))
        found.append((box, execute(box, name * 16, "sleep", "1000")))
    await core.settle()
    return found


def at(monkeypatch: pytest.MonkeyPatch, moment: float) -> None:
    """The time of what is written from now on."""
    monkeypatch.setattr("sandtop.core.sessions.log.time.time", lambda: moment)


def test_logs_are_merged_by_time(run: RunCase, monkeypatch: pytest.MonkeyPatch) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            (_, one), (_, other) = await two(core)
            base = time.time()
            for number, session in enumerate([one, other, other, one, one, other]):
                at(monkeypatch, base + number)
                write(session, f"{number}\n")
            merged = await told(core)
            assert texts(merged) == [(name, f"{n}\n") for n, name in enumerate("abbaab")]
            assert [piece.at for piece in merged] == [base + n for n in range(6)]
            assert texts(await told(core, tail=1)) == [("a", "4\n"), ("b", "5\n")]
            assert texts(await told(core, since=base + 3)) == [("a", "3\n"), ("a", "4\n"), ("b", "5\n")]
            assert texts(await told(core, sandboxes=["b"], tail=2)) == [("b", "2\n"), ("b", "5\n")]
            assert texts(await told(core, labels={"team": "x"})) == [("a", "0\n"), ("a", "3\n"), ("a", "4\n")]
            assert await told(core, labels={"team": "z"}) == []
            assert await told(core, streams=["stderr"]) == []

    run(case)


def test_more_pieces_than_are_read_at_once(run: RunCase, monkeypatch: pytest.MonkeyPatch) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            (_, one), (_, other) = await two(core)
            base = time.time()
            for number in range(1500):
                at(monkeypatch, base + number)
                write((one, other)[number % 3 == 0], f"{number}\n", 1 + number % 2)
            merged = await told(core)
            assert [int(piece.data) for piece in merged] == list(range(1500))
            assert {piece.stream for piece in merged} == {"stdout", "stderr"}

    run(case)


def test_what_is_written_later_comes_of_new_sandboxes_too(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            (_, one), (box, _) = await two(core)
            write(one, "before\n")
            request = Logs(follow=True, tail=0)
            async with asked(core, LogsListening(request), request) as heard:
                await trio.sleep(1)
                write(one, "now\n")
                assert (await heard.next()).data == b"now\n"
                execute(box, "c" * 16, "echo", "a new session")
                piece = await heard.next()
                assert (piece.data, piece.source.session, piece.source.argv) == (
                    b"a new session\n", "c" * 16, ["echo", "a new session"],
                )  # fmt: skip
                later = await core.create("later")
                execute(later, "d" * 16, "echo", "a new sandbox")
                assert (await heard.next()).source.sandbox == "later"

    run(case)


def test_a_client_that_comes_back_gets_what_it_has_not(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            (_, one), (_, other) = await two(core)
            write(one, "1\n")
            request = Logs(follow=True)
            operation = LogsListening(request)
            async with asked(core, operation, request) as heard:
                assert (await heard.next()).data == b"1\n"
            write(one, "2\n")
            write(other, "3\n")
            _hello, asks = Decoder().feed(operation.opening())  # of the next connection
            assert isinstance(asks, Control)
            again = dataclasses.replace(decode_request(Logs, asks.message), follow=False)
            async with asked(core, operation, again) as heard:
                assert sorted(piece.data for piece in await heard.rest()) == [b"2\n", b"3\n"]

    run(case)


def test_what_fell_to_the_cap_is_a_gap(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        lab.settings = dataclasses.replace(SETTINGS, session_log_bytes=1000)
        async with lab.core() as core:
            (_, one), _ = await two(core)
            for number in range(40):
                write(one, f"{number:099}\n")
            pieces = await told(core, sandboxes=["a"])
            kept = b"".join(piece.data for piece in pieces)
            assert len(kept) + sum(piece.missing for piece in pieces) <= 4000
            assert kept.endswith(f"{39:099}\n".encode())

    run(case)


# stats and events


def test_history_then_samples(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core(maintained=True) as core:
            await two(core)
            await trio.sleep(100)
            request = Stats(history=600, follow=True, sandboxes=["a"])
            async with asked(core, StatsListening(request), request) as heard:
                items = [await heard.next() for _ in range(4)]
                assert [type(item) for item in items] == [HostHistory, SandboxHistory, Sample, Sample]
                assert [one.sandbox for one in items[2].sandboxes] == ["a"]
                assert items[2].host.sandboxes == {"running": 2}
            once = Stats(labels={"team": "y"}, sessions=True)
            async with asked(core, StatsListening(once), once) as heard:
                (sample,) = await heard.rest()
                assert [one.sandbox for one in sample.sandboxes] == ["b"]
                assert [one.id for one in sample.sandboxes[0].by_session] == ["b" * 16]

    run(case)


def test_many_sandboxes_are_told_in_parts(run: RunCase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandtop.core.daemon.stats_ops._AT_ONCE", 1)

    async def case(lab: Lab) -> None:
        async with lab.core(maintained=True) as core:
            await two(core)
            request = Stats()
            async with asked(core, StatsListening(request), request) as heard:
                (sample,) = await heard.rest()
                assert [one.sandbox for one in sample.sandboxes] == ["a", "b"]

    run(case)


def test_events_by_name_kind_and_time(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            (box, _), _ = await two(core)

            async def found(**fields: Any) -> list[Happening]:  # noqa: ANN401
                request = Events(**fields)
                async with asked(core, EventsListening(request), request) as heard:
                    return cast("list[Happening]", await heard.rest())

            everything = await found()
            life = ["created", "started", "session-started"]
            assert {(one.sandbox, one.kind) for one in everything} == {
                (name, kind) for name in "ab" for kind in life
            }
            assert [one.id for one in everything] == [1, 2, 3, 4, 5, 6]
            assert [one.kind for one in everything if one.sandbox == "a"] == life
            assert [one.sandbox for one in await found(sandboxes=["b"])] == ["b"] * 3
            assert [one.kind for one in await found(sandboxes=[box.row.uuid], kinds=["started"])] == [
                "started"
            ]
            assert [one.sandbox for one in await found(labels={"team": "x"}, limit=1)] == ["a"]
            assert await found(since=time.time() + 10) == []
            assert await found(until=1.0) == []
            assert [one.id for one in await found(after=4)] == [5, 6]
            await core.fleet.remove(box, force=True, keep_history=False)
            assert (await found(sandboxes=["a"]))[-1].kind == "removed"

    run(case)


def test_events_are_followed_in_order(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            (box, _), _ = await two(core)
            request = Events(sandboxes=["a"], follow=True, limit=1)
            async with asked(core, EventsListening(request), request) as heard:
                assert (await heard.next()).kind == "session-started"
                await box.pause()
                await box.resume()
                assert [(await heard.next()).kind for _ in range(2)] == ["paused", "resumed"]
                for _ in range(3000):  # more than memory holds, while nobody reads
                    core.context.events.add("trouble", sandbox="a", uuid=box.row.uuid)
                ids = [(await heard.next()).id for _ in range(3000)]
                assert ids == list(range(ids[0], ids[0] + 3000))
            ended = Events(follow=True, until=time.time() - 1)
            async with asked(core, EventsListening(ended), ended) as heard:
                await heard.rest()

    run(case)


def test_what_happens_while_a_resumed_follower_looks_back_is_told(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            (box, _), _ = await two(core)
            log = core.context.events
            stored = log.stored

            def happens_behind_it(after: int = 0) -> list[dict[str, Any]]:
                found = stored(after)
                trio.from_thread.run_sync(partial(log.add, "trouble", sandbox="a", uuid=box.row.uuid))
                return found

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(log, "stored", happens_behind_it)
                request = Events(follow=True, after=log.last)
                async with asked(core, EventsListening(request), request) as heard:
                    assert (await heard.next()).kind == "trouble"

    run(case)


@pytest.mark.parametrize(
    "request_", [Stats(sandboxes=["nosuch"]), Logs(sandboxes=["nosuch"]), Events(sandboxes=["nosuch"])]
)
def test_a_sandbox_that_there_is_not(run: RunCase, request_: Request[Any]) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            with pytest.raises(NotFound):
                await SERVED[type(request_)](
                    SimpleNamespace(fleet=core.fleet), request_, cast("Connection", None)
                )

    run(case)
