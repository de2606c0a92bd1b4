"""Streams, input, ends and the loss of the core, as the SDK's user meets them."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import pytest

from sandtop import Exited, Gap, InvalidRequest, Sandbox, SpawnError, Started, Stderr, Stdout, WrongState
from sandtop.core.client.session import stream as stream_module

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.fakecore import FakeCore

    from sandtop import Event, Process

    from ..conftest import Core

pytestmark = pytest.mark.anyio


async def test_collects_output_and_status(core: Core) -> None:
    sb = await Sandbox.get("demo")
    out = await sb.exec("sh", ["-c", "echo hello; echo oh >&2; exit 7"], env={"A": "1"}, cwd="/tmp")
    assert (out.exit_code, out.stdout, out.stderr, out.text) == (7, b"hello\n", b"oh\n", "hello\n")
    assert not out.truncated
    assert out.record.reason == "exited"


async def test_stderr_with_stdout_comes_in_the_order_in_which_it_was_written(core: Core) -> None:
    script = "for n in 1 2 3 4 5; do echo out $n; echo err $n >&2; done"
    wanted = "".join(f"out {n}\nerr {n}\n" for n in range(1, 6))
    output = await (await Sandbox.get("demo")).shell(script, stderr="stdout")
    assert (output.text, output.stderr, output.record.stderr) == (wanted, b"", 0)
    with pytest.raises(InvalidRequest, match="None or 'stdout'"):
        await (await Sandbox.get("demo")).exec("true", stderr="null")  # type: ignore[arg-type]  # pyright: ignore


async def test_what_does_not_start_is_an_error_that_names_it(core: Core) -> None:
    sb = await Sandbox.get("demo")
    with pytest.raises(SpawnError, match="nosuch") as caught:
        await sb.exec("nosuch")
    assert caught.value.exit_status == 127
    with pytest.raises(SpawnError, match="/nowhere"):
        await sb.exec_stream("true", cwd="/nowhere")


async def test_events_come_in_order_and_end_once(core: Core) -> None:
    sb = await Sandbox.get("demo")
    async with await sb.exec_stream("sh", ["-c", "printf ab; printf cd >&2"]) as proc:
        events = [event async for event in proc]
        assert [type(event) for event in events[:1]] == [Started]
        assert isinstance(events[-1], Exited)
        assert b"".join(event.data for event in events if isinstance(event, Stdout)) == b"ab"
        assert b"".join(event.data for event in events if isinstance(event, Stderr)) == b"cd"
        assert [event async for event in proc] == []
        assert (await proc.wait()).exit_code == (await proc.wait()).exit_code == 0


async def test_input_goes_in_and_its_end_too(core: Core) -> None:
    sb = await Sandbox.get("demo")
    async with await sb.exec_stream("cat", stdin=True) as proc:
        await proc.stdin.send(b"one\n")
        first = [event async for event in _until(proc, b"one\n")]
        assert first
        await proc.stdin.send(b"two\n")
        await proc.stdin.aclose()
        await proc.stdin.aclose()
        record = await proc.wait()
    assert record.exit_code == 0
    with pytest.raises(WrongState):
        await proc.stdin.send(b"late")


async def _until(proc: Process, text: bytes) -> AsyncIterator[Event]:
    seen = b""
    async for event in proc:
        yield event
        if isinstance(event, Stdout):
            seen += event.data
        if text in seen:
            return


async def test_a_large_input_and_output_at_once(core: Core) -> None:
    data = random.Random(1).randbytes(3 << 20)
    sb = await Sandbox.get("demo")
    out = await sb.exec("cat", stdin=data)
    assert out.stdout == data


async def test_without_input_there_is_none(core: Core) -> None:
    sb = await Sandbox.get("demo")
    async with await sb.exec_stream("cat") as proc:
        with pytest.raises(InvalidRequest, match="stdin=True"):
            _ = proc.stdin
        assert (await proc.wait()).exit_code == 0
    out = await sb.exec("cat", stdin=b"")
    assert (out.exit_code, out.stdout) == (0, b"")


async def test_the_cap_is_honest(core: Core) -> None:
    sb = await Sandbox.get("demo")
    out = await sb.exec("sh", ["-c", "printf 0123456789; printf abc >&2"], max_output=5)
    assert (out.stdout, out.stderr, out.truncated) == (b"01234", b"abc", True)
    whole = await sb.exec("printf", ["01234"], max_output=5)
    assert (whole.stdout, whole.truncated) == (b"01234", False)


async def test_leaving_the_block_kills(core: Core) -> None:
    sb = await Sandbox.get("demo")
    async with await sb.exec_stream("sleep", ["100"]) as proc:
        pass
    assert proc.record is not None
    assert (proc.record.reason, proc.record.exit_code) == ("signaled", 137)


async def test_detach_leaves_it_and_follow_comes_back(core: Core) -> None:
    sb = await Sandbox.get("demo")
    async with await sb.exec_stream(
        "sh", ["-c", "echo up; read x; echo $x"], stdin=True, on_exit="detach"
    ) as proc:
        assert [event async for event in _until(proc, b"up\n")]
    async with await sb.follow(proc.session, stdin=True, stdout_from=3) as again:
        await again.stdin.send(b"back\n")
        record = await again.wait()
        data = b"".join([event.data async for event in again if isinstance(event, Stdout)])
    assert (record.exit_code, data) == (0, b"back\n")


async def test_cancelling_ends_what_was_started(core: Core) -> None:
    sb = await Sandbox.get("demo")
    before = {session.id for session in await sb.sessions()}
    started: set[str] = set()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sb.exec, "sleep", ["100"])
        with anyio.fail_after(30):
            while not started:
                await anyio.sleep(0.02)
                sessions = await sb.sessions()
                started = {session.id for session in sessions if session.pid is not None} - before
        tasks.cancel_scope.cancel()
    (session,) = started
    async with await sb.follow(session) as proc:
        assert (await proc.wait()).signal == 9


async def test_signals_by_name_and_number(core: Core) -> None:
    sb = await Sandbox.get("demo")
    async with await sb.exec_stream("sleep", ["100"]) as proc:
        await proc.signal("TERM")
        assert (await proc.wait()).exit_code == 143
        with pytest.raises(WrongState):
            await proc.signal(15)
        with pytest.raises(InvalidRequest, match="NOSUCH"):
            await proc.signal("NOSUCH")
        await proc.kill()


async def test_writing_and_reading_in_two_tasks(core: Core) -> None:
    data = random.Random(2).randbytes(2 << 20)
    sb = await Sandbox.get("demo")
    received = bytearray()

    async with await sb.exec_stream("cat", stdin=True) as proc, anyio.create_task_group() as tasks:

        async def write() -> None:
            for start in range(0, len(data), 70_000):
                await proc.stdin.send(data[start : start + 70_000])
            await proc.stdin.aclose()

        tasks.start_soon(write)
        async for event in proc:
            if isinstance(event, Stdout):
                assert event.offset == len(received)
                received += event.data
    assert received == data


async def test_what_nobody_takes_becomes_a_gap(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "QUEUE_BYTES", 200_000)
    sb = await Sandbox.get("demo")
    async with await sb.exec_stream("head", ["-c", "1000000", "/dev/zero"]) as proc:
        await proc.wait()
        events = [event async for event in proc]
    gaps = [event for event in events if isinstance(event, Gap)]
    kept = [event for event in events if isinstance(event, Stdout)]
    assert len(gaps) == 1
    assert gaps[0].bytes + sum(len(event.data) for event in kept) == 1_000_000
    assert kept[0].offset == gaps[0].bytes


async def test_a_slow_reader_loses_nothing_while_others_wait(
    fake: FakeCore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_module, "QUEUE_BYTES", 200_000)
    sb = await Sandbox.get("demo")
    received = 0
    async with (
        await sb.exec_stream("head", ["-c", "1000000", "/dev/zero"]) as proc,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(proc.wait)
        async for event in proc:
            assert not isinstance(event, Gap)
            await anyio.lowlevel.checkpoint()
            received += len(event.data) if isinstance(event, Stdout) else 0
    assert received == 1_000_000


@pytest.mark.slow
@pytest.mark.chaos
async def test_the_core_dies_again_and_again(core: Core, chaos_rounds: int) -> None:
    """Nothing runs twice, no byte is lost or doubled in either direction."""
    seed = int.from_bytes(os.urandom(4))
    chance = random.Random(seed)
    sb = await Sandbox.get("demo")
    done = anyio.Event()
    sent, received, said = bytearray(), bytearray(), bytearray()

    async def kill() -> None:
        for _ in range(chaos_rounds):
            await anyio.sleep(chance.uniform(0, 0.3))
            await anyio.to_thread.run_sync(core.kill)
        done.set()

    async def write(proc: Process) -> None:
        while not done.is_set():
            piece = chance.randbytes(chance.randrange(1, 100_000))
            sent.extend(piece)
            await proc.stdin.send(piece)
        await proc.stdin.aclose()

    async with await sb.exec_stream("sh", ["-c", "echo ran >&2; cat"], stdin=True) as proc:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(kill)
            tasks.start_soon(write, proc)
            async for event in proc:
                if isinstance(event, Stdout):
                    assert event.offset == len(received), f"seed {seed}"
                    received += event.data
                elif isinstance(event, Stderr):
                    said += event.data
        record = await proc.wait()
    assert received == sent, f"seed {seed}"
    assert (record.exit_code, bytes(said)) == (0, b"ran\n"), f"seed {seed}"
