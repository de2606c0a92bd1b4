"""What the core says of use, events, troubles and processes, on machines in memory and in virtual time."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from sandtop.agent import measure
from sandtop.agent.wire.limits import MAX_AGENT_MESSAGE, MAX_AGENT_VALUES
from sandtop.core.errors import ChannelError, WrongState
from sandtop.core.fleet import State
from sandtop.core.fleet.top import processes
from sandtop.core.fleet.watch.guest import usage_of
from sandtop.core.fleet.watch.watch import LIVE_SECONDS
from sandtop.core.machine import Usage

from .lab import CONFIG, SETTINGS
from .test_upkeep import execute

if TYPE_CHECKING:
    from sandtop.core.channel import AgentLink
    from sandtop.core.fleet import Sandbox

    from .conftest import RunCase
    from .lab import Core, Lab


def told(core: Core, name: str | None = "box") -> list[str]:
    """The kinds of what happened to a sandbox."""
    return [event["kind"] for event in core.context.events.stored() if event["sandbox"] == name]


# events


def test_the_life_of_a_sandbox_is_told(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            box = await core.create()
            await box.pause()
            await box.resume()
            await box.stop(force=False)
            await core.start(box)
            await core.fleet.remove(box, force=True, keep_history=False)
            assert told(core) == [
                "created", "started", "paused", "resumed", "stopped", "started", "stopped", "removed",
            ]  # fmt: skip
            assert {event["uuid"] for event in core.context.events.stored()} == {box.row.uuid}

    run(case)


def test_a_machine_that_dies_is_told_with_the_reason(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            box = await core.create()
            session = execute(box, "a" * 16, "sleep", "100")
            await core.settle()
            lab.world.of(box.row.uuid).panic("no init")
            await core.settle()
            assert box.state is State.FAILED
            events = [event for event in core.context.events.stored() if event["sandbox"] == "box"]
            kinds = [event["kind"] for event in events[2:]]
            assert kinds == ["session-started", "died", "session-exited", "failed"]
            died = next(event for event in events if event["kind"] == "died")
            assert died["message"]
            ended = next(event for event in events if event["kind"] == "session-exited")
            assert (ended["session"], ended["record"]["reason"]) == (session.row.id, "vm-died")
            box.record.acknowledge()
            assert told(core)[-1] == "acknowledged"

    run(case)


def test_sessions_are_told_with_their_exit_records(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            box = await core.create()
            for key, command in (("a", "true"), ("b", "false"), ("c", "nothing")):
                execute(box, key * 16, command)
                await core.settle()
            events = [event for event in core.context.events.stored() if event["session"]]
            assert [(event["session"][0], event["kind"], event["message"]) for event in events] == [
                ("a", "session-started", "true"),
                ("a", "session-exited", "exit 0: true"),
                ("b", "session-started", "false"),
                ("b", "session-exited", "exit 1: false"),
                (
                    "c",
                    "session-exited",
                    f"not started 127: nothing (cannot run nothing: {os.strerror(errno.ENOENT)})",
                ),
            ]
            assert events[3]["record"]["code"] == 1
            session = box.sessions.get("b" * 16)
            box.sessions.acknowledge(session)
            box.sessions.remove(session)
            assert told(core)[-2:] == ["acknowledged", "session-removed"]

    run(case)


def test_the_next_core_tells_of_what_it_finds(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            await core.create()
            gone = await core.create("gone")
            lab.kill(core)
        lab.world.of(gone.row.uuid).end("somebody pulled the plug")
        async with lab.core() as core:
            assert told(core) == ["created", "started", "adopted"]
            assert told(core, "gone") == ["created", "started", "lost"]
            ids = [event["id"] for event in core.context.events.stored()]
            assert ids == sorted(set(ids))

    run(case)


def test_machines_of_the_warm_pool_are_no_events(run: RunCase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandtop.core.fleet.warm_pool.host_memory", lambda: (1 << 20, 1 << 20))

    async def case(lab: Lab) -> None:
        lab.settings = replace(SETTINGS, warm_machines=1)
        async with lab.core(maintained=True) as core:
            await core.create("first", cold=False)
            await trio.sleep(60)
            assert sum(core.fleet.warm_machines.values()) == 1
            await core.create("second", cold=False)
            await trio.sleep(60)
            names = {event["sandbox"] for event in core.context.events.stored()}
            assert names == {"first", "second"}
            assert told(core, "second") == ["created", "started"]

    run(case)


def test_trouble_is_told_once_and_its_end(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core(maintained=True) as core:
            box = await core.create()
            assert box.machine is not None
            await trio.sleep(10)
            link = box.machine.link
            link.fault = "it says nothing"
            await trio.sleep(5)
            assert told(core)[-1] == "trouble"
            link.fault = None
            await trio.sleep(5)
            events = core.context.events.stored()[-2:]
            assert [event["kind"] for event in events] == ["trouble", "recovered"]
            assert "it says nothing" in events[0]["message"]
            link.fault = "for a moment"
            await trio.sleep(0.5)
            link.fault = None
            await trio.sleep(5)
            assert told(core).count("trouble") == 1

    run(case)


# what is used


def test_rates_and_the_past(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core(maintained=True) as core:
            box = await core.create()
            guest, watch = lab.world.of(box.row.uuid), core.fleet.watch
            for number in range(40):  # a quarter of a processor
                guest.usage = Usage(number * 2.5, 100 << 20)
                await trio.sleep(10)
            async with watch.followed():
                guest.usage = Usage(guest.usage.cpu_seconds + 1.0, 100 << 20)
                await watch.next()
                guest.usage = Usage(guest.usage.cpu_seconds + 1.0, 100 << 20)
                await watch.next()
                stats = watch.of(box)
                assert stats is not None
                assert stats.cpu is not None
                assert 49 < stats.cpu < 51
                assert (stats.sandbox, stats.state, stats.host_memory) == ("box", "running", 100 << 20)
                assert (stats.memory_limit, stats.disk_size) == (CONFIG.memory << 20, CONFIG.disk << 20)
                assert stats.memory is not None  # by the answer to a ping
                assert 0 < stats.memory <= stats.memory_limit
                assert stats.disk
                at, host = watch.host()
                assert host.sandboxes == {"running": 1}
                assert host.memory_total > host.memory > 0
                assert host.disk_free
            history = watch.history(box, 300, 0)
            assert history is not None
            assert len(history.at) == 30
            assert history.at == sorted(history.at)
            middle = [one for one in history.cpu[3:-3] if one is not None]
            assert all(24 < one < 26 for one in middle)
            coarse = watch.history(box, 300, 60)
            assert coarse is not None
            assert coarse.step == 60
            assert 5 <= len(coarse.at) <= 6
            assert len(watch.host_history(3600, 0).at) >= 40
            assert at

    run(case)


def test_output_is_counted(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core(maintained=True) as core:
            box = await core.create()
            watch = core.fleet.watch
            async with watch.followed():
                await watch.next()
                execute(box, "a" * 16, "echo", "x" * 999)
                await watch.next()
                stats = watch.of(box)
                assert stats is not None
                assert stats.output_bytes == 1000
                assert stats.output_rate is not None
                assert 0.7 * 1000 / LIVE_SECONDS < stats.output_rate < 1.3 * 1000 / LIVE_SECONDS

    run(case)


def test_sessions_are_asked_for(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core(maintained=True) as core:
            box = await core.create()
            execute(box, "a" * 16, "sleep", "1000")
            watch = core.fleet.watch
            async with watch.followed():
                await watch.ask([box], sessions=True)
                stats = watch.of(box)
                assert stats is not None
                assert [one.id for one in stats.by_session or ()] == ["a" * 16]
                assert stats.processes == 1

    run(case)


def test_of_a_sandbox_that_stops_nothing_is_known(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core(maintained=True) as core:
            box = await core.create()
            await trio.sleep(30)
            await box.stop(force=True)
            async with core.fleet.watch.followed():
                stats = core.fleet.watch.of(box)
                assert stats is not None
                assert (stats.state, stats.cpu, stats.memory, stats.host_memory) == (
                    "stopped",
                    None,
                    None,
                    None,
                )
            await core.fleet.remove(box, force=True, keep_history=False)
            await trio.sleep(30)
            assert core.fleet.watch.of(box) is None

    run(case)


@pytest.mark.parametrize(
    "said",
    [
        None, [], "x", 5, {}, {"cpu_us": 1, "memory": 1}, {"clock_us": -1, "cpu_us": 1, "memory": 1, "processes": 1},
        {"clock_us": 1, "cpu_us": True, "memory": 1, "processes": 1},
        {"clock_us": 1, "cpu_us": 1, "memory": 1.5, "processes": 1},
        {"clock_us": 1, "cpu_us": 1, "memory": 1, "processes": 1 << 70},
    ],
)  # fmt: skip
def test_what_an_agent_makes_up_is_nothing(said: object) -> None:
    assert usage_of(said) is None


def test_of_what_an_agent_says_that_which_makes_sense_is_taken() -> None:
    rows = [
        ["a", 1, 2, 3],
        ["b", -1, 2, 3],
        [1, 2, 3, 4],
        ["c"],
        5,
        None,
        ["d", 4, 5, 6],
        *[["e", 1, 1, 1]] * 100,
    ]
    found = usage_of({"clock_us": 9, "cpu_us": 1, "memory": 2, "processes": 3, "sessions": rows})
    assert found is not None
    assert (found.cpu_us, found.memory, found.processes) == (1, 2, 3)
    assert list(found.sessions) == ["a", "d", "e"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.sampled_from(["cpu_us", "memory", "sessions"]), inner)
    ),
    max_leaves=20,
)


@given(JSON, st.lists(JSON, max_size=80))
def test_whatever_an_agent_says_of_use_is_bounded(said: object, rows: list[object]) -> None:
    usage_of(said)
    found = usage_of({"clock_us": 1, "cpu_us": 1, "memory": 1, "processes": 1, "sessions": rows})
    assert found is not None
    assert len(found.sessions) <= 64


# processes


def hostile(box: Sandbox, answer: object) -> AgentLink:
    """A link whose agent says ``answer`` of its processes."""
    assert box.machine is not None
    link = box.machine.link

    async def say(deadline: float) -> dict[str, object]:
        await trio.lowlevel.checkpoint()
        return cast("dict[str, object]", answer)

    link.processes = say  # type: ignore[method-assign]
    return link


def test_the_processes_of_a_sandbox(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            box = await core.create()
            found = await processes(box)
            assert found.total == 1  # the agent: programs of machines in memory are no processes
            assert [one.session for one in found.processes] == [None]
            await box.pause()
            with pytest.raises(WrongState, match="paused"):
                await processes(box)

    run(case)


def test_an_older_agent_is_met_with_a_word(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            box = await core.create()
            assert box.machine is not None
            box.machine.link.measures = False
            with pytest.raises(WrongState, match="older sandtop") as caught:
                await processes(box)
            assert caught.value.hint == "restart it: sandtop restart box"

    run(case)


ROW = [7, 1, "root", "a" * 16, "R", 1.0, 4096, 1, "x"]


@pytest.mark.parametrize("answer", [{}, {"rows": 5}, {"rows": None, "total": 3}])
def test_nonsense_of_processes_is_an_error(run: RunCase, answer: object) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            box = await core.create()
            hostile(box, answer)
            with pytest.raises(ChannelError, match="makes no sense"):
                await processes(box)

    run(case)


def test_hostile_rows_are_left_out_or_made_fit_for_a_terminal(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            box = await core.create()
            bad: list[object] = [
                5, [], ROW[:8], [*ROW[:4], "??", *ROW[5:]], [-1, *ROW[1:]], ["7", *ROW[1:]], [*ROW[:5], -1.0, *ROW[6:]],
                [*ROW[:5], float("nan"), *ROW[6:]], [*ROW[:6], 1 << 70, *ROW[7:]], [*ROW[:8], 5], [True, *ROW[1:]],
            ]  # fmt: skip
            ugly = [8, 1, "\033]0;x\a", "b" * 16, "S", 2.0, 1, 1, "a\n\033[31m" + "b" * 5000]
            hostile(box, {"rows": [*bad, ROW, ugly], "total": -5, "clock": float("inf")})
            found = await processes(box)
            assert [one.pid for one in found.processes] == [7, 8]
            assert found.total == 2
            assert all(one.session is None for one in found.processes)  # no session of ours has these ids
            text = found.processes[1].command + found.processes[1].user
            assert text.isprintable()
            assert len(text) < 300
            hostile(box, {"rows": [ROW] * 5000, "total": 1 << 80})
            assert len((await processes(box)).processes) <= 512

    run(case)


def test_an_answer_fits_a_message() -> None:
    """Of very many processes the agent tells as many as a message takes, and counts the others."""
    told = measure.processes([(None, [os.getpid()] * 1000), ("a" * 16, [os.getpid()])])
    text = json.dumps({"type": "processes", "seq": "0" * 16, **told})
    assert len(text) < MAX_AGENT_MESSAGE
    assert sum(len(row) + 1 for row in cast("list[list[object]]", told["rows"])) < MAX_AGENT_VALUES
    assert told["total"] == 1001
