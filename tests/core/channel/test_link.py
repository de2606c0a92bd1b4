"""The core's end of the link, with the sessions behind it, against agents that break, and that are hostile."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandtop.agent.wire import (
    AGENT_PROTOCOL,
    MAX_CONTROL_QUEUE,
    Control,
    Credit,
    Data,
    Eof,
    encode,
)
from sandtop.core.errors import ChannelError, InvalidRequest

from .scripted import ENDLESS, ScriptedAgent, listening, run, running_core, shake_hands, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandtop.agent.wire import Frame

    from .scripted import Core

INPUT = bytes(range(256)) + b"the end"


class Typist:
    """A client that holds a session's input and sends ``data``: keeps it all, and goes on from the agent's word."""

    label = "a typist"
    client = "0123"
    answers = None

    def __init__(self, core: Core, key: str, data: bytes) -> None:
        self._core = core
        self._key = key
        self._data = data
        self.word: Credit | None = None
        self._sent = 0
        self.lost: str | None = None

    def credit(self, credit: Credit) -> None:
        if self.word is None:
            self._sent = credit.acked
        self.word = credit

    def lost_input(self, reason: str) -> None:
        self.lost = reason

    async def type(self) -> None:
        session = self._core.sessions.get(self._key)
        session.input.hold(self)
        while not session.ended:
            if self.word is not None and self._sent < min(len(self._data), self.word.limit):
                piece = self._data[self._sent : min(self._sent + 100, self.word.limit)]
                self._core.sessions.write_stdin(session, self._sent, piece)
                self._sent += len(piece)
            if self.word is not None and self._sent == len(self._data):
                self._core.sessions.close_stdin(session, self._sent)
            await trio.sleep(0.01)
        session.input.release(self)


@pytest.mark.slow
@pytest.mark.parametrize("direction", ["to the core", "from the core"])
def test_a_link_cut_at_every_byte_carries_each_byte_once(tmp_path: Path, direction: str) -> None:
    def cut(link: int) -> tuple[int, int]:
        # beyond what the whole exchange takes there is nothing left to cut
        most = link if link < 4000 else ENDLESS
        return {"to the core": (most, ENDLESS), "from the core": (ENDLESS, most)}[direction]

    agent = ScriptedAgent(cut)

    async def main() -> None:
        async with listening(tmp_path, agent.serve), running_core(tmp_path) as core:
            await _exchange(core)
            assert core.output("a" * 16) == INPUT
            record = core.sessions.get("a" * 16).record
            assert record is not None
            assert (record.code, record.stdout, record.source) == (7, len(INPUT), "agent")

    run(main, seconds=36_000)
    assert agent.links > 300
    assert agent.started == ["a" * 16]
    assert agent.programs == {}


async def _exchange(core: Core) -> None:
    await core.link.wait_up(3600)
    if core.sessions.find("a" * 16) is None:
        core.start("a" * 16, "cat")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Typist(core, "a" * 16, INPUT).type)
        await core.ended("a" * 16)
    await until(lambda: core.link.connected and not core.sessions.running)
    await core.link.ping(3600)


@pytest.mark.parametrize(("lost", "most"), [(1, 4.0), (3, 30.0)])
def test_a_marker_that_is_lost_is_soon_followed_by_another(tmp_path: Path, lost: int, most: float) -> None:
    agent = ScriptedAgent()
    markers: list[float] = []

    async def forgetful(stream: trio.SocketStream) -> None:
        markers.append(trio.current_time())
        if len(markers) > lost:
            await agent.serve(stream)
        while await stream.receive_some(4096):
            pass

    async def main() -> None:
        async with listening(tmp_path, forgetful), running_core(tmp_path, boot_seconds=None) as core:
            await core.link.wait_up(3600)

    run(main)
    assert len(markers) == lost + 1
    assert markers[-1] - markers[0] < most


def test_an_agent_that_falls_silent_is_noticed_and_its_link_stays(tmp_path: Path) -> None:
    class Sleepy(ScriptedAgent):
        asleep = False
        missed: ClassVar[list[dict[str, object]]] = []

        def _control(self, message: dict[str, object]) -> None:
            if message["type"] == "ping" and self.asleep:
                self.missed.append(message)
            else:
                super()._control(message)

        def wake_up(self) -> None:
            self.asleep = False
            while self.missed:
                self._control(self.missed.pop())

    agent = Sleepy()

    async def main() -> None:
        async with listening(tmp_path, agent.serve), running_core(tmp_path) as core:
            await core.link.wait_up(3600)
            await trio.sleep(60)
            assert (core.link.silent, agent.missed) == (False, [])
            agent.asleep = True
            begun = trio.current_time()
            await until(lambda: core.link.silent)
            assert trio.current_time() - begun < 20
            await trio.sleep(3600)
            assert (core.link.silent, core.link.connected, len(agent.missed)) == (True, True, 1)
            agent.wake_up()
            core.start("a" * 16, "anything")  # something to say, with which the answer goes
            await until(lambda: not core.link.silent)

    run(main, seconds=36_000)
    assert agent.links == 1


def test_a_core_that_is_replaced_all_the_time_loses_and_doubles_nothing(tmp_path: Path) -> None:
    agent = ScriptedAgent()
    done: list[bytes] = []

    async def main() -> None:
        async with listening(tmp_path, agent.serve):
            for patience in range(1, 400):
                async with running_core(tmp_path) as core:
                    with trio.move_on_after(patience / 1000):
                        await _exchange(core)
                        done.append(core.output("a" * 16))
                        return

    run(main)
    assert done == [INPUT]
    assert agent.started == ["a" * 16]


def test_output_comes_before_the_end_and_in_full(tmp_path: Path) -> None:
    agent, text = ScriptedAgent(), "x" * 700_000  # more than a window: the end overtakes it

    async def main() -> None:
        async with listening(tmp_path, agent.serve), running_core(tmp_path) as core:
            await core.link.wait_up(10)
            core.start("b" * 16, text)
            await core.ended("b" * 16)
            assert core.output("b" * 16, 1) == text.encode()
            assert core.output("b" * 16, 2) == text.encode()[::-1]
            await core.link.ping()
            assert agent.released == ["b" * 16]

    run(main)


def test_a_new_holder_of_the_input_begins_where_the_last_one_ended(tmp_path: Path) -> None:
    agent = ScriptedAgent()

    async def main() -> None:
        async with listening(tmp_path, agent.serve), running_core(tmp_path) as core:
            await core.link.wait_up(10)
            core.start("a" * 16, "cat")
            session = core.sessions.get("a" * 16)
            first, second = Typist(core, "a" * 16, b""), Typist(core, "a" * 16, b"")
            session.input.hold(first)
            await until(lambda: first.word)
            core.sessions.write_stdin(session, 0, b"one ")
            session.input.hold(second)
            assert first.lost is not None
            assert second.word is None  # what the first sent is still on its way
            await until(lambda: second.word)
            assert second.word == Credit(0, 4, second.word.limit)  # type: ignore[attr-defined]
            core.sessions.write_stdin(session, 4, b"two")
            core.sessions.close_stdin(session, 7)
            await core.ended("a" * 16)
            assert core.output("a" * 16) == b"one two"

    run(main)


# requests


def test_a_request_is_asked_again_on_the_next_link(tmp_path: Path) -> None:
    agent = ScriptedAgent(lambda link: (ENDLESS, 250 if link == 1 else ENDLESS))

    async def main() -> None:
        async with listening(tmp_path, agent.serve), running_core(tmp_path) as core:
            await core.link.wait_up(10)
            assert (await core.link.request({"type": "signal", "id": "x", "pad": "y" * 200}, 30))[
                "error"
            ] is None
            assert agent.links == 2

    run(main)
    assert list(agent.operations.values()) == [1]


def test_two_who_ask_for_the_same_operation_get_one_answer(tmp_path: Path) -> None:
    agent = ScriptedAgent()

    async def main() -> None:
        async with listening(tmp_path, agent.serve), running_core(tmp_path) as core:
            await core.link.wait_up(10)
            answers: list[object] = []

            async def ask() -> None:
                answers.append((await core.link.request({"type": "signal", "op": "same"}, 5))["op"])

            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask)
                nursery.start_soon(ask)
            assert answers == ["same", "same"]

    run(main)
    assert agent.operations == {"same": 1}


def test_every_wait_for_an_agent_has_an_end(tmp_path: Path) -> None:
    async def silent(stream: trio.SocketStream) -> None:
        while await stream.receive_some(65536):
            pass

    async def main() -> None:
        async with listening(tmp_path, silent), running_core(tmp_path) as core:
            for wait in (core.link.wait_up(5), core.link.ping(5), core.link.request({"type": "resize"}, 5)):
                begun = trio.current_time()
                with pytest.raises(ChannelError, match="did not answer"):
                    await wait
                assert 4.9 < trio.current_time() - begun < 5.1

    run(main)


# hostile agents


def hostile(behave: Callable[[trio.SocketStream], object]) -> Callable[[trio.SocketStream], object]:
    """An agent that shakes hands as it should, and then behaves as it likes."""

    async def serve(stream: trio.SocketStream) -> None:
        if await shake_hands(stream):
            await behave(stream)  # type: ignore[misc]

    return serve


def hello(**changes: object) -> bytes:
    message: dict[str, object] = {"type": "hello", "version": AGENT_PROTOCOL, "sessions": []}
    return encode(Control({**message, **changes}))


def test_an_agent_that_breaks_every_link_is_met_with_patience(tmp_path: Path) -> None:
    links: list[float] = []

    async def behave(stream: trio.SocketStream) -> None:
        links.append(trio.current_time())
        await stream.send_all(hello() + b"\xff" * 64)
        await stream.receive_some(1)
        await trio.sleep(0.001)

    async def main() -> None:
        async with listening(tmp_path, hostile(behave)), running_core(tmp_path) as core:  # type: ignore[arg-type]
            await trio.sleep(60)
            assert core.link.fault is not None
            assert "larger than" in core.link.fault

    run(main)
    assert 50 <= len(links) <= 70  # it is tried once a second, for ever


def test_a_fault_is_forgotten_once_a_link_has_stood_for_a_while(tmp_path: Path) -> None:
    agent = ScriptedAgent()
    spoiled: list[int] = []

    async def serve(stream: trio.SocketStream) -> None:
        if not spoiled:
            spoiled.append(1)

            async def behave(stream: trio.SocketStream) -> None:
                await stream.send_all(b"\xff" * 64)

            await hostile(behave)(stream)  # type: ignore[misc]
        else:
            await agent.serve(stream)

    async def main() -> None:
        async with listening(tmp_path, serve), running_core(tmp_path) as core:
            await core.link.wait_up(10)
            faults = [core.link.fault]
            await trio.sleep(10)
            faults.append(core.link.fault)
            assert faults[0] is not None
            assert faults[1] is None
            assert core.link.connected

    run(main)


def test_an_agent_that_says_nothing_after_the_handshake_is_tried_again(tmp_path: Path) -> None:
    links: list[int] = []

    async def behave(stream: trio.SocketStream) -> None:
        links.append(1)
        while await stream.receive_some(65536):
            pass

    async def main() -> None:
        async with listening(tmp_path, hostile(behave)), running_core(tmp_path):  # type: ignore[arg-type]
            await trio.sleep(60)

    run(main)
    assert 4 <= len(links) <= 8


def test_an_agent_that_reads_nothing_loses_its_link_and_nobody_else_anything(tmp_path: Path) -> None:
    links: list[int] = []

    async def behave(stream: trio.SocketStream) -> None:
        links.append(1)
        await stream.send_all(hello())
        await trio.sleep_forever()

    async def main() -> None:
        async with listening(tmp_path, hostile(behave)), running_core(tmp_path) as core:  # type: ignore[arg-type]
            await core.link.wait_up(10)
            for number in range(MAX_CONTROL_QUEUE + 3000):
                core.link.send({"type": "ping", "seq": str(number), "pad": "x" * 100})
            await trio.sleep(0.01)
            assert not core.link.connected
            assert core.link.fault == "the peer does not read its control messages"

    run(main)


KEYS = ["a" * 16, "b" * 16, "stranger"]
fields = st.dictionaries(
    st.sampled_from(["id", "pid", "record", "op", "seq", "error", "message", "sessions", "version", "n"]),
    st.none()
    | st.integers()
    | st.sampled_from(KEYS)
    | st.text(max_size=5)
    | st.lists(st.integers(), max_size=2)
    | st.fixed_dictionaries({"reason": st.sampled_from(["exited", "oom", "vm-died"]), "code": st.integers(-1, 300),
                             "stdout": st.integers(-1, 1 << 64)}),
    max_size=4,
)  # fmt: skip
offsets = st.integers(0, 2000) | st.integers(0, (1 << 64) - 1)


def control(kind: str, rest: dict[str, object]) -> Frame:
    return Control({**rest, "type": kind})


def credit(stream: int, acked: int, more: int) -> Frame:
    return Credit(stream, acked, min(acked + more, (1 << 64) - 1))


def greeting(entries: list[dict[str, object]]) -> bytes:
    return hello(sessions=entries)


KINDS = ["hello", "started", "exited", "refused", "done", "pong", "surprise"]
frames: st.SearchStrategy[Frame] = st.one_of(
    st.builds(control, st.sampled_from(KINDS), fields),
    st.builds(Data, st.integers(0, 12), offsets, st.binary(max_size=300)),
    st.builds(credit, st.integers(0, 12), offsets, offsets),
    st.builds(Eof, st.integers(0, 12), offsets),
)
entries = st.fixed_dictionaries(
    {"id": st.sampled_from(KEYS), "n": st.integers(0, 3), "pid": st.none() | st.integers()},
    optional={"record": fields},
)
hellos = st.just(hello()) | st.builds(greeting, st.lists(entries, max_size=4))
attacks = st.tuples(hellos, st.lists(st.builds(encode, frames) | st.binary(max_size=40), max_size=8))


@pytest.mark.slow
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(attacks, min_size=1, max_size=3))
def test_whatever_an_agent_sends_the_core_goes_on(waves: list[tuple[bytes, list[bytes]]]) -> None:
    """Afterwards the same core, with the same sessions, works with an agent that behaves."""
    agent, served = ScriptedAgent(), list[int]()

    async def serve(stream: trio.SocketStream) -> None:
        served.append(1)
        if len(served) > len(waves):
            await agent.serve(stream)
            return
        opening, rest = waves[len(served) - 1]

        async def behave(stream: trio.SocketStream) -> None:
            await stream.send_all(opening + b"".join(rest))
            with trio.move_on_after(1):
                while await stream.receive_some(65536):
                    pass

        await hostile(behave)(stream)  # type: ignore[misc]

    async def main() -> None:
        folder = Path(temporary)
        async with listening(folder, serve), running_core(folder) as core:
            await core.link.wait_up(60)
            for key in KEYS[:2]:
                core.start(key, "cat")
            await until(lambda: len(served) > len(waves) and core.link.connected)
            core.start("c" * 16, "fine")
            await core.ended("c" * 16)
            assert core.output("c" * 16) == b"fine"
            assert core.sessions.get("c" * 16).record.code == 7  # type: ignore[union-attr]
            for session in core.sessions.all():  # no more than the credit that was given was ever taken
                assert session.log.stored <= 4 * session.output.window

    with tempfile.TemporaryDirectory() as temporary:
        run(main)


def test_a_start_too_large_for_an_older_agent_is_refused_before_anything_is_stored(tmp_path: Path) -> None:
    async def main() -> None:
        async with listening(tmp_path, ScriptedAgent().serve), running_core(tmp_path) as core:
            await core.link.wait_up(10)
            with pytest.raises(
                InvalidRequest, match=r"of an older sandtop, takes 786,432 .*sandtop restart box"
            ):
                core.start("a" * 16, "echo", "x" * (800 * 1024))
            assert core.database.sessions() == []
            core.start("b" * 16, "y" * (700 * 1024))
            await core.ended("b" * 16)

    run(main)


def test_a_start_that_is_longer_than_a_frame_travels_in_pieces(tmp_path: Path) -> None:
    word = "ä" * 400_000

    async def main() -> None:
        agent = ScriptedAgent(long_starts=True)
        async with listening(tmp_path, agent.serve), running_core(tmp_path) as core:
            await core.link.wait_up(10)
            for key in ("a" * 16, "b" * 16):
                core.start(key, word, "second")
            for key in ("a" * 16, "b" * 16):
                await core.ended(key)
                assert core.output(key) == word.encode()
                # what is to be shown of it is kept, in memory and on disk, and no more
                (stored,) = [row for row in core.database.sessions() if row.id == key]
                for row in (core.sessions.get(key).row, stored):
                    assert row.argv_length == 2
                    assert row.argv == ["ä" * 32767 + "…"]
        assert agent.started == ["a" * 16, "b" * 16]

    run(main)


@pytest.mark.parametrize("after", [100, 1000, 200_000, 900_000, 2_400_000])
def test_a_long_start_whose_link_is_cut_is_asked_for_again_and_done_once(tmp_path: Path, after: int) -> None:
    word = "ä" * 400_000

    async def main() -> None:
        def cut(link: int) -> tuple[int, int]:
            return (ENDLESS, after) if link < 3 else (ENDLESS, ENDLESS)

        agent = ScriptedAgent(cut, long_starts=True)
        async with listening(tmp_path, agent.serve), running_core(tmp_path) as core:
            await core.link.wait_up(60)
            core.start("a" * 16, word)
            await core.ended("a" * 16)
            assert core.output("a" * 16) == word.encode()
        assert agent.started == ["a" * 16]

    run(main)


def test_a_core_that_died_asks_for_a_long_start_again(tmp_path: Path) -> None:
    word = "x" * 900_000

    async def main() -> None:
        async with running_core(tmp_path) as core:  # no agent answers
            core.start("a" * 16, word)
            assert len(core.sessions.get("a" * 16).row.argv[0]) < 40_000
        agent = ScriptedAgent(long_starts=True)
        async with listening(tmp_path, agent.serve), running_core(tmp_path) as core:
            await core.ended("a" * 16)
            assert core.output("a" * 16) == word.encode()

    run(main)
