"""Ends that an agent makes up: every session ends, with what is true of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

import pytest
import trio

from sandtop.agent.wire import (
    AGENT_PROTOCOL,
    AgentHandshake,
    Control,
    Data,
    Decoder,
    answer,
    encode,
)
from sandtop.core.store import SessionRow

from .scripted import TOKEN, UUID, listening, run, running_core, until

if TYPE_CHECKING:
    from pathlib import Path

    from sandtop.core.sessions import SessionExit

    from .scripted import Core

KEY = "a" * 16
Message = dict[str, object]
WHOLE: Message = {"reason": "exited", "code": 0, "stdout": 5, "stderr": 0}


class Liar:
    """Starts what it is told to, writes ``hello``, and ends it as ``ends`` say; answers pings unless ``mute``."""

    def __init__(self, *ends: Message, mute: bool = False, output: bytes = b"hello") -> None:
        self.ends = ends
        self.mute = mute
        self.output = output
        self.released: list[object] = []
        self.links = 0

    async def serve(self, stream: trio.SocketStream) -> None:
        self.links += 1
        handshake, decoder, nonce = AgentHandshake(TOKEN.encode()), Decoder(), None
        while data := bytes(await stream.receive_some(65536)):
            fresh, data = handshake.feed(data)
            if fresh is not None:
                nonce = fresh
                hello: Message = {"type": "hello", "version": AGENT_PROTOCOL, "sessions": list[object]()}
                await stream.send_all(answer(nonce) + encode(Control(hello)))
            for frame in decoder.feed(data) if nonce is not None else ():
                if isinstance(frame, Control):
                    await stream.send_all(b"".join(self._answer(frame.message)))
                    if frame.message["type"] == "start":
                        await self.went_on(stream)

    async def went_on(self, stream: trio.SocketStream) -> None:
        """What it does after it has ended a session."""

    def _answer(self, message: Message) -> list[bytes]:
        if message["type"] == "release":
            self.released.append(message["id"])
        if message["type"] == "ping" and not self.mute:
            return [encode(Control({"type": "pong", "seq": message["seq"]}))]
        if message["type"] != "start":
            return []
        number = cast("int", message["n"])
        said = [encode(Control({"id": message["id"], **each})) for each in self.ends]
        return [*said, encode(Data(4 * number + 1, 0, self.output))]


def exited(record: object) -> Message:
    return {"type": "exited", "record": record}


async def ending(core: Core, agent: Liar, tty: object = None) -> SessionExit:
    await core.link.wait_up(10)
    start: Message = {"argv": ["x"], "tty": tty, "stdin": False}
    core.sessions.start(SessionRow(KEY, UUID, core.sessions.next_number(), start, "starting", 1.0))
    await core.ended(KEY)
    await until(lambda: agent.released)
    record = core.sessions.get(KEY).record
    assert record is not None
    return record


def end_of(tmp_path: Path, agent: Liar, tty: object = None, *, seconds: float = 60) -> SessionExit:
    found: list[SessionExit] = []

    async def main() -> None:
        async with listening(tmp_path, agent.serve), running_core(tmp_path) as core:
            found.append(await ending(core, agent, tty))
            assert core.link.connected
            assert core.output(KEY) == agent.output
            assert core.sessions.running == 0

    run(main, seconds=seconds)
    assert agent.links == 1
    return found[0]


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
@pytest.mark.parametrize("size", [6, 5000, 1 << 30, (1 << 63) - 1])
def test_a_session_ends_without_output_that_never_comes(tmp_path: Path, stream: str, size: int) -> None:
    record = end_of(tmp_path, Liar(exited({**WHOLE, stream: size})))
    assert (record.stdout, record.stderr) == (5, 0)
    assert record.missing == size - (5 if stream == "stdout" else 0)
    assert (record.reason, record.code, record.exit_status) == ("exited", 0, 125)


def test_what_is_far_beyond_any_window_is_not_waited_for_long(tmp_path: Path) -> None:
    end_of(tmp_path, Liar(exited({**WHOLE, "stdout": (1 << 63) - 1})), seconds=5)


def test_a_terminal_ends_without_the_stderr_that_it_cannot_have(tmp_path: Path) -> None:
    record = end_of(tmp_path, Liar(exited({**WHOLE, "stderr": 7})), {"rows": 24, "columns": 80})
    assert (record.stdout, record.stderr, record.missing) == (5, 0, 7)


def test_output_that_the_record_does_not_speak_of_counts(tmp_path: Path) -> None:
    class First(Liar):
        """Writes, and then speaks of less."""

        def _answer(self, message: Message) -> list[bytes]:
            return super()._answer(message)[::-1]

    record = end_of(tmp_path, First(exited({**WHOLE, "stdout": 3})))
    assert (record.stdout, record.missing, record.exit_status) == (5, 0, 0)


NUMBERS: list[object] = [-1, 1 << 63, 1 << 200, 1.5, True, "5", [5], {}]
CODES: list[object] = [-1, 256, None, True, "0"]


@pytest.mark.parametrize(
    "record",
    [
        *({**WHOLE, "stdout": value} for value in NUMBERS),
        *({**WHOLE, "code": value} for value in CODES),
        {**WHOLE, "reason": "vm-died"},
        {"reason": "exited"},
        {},
        None,
        [],
        "exited",
        7,
    ],
    ids=lambda record: json.dumps(record)[:40],
)
def test_a_record_that_makes_no_sense_ends_its_session_and_nothing_else(
    tmp_path: Path, record: object
) -> None:
    found = end_of(tmp_path, Liar(exited(record)))
    assert (found.reason, found.state, found.source, found.exit_status) == ("unknown", "lost", "core", 125)
    assert "makes no sense" in str(found.message)
    assert str(found.message).isprintable()


@pytest.mark.parametrize(
    "ends",
    [
        [exited(WHOLE), exited({**WHOLE, "code": 9})],
        [exited(WHOLE), exited(None)],
        [exited(WHOLE), {"type": "started", "pid": 7}],
        [exited(WHOLE), {"type": "refused", "message": "no"}],
        [{"type": "started", "pid": 7}, exited(WHOLE), exited(WHOLE)],
        [{**exited({**WHOLE, "code": 9}), "id": "stranger"}, exited(WHOLE)],
        [{**exited({**WHOLE, "code": 9}), "id": None}, {**exited(None), "id": [KEY]}, exited(WHOLE)],
    ],
)
def test_the_first_word_on_an_end_counts(tmp_path: Path, ends: list[Message]) -> None:
    record = end_of(tmp_path, Liar(*ends))
    assert (record.reason, record.code, record.stdout, record.missing) == ("exited", 0, 5, 0)


def test_an_agent_that_does_not_answer_is_not_judged(tmp_path: Path) -> None:
    """Its machine may be paused: what it owes may still come."""

    class Slow(Liar):
        async def went_on(self, stream: trio.SocketStream) -> None:
            await trio.sleep(3600)
            await stream.send_all(encode(Data(5, 5, b" world")))
            self.output += b" world"
            self.mute = False

    agent = Slow(exited({**WHOLE, "stdout": 11}), mute=True)
    record = end_of(tmp_path, agent, seconds=7200)
    assert (record.stdout, record.missing, record.exit_status) == (11, 0, 0)


def test_output_that_comes_slowly_is_waited_for(tmp_path: Path) -> None:
    class Trickle(Liar):
        nursery: trio.Nursery

        async def went_on(self, stream: trio.SocketStream) -> None:
            self.nursery.start_soon(self.trickle, stream)

        async def trickle(self, stream: trio.SocketStream) -> None:
            for _ in range(60):
                await trio.sleep(1)
                await stream.send_all(encode(Data(5, len(self.output), b"x" * 8192)))
                self.output += b"x" * 8192

    agent = Trickle(exited({**WHOLE, "stdout": 5 + 60 * 8192}))
    found: list[SessionExit] = []

    async def main() -> None:
        async with (
            listening(tmp_path, agent.serve),
            running_core(tmp_path) as core,
            trio.open_nursery() as agent.nursery,
        ):
            found.append(await ending(core, agent))

    run(main, seconds=300)
    assert (found[0].stdout, found[0].missing) == (5 + 60 * 8192, 0)


def test_a_machine_that_dies_owes_nothing_more(tmp_path: Path) -> None:
    agent = Liar(exited({**WHOLE, "stdout": 5000}), mute=True)

    async def main() -> None:
        async with listening(tmp_path, agent.serve), running_core(tmp_path) as core:
            await core.link.wait_up(10)
            core.start(KEY, "x")
            session = core.sessions.get(KEY)
            await until(lambda: session.ending and session.log.end(1) == 5)
            core.sessions.machine_gone("it died")
            record = session.record
            assert record is not None
            assert (record.stdout, record.missing, record.exit_status) == (5, 4995, 125)

    run(main)
