"""The life of a sandbox: every state, every way from one to the next, and every way that there is not."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio

from sandtop.core.errors import AlreadyExists, CoreFailure, InvalidRequest, NotFound, SandtopError, WrongState
from sandtop.core.fleet.state import ALIVE, TRANSITIONS, State, check_transition
from sandtop.core.store import SandboxConfig, SessionRow

from .invariants import check
from .lab import CONFIG

if TYPE_CHECKING:
    from sandtop.core.fleet import Sandbox

    from .conftest import RunCase
    from .lab import Core, Lab


def test_a_sandbox_from_its_creation_to_its_removal(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            box = await core.create()
            assert box.state is State.RUNNING
            assert box.row.started_at is not None
            assert list(box.timings) == ["prepared", "turn", "memory", "agent", "configured"]
            assert lab.world.boot_seconds <= box.timings["agent"] < lab.world.boot_seconds + 1
            assert core.fleet.get("box") is core.fleet.get(box.row.uuid) is box
            assert core.fleet.images_in_use() == {box.row.image_digest: "box"}
            assert box.trouble is None
            check(core)
            for step, state in (
                (box.pause(), State.PAUSED),
                (box.resume(), State.RUNNING),
                (box.stop(force=False), State.STOPPED),
                (core.start(box), State.RUNNING),
                (box.restart(core.lines.append, force=False, cold=True), State.RUNNING),
                (box.restart(core.lines.append, force=True, cold=True), State.RUNNING),
                (box.stop(force=True), State.STOPPED),
                (box.restart(core.lines.append, force=False, cold=True), State.RUNNING),
                (box.pause(), State.PAUSED),
                (box.stop(force=False), State.STOPPED),
            ):
                await step
                assert box.state is state
                check(core)
            assert box.row.reason == "stopped"
            await core.fleet.remove(box, force=False, keep_history=False)
            assert core.fleet.with_history() == []
            assert not box.folder.exists()
            check(core)

    run(case)


def test_the_table_has_a_way_out_of_every_state() -> None:
    for state in State:
        for other in State:
            if other in TRANSITIONS[state]:
                check_transition(state, other)
            else:
                with pytest.raises(CoreFailure, match=f"from {state} to {other}"):
                    check_transition(state, other)
        assert TRANSITIONS[state]


async def steer(core: Core, box: Sandbox, verb: str) -> None:
    match verb:
        case "start":
            await core.start(box)
        case "stop":
            await box.stop(force=False)
        case "pause":
            await box.pause()
        case "resume":
            await box.resume()
        case "acknowledge":
            box.record.acknowledge()
        case _:
            await core.fleet.remove(box, force=False, keep_history=False)


REFUSED = {
    State.RUNNING: {"start": "stop it first", "resume": "stop it first", "remove": "stop it first"},
    State.PAUSED: {"start": "resume it", "pause": "resume it", "remove": "resume it"},
    State.STOPPED: {"stop": "start it first", "pause": "start it first", "resume": "start it first"},
    State.FAILED: {"stop": "start it again", "pause": "start it again", "resume": "start it again"},
    State.LOST: {"stop": "start it again", "pause": "start it again", "resume": "start it again"},
}


async def bring_to(core: Core, box: Sandbox, state: State) -> None:
    """Get a running sandbox into this state."""
    match state:
        case State.PAUSED:
            await box.pause()
        case State.STOPPED:
            await box.stop(force=True)
        case State.FAILED:
            core.lab.world.of(box.row.uuid).panic("no init found")
            await core.settle()
        case _:
            pass


@pytest.mark.parametrize("state", [State.RUNNING, State.PAUSED, State.STOPPED, State.FAILED])
def test_what_a_state_does_not_allow_says_what_to_do(run: RunCase, state: State) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            box = await core.create()
            await bring_to(core, box, state)
            assert box.state is state
            for verb, hint in REFUSED[state].items():
                before = box.row
                with pytest.raises(WrongState, match=f"cannot {verb} box: it is {state}") as failure:
                    await steer(core, box, verb)
                assert failure.value.hint is not None
                assert hint in failure.value.hint
                assert failure.value.sandbox == "box"
                assert box.row == before
            if state is not State.FAILED:
                with pytest.raises(WrongState, match="box has not failed"):
                    box.record.acknowledge()
            check(core)

    run(case)


def test_a_sandbox_that_is_starting_or_stopping_asks_to_wait(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(core.create)
                await trio.sleep(lab.world.boot_seconds / 2)
                box = core.fleet.get("box")
                assert core.state("box") is State.STARTING
                with pytest.raises(WrongState, match="wait a moment"):
                    box.running_machine("exec in")
            start: dict[str, object] = {"argv": ["stubborn", "1000"], "env": {}, "stdin": False, "tty": None}
            session = box.sessions.start(SessionRow("5e", box.row.uuid, 1, start, "starting", 1.0))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(partial(box.stop, force=False))
                await trio.sleep(1)
                assert core.state("box") is State.STOPPING
                with pytest.raises(WrongState, match="it is stopping"):
                    box.running_machine("exec in")
            assert core.state("box") is State.STOPPED
            assert session.record is not None
            assert session.record.signal == 9
            check(core)

    run(case)


def test_two_steps_at_once_come_one_after_the_other(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            box = await core.create()
            async with trio.open_nursery() as nursery:
                for force in (True, False):
                    nursery.start_soon(partial(box.restart, core.lines.append, force=force, cold=True))
            assert box.state is State.RUNNING
            check(core)

    run(case)


def test_a_name_is_one_sandbox(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            box = await core.create(request="r1")
            assert await core.create(request="r1") is box  # asked again by a client whose core died
            with pytest.raises(AlreadyExists, match="a sandbox named box already"):
                await core.create(request="r2")
            async with trio.open_nursery() as nursery:
                failures: list[SandtopError] = []

                async def create() -> None:
                    try:
                        await core.create("twin")
                    except SandtopError as error:
                        failures.append(error)

                nursery.start_soon(create)
                nursery.start_soon(create)
            assert [type(each) for each in failures] == [AlreadyExists]
            with pytest.raises(NotFound, match="no sandbox named nobody"):
                core.fleet.get("nobody")
            with pytest.raises(InvalidRequest, match="Its name is missing"):
                core.fleet.get("")
            assert core.fleet.first_request("r9")
            assert not core.fleet.first_request("r9")
            check(core)

    run(case)


def test_what_was_removed_keeps_its_history_where_that_is_asked_for(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            old = await core.create()
            await core.fleet.remove(old, force=True, keep_history=True)
            assert core.fleet.all() == []
            assert core.fleet.history("box") is core.fleet.history(old.row.uuid) is old
            with pytest.raises(NotFound):
                core.fleet.get("box")
            with pytest.raises(NotFound):
                core.fleet.history("nobody")
            new = await core.create()
            assert core.fleet.history("box") is new
            check(core)
            await core.fleet.remove(new, force=True, keep_history=False)
            assert core.fleet.history("box") is old
        async with lab.core() as core:
            assert core.fleet.history("box").row.removed_at is not None
            check(core)

    run(case)


def test_a_machine_that_ends_by_itself(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            box = await core.create()
            world = lab.world
            world.of(box.row.uuid).panic("no init found")
            await core.settle()
            assert core.state("box") is State.FAILED
            assert "no init found" in box.row.reason
            box.record.acknowledge()
            assert box.row.acknowledged_at is not None
            box.record.acknowledge()
            check(core)
            await core.start(box)
            assert core.fleet.get("box").row.acknowledged_at is None
            world.of(box.row.uuid).end("the guest switched itself off", orderly=True)
            await core.settle()
            assert (core.state("box"), box.row.reason) == (State.STOPPED, "the guest switched itself off")
            await core.start(box)
            guest = world.of(box.row.uuid)
            guest.say("sandtop-agent: fatal: OSError: [Errno 5] Input/output error")
            guest.say("  agent/port.py:99 _feed")
            guest.end("the guest switched itself off", orderly=True)  # which an agent that fails does
            await core.settle()
            assert core.state("box") is State.FAILED
            assert "console: sandtop-agent: fatal: OSError" in box.row.reason
            check(core)

    run(case)


def test_one_that_is_asked_for_under_another_accelerator_or_network(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            box = await core.create(
                "net", SandboxConfig(memory=16, disk=32, network="user", accelerator="kvm")
            )
            assert box.machine is not None
            assert box.machine.spec.accelerator == "kvm"
            await box.stop(force=True)
            await box.start(core.lines.append, cold=True, accelerator="tcg")
            assert box.machine.spec.accelerator == "tcg"
            assert set(ALIVE) >= {box.state}
            assert CONFIG.network == "none"

    run(case)
