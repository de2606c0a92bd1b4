"""Connections into a guest whose agent is old, slow, or hostile; with a real one they are in tests/core/fleet."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandtop.agent.wire import AGENT_PROTOCOL, Control, Credit, Data, Decoder, Eof, encode
from sandtop.agent.wire.limits import DIAL_CREDIT, FIRST_CONNECTION, FIRST_DIALED, MAX_DIALED
from sandtop.core.errors import ChannelError, ConnectionRefused, SandtopError, TimedOut, WrongState

from .scripted import listening, run, running_core, shake_hands, until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from sandtop.agent.wire import Frame
    from sandtop.core.channel import GuestConnection
    from sandtop.core.channel.connections import Link

    from .scripted import Core

    Behave = Callable[["Agent"], Awaitable[None]]
    Case = Callable[[Core], Awaitable[None]]

FIRST = FIRST_CONNECTION


def control(kind: str, **fields: object) -> Frame:
    return Control({**fields, "type": kind})


class Agent:
    """One that does as its test says, once it has said hello."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._decoder = Decoder()
        self._frames: list[Frame] = []

    async def send(self, *frames: Frame) -> None:
        await self._stream.send_all(b"".join(map(encode, frames)))

    async def frame(self) -> Frame | None:
        """What the core sends next; None when it is gone."""
        while not self._frames:
            data = bytes(await self._stream.receive_some(65536))
            if not data:
                return None
            self._frames += self._decoder.feed(data)
        return self._frames.pop(0)

    async def until(self, kind: str) -> dict[str, object]:
        """The next message of ``kind``."""
        while (frame := await self.frame()) is not None:
            if isinstance(frame, Control) and frame.message["type"] == kind:
                return frame.message
        raise trio.BrokenResourceError(f"no {kind}")

    async def until_gone(self) -> None:
        while await self.frame() is not None:
            pass


def with_agent(folder: Path, behave: Behave, case: Case, *, connects: bool = True) -> None:
    """Run ``case`` with a core on whose links ``behave`` is the agent."""

    async def serve(stream: trio.SocketStream) -> None:
        if await shake_hands(stream):
            agent = Agent(stream)
            known: dict[str, object] = {"connects": True} if connects else {}
            await agent.send(control("hello", version=AGENT_PROTOCOL, sessions=[], **known))
            await behave(agent)

    async def main() -> None:
        async with listening(folder, serve), running_core(folder) as core:
            await core.link.wait_up(10)
            await case(core)

    run(main)


async def stands(agent: Agent, limit: int = 1000) -> int:
    """Let the next connection stand, with credit for so many bytes; its number."""
    number = (await agent.until("connect"))["n"]
    assert isinstance(number, int)
    await agent.send(control("connected", n=number, address="127.0.0.1"), Credit(number, 0, limit))
    return number


async def opened(core: Core) -> GuestConnection:
    return await core.link.connections.open(80, "box")


def test_an_agent_of_an_earlier_release_is_told_by_name(tmp_path: Path) -> None:
    async def case(core: Core) -> None:
        with pytest.raises(WrongState) as caught:
            await opened(core)
        assert caught.value.message == "the agent of box is of an older sandtop, and cannot connect to ports"
        assert caught.value.hint == "restart it: sandtop restart box"

    with_agent(tmp_path, Agent.until_gone, case, connects=False)


def test_one_that_says_nothing(tmp_path: Path) -> None:
    async def case(core: Core) -> None:
        begun = trio.current_time()
        with pytest.raises(TimedOut, match="no connection to port 80 in box within 10 s"):
            await opened(core)
        assert 10 < trio.current_time() - begun < 20
        assert len(core.link.connections) == 0

    with_agent(tmp_path, Agent.until_gone, case)


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        ("refused", ConnectionRefused, "nothing listens on port 80 in box"),
        ("timeout", TimedOut, "no connection to port 80 in box within 10 s"),
        ("limit", WrongState, "box has 1,024 connections, which is as many as there can be"),
        ("os-error", ChannelError, "cannot connect to port 80 in box: no memory"),
        ({"a": 1}, ChannelError, "cannot connect to port 80 in box: no memory"),
    ],
)
def test_why_there_is_none(tmp_path: Path, code: object, kind: type[SandtopError], words: str) -> None:
    async def behave(agent: Agent) -> None:
        number = (await agent.until("connect"))["n"]
        await agent.send(control("disconnected", n=number, code=code, message="no memory"))
        await agent.until_gone()

    async def case(core: Core) -> None:
        with pytest.raises(kind) as caught:
            await opened(core)
        assert caught.value.message == words

    with_agent(tmp_path, behave, case)


def test_no_more_is_held_than_there_was_credit_for(tmp_path: Path) -> None:
    """Neither of what it sends, nor for it, though it says that it takes all there is and reads nothing."""

    async def behave(agent: Agent) -> None:
        number = await stands(agent, (1 << 63) - 1)
        await agent.send(Data(number, 0, bytes(1000)))
        await trio.sleep_forever()

    async def case(core: Core) -> None:
        connection = await opened(core)
        with trio.move_on_after(60):
            await connection.send_all(bytes(64 << 20))
        stream = connection._stream  # pyright: ignore[reportPrivateUsage]
        assert stream.retained <= 1 << 20
        assert await connection.receive_some() == bytes(1000)

    with_agent(tmp_path, behave, case)


N = FIRST
"""The number of the first connection that a core asks for."""


@pytest.mark.parametrize(
    ("attack", "words"),
    [
        ([*(Data(N, n << 17, bytes(1 << 17)) for n in range(8)), Data(N, 1 << 20, b"x")], "beyond the limit"),
        ([Data(N, 5, b"x")], "are missing"),
        ([Eof(N, 5)], "ends at 5 after 0 bytes"),
        ([Eof(N, 0), Data(N, 0, b"x")], "beyond the limit"),
        ([Credit(N, 7, 7)], "acknowledged 7 of 0 bytes"),
    ],
)  # fmt: skip
def test_one_that_breaks_the_rules_loses_its_link(tmp_path: Path, attack: list[Frame], words: str) -> None:
    done: list[int] = []

    async def behave(agent: Agent) -> None:
        if not done:
            done.append(1)
            assert await stands(agent) == N
            await agent.send(*attack)
        await agent.until_gone()

    async def case(core: Core) -> None:
        connection = await opened(core)
        await until(lambda: connection.fault is not None)
        assert core.link.fault is not None
        assert words in core.link.fault
        with pytest.raises(trio.BrokenResourceError):
            await connection.send_all(b"x")
        assert len(core.link.connections) == 0

    with_agent(tmp_path, behave, case)


def test_what_is_about_no_connection_is_nothing(tmp_path: Path) -> None:
    async def behave(agent: Agent) -> None:
        await agent.send(
            Data(FIRST + 5, 0, b"x"), Credit(FIRST + 5, 0, 9), Eof(FIRST + 5, 0),
            control("connected", n=FIRST + 5, address="127.0.0.1"), control("connected", n="x"),
            control("disconnected", n=None), control("connected"),
        )  # fmt: skip
        number = await stands(agent)
        await agent.send(control("connected", n=number, address="evil\x1b[31m"), Data(number, 0, b"ok"))
        await agent.until_gone()

    async def case(core: Core) -> None:
        connection = await opened(core)
        assert await connection.receive_some() == b"ok"
        assert connection.address == "127.0.0.1"
        assert core.link.fault is None

    with_agent(tmp_path, behave, case)


def test_one_that_was_closed_is_reset_after_a_minute(tmp_path: Path) -> None:
    """A program that never ends its side would keep the connection for ever."""
    told: list[float] = []

    async def behave(agent: Agent) -> None:
        await stands(agent)
        await agent.until("disconnect")
        told.append(trio.current_time())
        await agent.until_gone()

    async def case(core: Core) -> None:
        connection = await opened(core)
        begun = trio.current_time()
        await connection.aclose()
        await until(lambda: told)
        assert 60 <= told[0] - begun < 61
        assert len(core.link.connections) == 0

    with_agent(tmp_path, behave, case)


numbers = st.integers(FIRST, FIRST + 3)
offsets = st.integers(0, 2000) | st.integers(0, (1 << 63) - 1)
words = st.none() | st.integers() | st.sampled_from(["refused", "reset", "::1", "127.0.0.1"])


def said(kind: str, n: object, code: object, address: object) -> Frame:
    return control(kind, n=n, code=code, address=address, message=code)


def credit(stream: int, acked: int, more: int) -> Frame:
    return Credit(stream, acked, min(acked + more, (1 << 63) - 1))


attacks: st.SearchStrategy[list[Frame]] = st.lists(
    st.one_of(
        st.builds(said, st.sampled_from(["connected", "disconnected"]), numbers | words, words, words),
        st.builds(Data, numbers, offsets, st.binary(max_size=300)),
        st.builds(credit, numbers, offsets, offsets),
        st.builds(Eof, numbers, offsets),
    ),
    max_size=12,
)


@pytest.mark.slow
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(attacks, min_size=1, max_size=3))
def test_whatever_an_agent_sends_all_who_wait_come_to_an_end(waves: list[list[Frame]]) -> None:
    left = list(waves)

    async def behave(agent: Agent) -> None:
        if left:
            await agent.until("connect")
            await agent.send(*left.pop())
        await agent.until_gone()

    async def use(core: Core) -> None:
        try:
            connection = await opened(core)
            with trio.move_on_after(5):
                await connection.send_all(bytes(2000))
                await connection.send_eof()
                while await connection.receive_some():
                    pass
            await connection.aclose()
        except (SandtopError, trio.BrokenResourceError):
            return

    async def case(core: Core) -> None:
        for _ in range(2 * len(waves) + 1):
            await use(core)
        await trio.sleep(100)
        assert len(core.link.connections) == 0

    with tempfile.TemporaryDirectory() as temporary:
        with_agent(Path(temporary), behave, case)


# out of a guest


DIALED = FIRST_DIALED


class Outside:
    """Takes whatever is dialed, and keeps it."""

    def __init__(self) -> None:
        self.taken: list[GuestConnection] = []

    def told(self, link: Link, message: Mapping[str, object]) -> bool:
        connection = link.connections.dialed(message)
        if connection is not None:
            self.taken.append(connection)
        return connection is not None


def dialing(folder: Path, behave: Behave, case: Callable[[Core, Outside], Awaitable[None]]) -> None:
    """As `with_agent`, where what the agent dials is taken."""
    outside = Outside()

    async def begin(agent: Agent) -> None:
        await agent.until("go")
        await behave(agent)

    async def go(core: Core) -> None:
        core.link.outward = outside
        core.link.send({"type": "go"})
        await case(core, outside)

    with_agent(folder, begin, go)


def test_a_connection_that_an_agent_dials(tmp_path: Path) -> None:
    async def behave(agent: Agent) -> None:
        await agent.send(control("dial", n=DIALED, host="a.test", port=80), Data(DIALED, 0, b""))
        while (frame := await agent.frame()) != Data(DIALED, 0, b"answer"):
            if isinstance(frame, Credit):
                await agent.send(Credit(DIALED, 0, 100), Data(DIALED, 0, b"question"))
        await agent.send(control("disconnected", n=DIALED, code="reset", message=""))
        await agent.until_gone()

    async def case(core: Core, outside: Outside) -> None:
        await until(lambda: bool(outside.taken))
        (connection,) = outside.taken
        assert await connection.receive_some() == b"question"
        await connection.send_all(b"answer")
        await until(lambda: connection.fault is not None)
        assert len(core.link.connections) == 0

    dialing(tmp_path, behave, case)


def test_what_comes_right_behind_a_dial_is_taken(tmp_path: Path) -> None:
    async def behave(agent: Agent) -> None:
        await agent.send(
            control("dial", n=DIALED, host="a.test", port=80), Data(DIALED, 0, bytes(DIAL_CREDIT))
        )
        await agent.until_gone()

    async def case(core: Core, outside: Outside) -> None:
        await until(lambda: bool(outside.taken))
        assert await outside.taken[0].receive_some() == bytes(DIAL_CREDIT)
        assert core.link.fault is None

    dialing(tmp_path, behave, case)


@pytest.mark.parametrize("number", [0, FIRST, DIALED - 1, 1 << 32, -1, None, "x", 1.5, True])
def test_a_number_that_a_dial_cannot_have(tmp_path: Path, number: object) -> None:
    async def behave(agent: Agent) -> None:
        await agent.send(control("dial", n=number, host="a.test", port=80))
        await agent.until_gone()

    async def case(core: Core, outside: Outside) -> None:
        await until(lambda: core.link.fault is not None)
        assert core.link.fault == "a dial with a number that it cannot have"
        assert not outside.taken

    dialing(tmp_path, behave, case)


def test_more_than_there_can_be_are_refused_and_none_of_another_kind(tmp_path: Path) -> None:
    refused: list[int] = []

    async def behave(agent: Agent) -> None:
        numbers = range(DIALED, DIALED + MAX_DIALED + 2)
        await agent.send(*(control("dial", n=number, host="a.test", port=80) for number in numbers))
        for _ in range(2):
            answer = await agent.until("disconnect")
            refused.append(int(str(answer["n"])))
        await stands(agent)
        await agent.until_gone()

    async def case(core: Core, outside: Outside) -> None:
        await until(lambda: len(refused) == 2)
        assert refused == [DIALED + MAX_DIALED, DIALED + MAX_DIALED + 1]
        assert len(outside.taken) == MAX_DIALED
        assert (await opened(core)).number == FIRST  # those into the guest have a number of their own
        for connection in outside.taken:
            connection.reset()
        assert len(core.link.connections) == 1

    dialing(tmp_path, behave, case)


def test_a_guest_that_may_ask_for_nothing(tmp_path: Path) -> None:
    async def behave(agent: Agent) -> None:
        await agent.send(
            control("dial", n=DIALED, host="a.test", port=80), control("resolve", seq=1, name="a.test")
        )
        await agent.send(Data(DIALED, 0, b"x"))
        await stands(agent)
        await agent.until_gone()

    async def case(core: Core) -> None:
        await opened(core)
        assert (core.link.fault, len(core.link.connections)) == (None, 1)

    with_agent(tmp_path, behave, case)
