"""Of agents that flood, one at a time is heard for a moment, and what changes nothing costs its sender."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
import trio

from sandtop.agent.wire import AGENT_PROTOCOL, Control, Credit, Data, encode
from sandtop.core.channel.turns import Turn

from .scripted import listening, run, running_core, until
from .test_link import hello, hostile

if TYPE_CHECKING:
    from pathlib import Path

    from .scripted import Core

KEY = "a" * 16


def test_who_talks_much_is_heard_in_turns_and_everybody_else_in_between() -> None:
    order: list[str] = []

    async def flooding(name: str) -> None:
        with Turn() as turn:
            await turn.begin()
            while order.count(name) < 100:
                order.append(name)
                until = time.perf_counter() + 0.0001
                while time.perf_counter() < until:
                    pass
                if turn.over:
                    order.append(f"{name} waits")
                    await turn.pass_on()

    async def quiet(scope: trio.CancelScope) -> None:
        while not all(order.count(name) == 100 for name in ("one", "two", "three")):
            order.append("quiet")
            await trio.lowlevel.checkpoint()
        scope.cancel()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for name in ("one", "two", "three"):
                nursery.start_soon(flooding, name)
            nursery.start_soon(quiet, nursery.cancel_scope)

    trio.run(main)
    waits = [position for position, what in enumerate(order) if what.endswith(" waits")]
    queued = waits[3:]  # what each had saved up is gone after its first turn
    assert len(queued) > 10
    # one turn of the loop lies between the end of one and the end of the next but one: all others had theirs in it
    assert all("quiet" in order[before:after] for before, after in zip(queued, queued[2:], strict=False))
    for before, after in pairwise(queued):
        others = {order[later] for later in waits if later > after} - {order[after]}
        assert order[before] != order[after] or not others


def test_who_talks_little_does_not_queue() -> None:
    async def main() -> None:
        with Turn() as flooding:
            await flooding.begin()
            await flooding.pass_on()  # and holds on to its turn
            with Turn() as quiet:
                for _ in range(5):
                    with trio.fail_after(20):
                        await quiet.begin()
                    quiet.end()

    trio.run(main)


def _control(**message: object) -> bytes:
    return encode(Control({**message}))


RECORD = {"reason": "exited", "code": 0, "stdout": 1 << 60}
USELESS = {
    "pong": _control(type="pong", seq="x"),
    "pong without a number": _control(type="pong"),
    "large pongs": _control(type="pong", seq=[1] * 4000),
    "done": _control(type="done", op="x", error=None),
    "empty data": encode(Data(5, 0, b"")),
    "data that came already": encode(Data(5, 0, b"hello")),
    "data of nobody": encode(Data(4005, 0, b"x")),
    "a credit for stdin that gives nothing": encode(Credit(4, 0, 65536)),
    "a credit that goes back": encode(Credit(4, 0, 5)),
    "a credit for output": encode(Credit(5, 0, 5)),
    "a credit for nobody": encode(Credit(4004, 0, 5)),
    "started again": _control(type="started", id=KEY, pid=7),
    "exited again": _control(type="exited", id=KEY, record=RECORD),
    "an end of nobody": _control(type="exited", id="stranger", record=RECORD),
    "a refusal of nobody": _control(type="refused", id="stranger"),
}


@pytest.mark.parametrize("kind", USELESS)
def test_frames_that_change_nothing_cost_their_sender(tmp_path: Path, kind: str) -> None:
    """The clock jumps whenever everybody waits: were such a flood not made to wait, no second would ever pass."""
    sent = 0

    async def behave(stream: trio.SocketStream) -> None:
        nonlocal sent
        await stream.send_all(hello() + encode(Credit(4, 0, 65536)) + _control(type="started", id=KEY, pid=7))
        await stream.send_all(encode(Data(5, 0, b"hello")))
        if kind == "exited again":
            await stream.send_all(USELESS[kind])
        while True:
            await stream.send_all(USELESS[kind] * 500)
            sent += 500

    async def main() -> None:
        async with listening(tmp_path, hostile(behave)), running_core(tmp_path) as core:  # type: ignore[arg-type]
            core.start(KEY, "cat")
            await core.link.wait_up(10)
            await until(lambda: core.output(KEY) == b"hello")
            before, begun = sent, trio.current_time()
            await trio.sleep(5)
            in_buffers = 1_000_000 // len(USELESS[kind])
            assert sent - before <= 2000 + 1500 * (trio.current_time() - begun) + in_buffers
            assert core.link.connected

    run(main)


@pytest.mark.parametrize(
    ("frame", "fault"),
    [
        (_control(type="pong", seq="x" * 70_000), "more than 65536"),
        (_control(type="pong", seq=[""] * 5000), "more than 4096 values"),
        (_control(type="hello", version=AGENT_PROTOCOL, sessions=[]), "a hello of version"),
        (b"\0\0\x27\x12\x01\0\0\0\0" + b"[" * 10_002 + b"\0", "more than 4096 values"),
        (b"\0\0\x03\xe9\x01\0\0\0\0" + b"[" * 1001 + b"\0", "not JSON"),
    ],
    ids=["bytes", "values", "hello", "brackets", "depth"],
)
def test_messages_that_would_take_long_to_read_are_not_read(tmp_path: Path, frame: bytes, fault: str) -> None:
    async def behave(stream: trio.SocketStream) -> None:
        await stream.send_all(hello() + frame)
        await stream.receive_some(1)
        await trio.sleep(1)

    async def main() -> None:
        async with listening(tmp_path, hostile(behave)), running_core(tmp_path) as core:  # type: ignore[arg-type]
            await until(lambda: core.link.fault is not None)
            assert fault in str(core.link.fault)

    run(main)


def test_an_agent_that_answers_no_marker_is_not_listened_to_for_ever(tmp_path: Path) -> None:
    async def chatter(stream: trio.SocketStream) -> None:
        while True:
            await stream.send_all(b"x" * 65536)

    async def main() -> None:
        async with listening(tmp_path, chatter), running_core(tmp_path) as core:
            await until(lambda: core.link.fault is not None)
            assert "no answer to the marker" in str(core.link.fault)

    run(main)


def test_a_hello_of_as_many_sessions_as_an_agent_can_have_is_read(tmp_path: Path) -> None:
    record = {**RECORD, "stderr": 0, "duration_ms": 1, "cpu_us": 1, "memory_peak": 1, "message": ", " * 8}
    sessions = [{"id": f"{n:016x}", "n": n, "pid": 7, "record": record} for n in range(512)]

    async def behave(stream: trio.SocketStream) -> None:
        await stream.send_all(hello(sessions=sessions))
        await trio.sleep_forever()

    async def main() -> None:
        async with listening(tmp_path, hostile(behave)), running_core(tmp_path) as core:  # type: ignore[arg-type]
            await core.link.wait_up(10)
            assert core.link.fault is None

    run(main)


def test_output_of_two_streams_in_turns_keeps_its_order_however_small_the_pieces(tmp_path: Path) -> None:
    count = 3000

    async def behave(stream: trio.SocketStream) -> None:
        await stream.send_all(hello() + _control(type="started", id=KEY, pid=7))
        await stream.send_all(
            b"".join(
                encode(Data(5 + number % 2, number // 2, b"%d" % (number % 2))) for number in range(count)
            )
        )
        await trio.sleep_forever()

    async def main() -> None:
        async with listening(tmp_path, hostile(behave)), running_core(tmp_path) as core:  # type: ignore[arg-type]
            core.start(KEY, "cat")
            await until(lambda: sum(map(len, _streams(core))) == count)
            assert _streams(core) == (b"0" * (count // 2), b"1" * (count // 2))
            log = core.sessions.get(KEY).log
            pieces = log.pieces(log.span.start, log.span.stop)
            assert [(piece.stream, piece.start, piece.end) for piece in pieces] == [
                (1 + number % 2, number // 2, number // 2 + 1) for number in range(count)
            ]

    run(main)


def _streams(core: Core) -> tuple[bytes, bytes]:
    return core.output(KEY, 1), core.output(KEY, 2)
