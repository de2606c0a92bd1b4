"""What goes on beside everything: sandboxes that nobody holds, clocks, retention, what waits to be stored."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import trio

from sandtop.core.errors import MachineError, StorageError
from sandtop.core.fleet import State
from sandtop.core.fleet.attention import Why, of_sandbox
from sandtop.core.fleet.clock import keep_clocks
from sandtop.core.machine.memory import Fault
from sandtop.core.store import SessionRow

from .invariants import check
from .lab import CONFIG, SETTINGS

if TYPE_CHECKING:
    import pytest

    from sandtop.core.fleet import Sandbox
    from sandtop.core.sessions import Session

    from .conftest import RunCase
    from .lab import Core, Lab

EPHEMERAL = replace(CONFIG, ephemeral=True)
GRACE = 30.0
"""Seconds in which a sandbox that nobody holds is gone."""


def execute(box: Sandbox, key: str, *argv: str, on_hangup: str = "keep") -> Session:
    """Start a program in it, as ``session.exec`` does."""
    start: dict[str, object] = {"argv": list(argv), "env": {}, "stdin": False, "tty": None}
    number = box.sessions.next_number()
    row = SessionRow(key, box.row.uuid, number, start, "starting", time.time(), on_hangup=on_hangup)
    return box.sessions.start(row)


def test_a_sandbox_of_run_goes_with_its_last_client(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core(maintained=True) as core:
            box = await core.create(config=EPHEMERAL)
            kept = await core.create("kept")
            for each in (box, box, kept):
                core.fleet.hold(each)
            await core.fleet.let_go(kept)
            await core.fleet.let_go(box)
            await trio.sleep(GRACE)
            assert core.state("box") is State.RUNNING
            await core.fleet.let_go(box)
            assert [each.name for each in core.fleet.with_history()] == ["kept"]
            check(core)
            core.fleet.hold(box)
            await core.fleet.let_go(box)  # which is gone already
            check(core)

    run(case)


def test_a_sandbox_of_run_whose_client_does_not_come_back(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            for name in ("held", "box", "slow"):
                await core.create(name, EPHEMERAL)
            lab.kill(core)
        async with lab.core(maintained=True) as core:
            core.fleet.hold(core.fleet.get("held"))
            await core.fleet.get("slow").stop(force=True)
            lab.world.faults.add("boot", Fault(seconds=GRACE))
            await core.start(core.fleet.get("slow"))  # one that is starting is not unheld
            await trio.sleep(15)
            assert len(core.fleet.all()) == 2
            await trio.sleep(GRACE)
            assert [each.name for each in core.fleet.all()] == ["held"]
            check(core)

    run(case)


def test_one_that_cannot_be_removed_is_tried_again(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core(maintained=True) as core:
            box = await core.create(config=EPHEMERAL)
            core.fleet.hold(box)
            lab.world.of(box.row.uuid).answers = False
            lab.world.faults.add("kill", Fault(error=MachineError("it does not die")))
            await core.fleet.let_go(box)
            assert core.state("box") is State.STOPPING
            await trio.sleep(2 * GRACE)
            assert core.fleet.all() == []
            check(core)

    run(case)


def test_sessions_beyond_those_that_are_kept_go(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        lab.settings = replace(SETTINGS, sessions_kept=2)
        async with lab.core(maintained=True) as core:
            box = await core.create()
            for number in range(4):
                session = execute(box, f"5e{number}", "echo", "hello")
                await core.settle()
                assert session.ended
            await trio.sleep(10)
            assert [each.row.id for each in box.sessions.all()] == ["5e2", "5e3"]
            check(core)

    run(case)


def test_what_cannot_be_tended_is_said_once(
    run: RunCase, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object) -> None:
        raise StorageError("the logs cannot be read")

    async def case(lab: Lab) -> None:
        async with lab.core(maintained=True) as core:
            await core.create()
            monkeypatch.setattr("sandtop.core.fleet.fleet.retire", broken)
            await trio.sleep(60)
            assert caplog.text.count("the logs cannot be read") == 1

    run(case)


def test_sessions_end_with_their_machine(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            box = await core.create()
            short, long, left = (
                execute(box, "5e1", "false"), execute(box, "5e2", "sleep", "1000"), execute(box, "5e3", "sleep", "9"),
            )  # fmt: skip
            await core.settle()
            assert short.record is not None
            assert short.record.code == 1
            attention = of_sandbox(box, time.time())
            assert attention is not None
            assert (attention.why, attention.session) == (Why.SESSION, "5e1")
            await trio.sleep(10)
            assert left.record is not None
            assert left.record.code == 0
            lab.world.of(box.row.uuid).panic("no init found")
            await core.settle()
            assert long.record is not None
            assert long.record.reason == "vm-died"
            attention = of_sandbox(box, time.time())
            assert attention is not None
            assert attention.why is Why.FAILED
            check(core)

    run(case)


def test_sessions_outlive_their_core(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            execute(await core.create(), "5e", "sleep", "60")
            await core.settle()
            lab.kill(core)
        async with lab.core() as core:
            box = core.fleet.get("box")
            session = box.sessions.get("5e")
            await core.settle()
            assert not session.ended
            await trio.sleep(60)
            assert session.record is not None
            assert session.record.code == 0
            await box.stop(force=True)
        async with lab.core() as core:
            assert core.fleet.get("box").sessions.get("5e").ended

    run(case)


async def clock_of(core: Core, box: Sandbox) -> int | None:
    """What the guest's clock was set to last; then it is forgotten."""
    await core.settle()
    agent = core.lab.world.of(box.row.uuid).agent
    found, agent.clock_ns = agent.clock_ns, None
    return found


def test_a_guest_s_clock_is_set_whenever_it_may_have_stood_still(
    run: RunCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def case(lab: Lab) -> None:
        offset = 0.0
        by_ours = partial(keep_clocks, offset=lambda: offset)
        monkeypatch.setattr("sandtop.core.fleet.fleet.keep_clocks", by_ours)
        async with lab.core(maintained=True) as core:
            box = await core.create()
            assert await clock_of(core, box) is not None
            await trio.sleep(60)
            assert await clock_of(core, box) is None
            await box.pause()
            await trio.sleep(60)
            await box.resume()
            assert await clock_of(core, box) is not None
            offset = 3600.0  # the host slept
            await trio.sleep(10)
            assert await clock_of(core, box) is not None
            lab.world.of(box.row.uuid).pause()  # nobody asked for that: its process was stopped
            await trio.sleep(60)
            lab.world.of(box.row.uuid).resume()
            await trio.sleep(30)
            assert await clock_of(core, box) is not None
            lab.kill(core)
        async with lab.core(maintained=True) as core:
            box = core.fleet.get("box")
            await trio.sleep(10)
            assert await clock_of(core, box) is not None
            check(core)

    run(case)
