"""A core comes back: it finds the machines of the one before it, in whatever state that died."""

from __future__ import annotations

import dataclasses
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

import pytest
import trio

from sandtop.core.errors import MachineError, WrongState
from sandtop.core.fleet import State
from sandtop.core.fleet.specs import spec_of_running
from sandtop.core.machine import Channel
from sandtop.core.machine.memory import Fault
from sandtop.core.store import SessionRow

from .invariants import check
from .lab import quiet

if TYPE_CHECKING:
    from sandtop.core.fleet import Context
    from sandtop.core.machine import MachineSpec
    from sandtop.core.store import SandboxRow

    from .conftest import RunCase
    from .lab import Core, Lab


async def bring_to(core: Core, state: State) -> None:
    """Make the sandbox ``box``, and leave it in this state, while tasks of the core go on with it."""
    if state is State.STARTING:
        core.nursery.start_soon(core.create)
        await trio.sleep(core.lab.world.boot_seconds / 2)
        return
    box = await core.create()
    match state:
        case State.PAUSED:
            await box.pause()
        case State.STOPPING:
            start: dict[str, object] = {"argv": ["stubborn", "99"], "env": {}, "stdin": False, "tty": None}
            box.sessions.start(SessionRow("5e", box.row.uuid, 1, start, "starting", 1.0))
            await core.settle()
            core.nursery.start_soon(lambda: box.stop(force=False))
            await core.settle()
        case State.STOPPED:
            await box.stop(force=False)
        case State.FAILED:
            core.lab.world.of(box.row.uuid).panic("no init found")
            await core.settle()
        case _:
            pass


BECOMES = {
    State.STARTING: (State.FAILED, "the core died while it was starting"),
    State.RUNNING: (State.RUNNING, ""),
    State.PAUSED: (State.PAUSED, ""),
    State.STOPPING: (State.STOPPED, "stopped"),
    State.STOPPED: (State.STOPPED, "stopped"),
    State.FAILED: (State.FAILED, "no init found"),
}


@pytest.mark.parametrize("state", BECOMES)
def test_what_becomes_of_each_state_when_the_core_dies(run: RunCase, state: State) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            await bring_to(core, state)
            assert core.state("box") is state
            lab.kill(core)
        async with lab.core() as core:
            await core.fleet.get("box").adopted()
            await core.settle()
            becomes, reason = BECOMES[state]
            assert core.state("box") is becomes
            assert reason in core.fleet.get("box").row.reason
            check(core)

    run(case)


@pytest.mark.parametrize("channel", Channel)
def test_a_machine_is_found_again_by_its_cid_too_and_keeps_its_channel(
    run: RunCase, channel: Channel
) -> None:
    async def case(lab: Lab) -> None:
        lab.world.channel = channel
        async with lab.core() as core:
            box = await core.create()
            owned = box.row.ownership
            assert owned is not None
            assert (owned.cid is not None) is (channel is Channel.VSOCK)
            lab.kill(core)
        lab.world.channel = Channel.VIRTIO_SERIAL  # the next core's choice is for machines that it starts
        async with lab.core() as core:
            await core.fleet.get("box").adopted()
            assert core.state("box") is State.RUNNING
            adopted = core.fleet.get("box")
            assert adopted.row.ownership == owned
            assert adopted.machine is not None
            assert adopted.machine.spec.channel is channel
            words = adopted.machine.spec.arguments.split()
            assert ("sandtop.vsock=1023" in words) is (channel is Channel.VSOCK)
            check(core)

    run(case)


ALIVE = (State.STARTING, State.RUNNING, State.PAUSED, State.STOPPING)
WITHOUT = {State.STARTING: State.LOST, State.STOPPING: State.STOPPED}


@pytest.mark.parametrize("state", ALIVE)
@pytest.mark.parametrize("end", ["alone", "with the host"])
def test_a_machine_that_ended_while_there_was_no_core(run: RunCase, state: State, end: str) -> None:
    async def case(lab: Lab) -> None:
        if end == "with the host":
            lab.world.boot_id = "of an earlier boot"
        async with lab.core() as core:
            await bring_to(core, state)
            lab.kill(core)
        if end == "alone":
            lab.world.close()
        else:
            lab.world.reboot()
        async with lab.core() as core:
            box = core.fleet.get("box")
            if end == "alone":
                assert core.state("box") is WITHOUT.get(state, State.LOST)
            else:
                assert core.state("box") is State.STOPPED
                assert box.row.reason == "host reboot"
            assert box.row.ownership is None
            if core.state("box") is State.LOST:
                with pytest.raises(WrongState, match="it is lost") as failure:
                    await box.pause()
                assert failure.value.hint == "start it again: sandtop start box"
                box.record.acknowledge()
            check(core)
            await core.start(box)
            check(core)

    run(case)


def test_a_core_that_ends_in_order_leaves_the_machines_running(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            await core.fleet.prepare((await core.create()).row.config, quiet)
            await core.create("other", cold=False)
            await core.fleet.close()
        assert len(lab.world.machines) == 2
        async with lab.core() as core:
            machines = [box.machine for box in core.fleet.all()]
            assert [machine is not None and machine.spec.restored for machine in machines] == [False, True]
            check(core)
            for box in core.fleet.all():
                assert box.trouble is None or "does not answer" in box.trouble
                await box.stop(force=False)
            check(core)

    run(case)


def test_a_machine_that_does_not_answer_is_asked_until_it_does(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            uuid = (await core.create()).row.uuid
            lab.kill(core)
        lab.world.of(uuid).answers = False
        begun = trio.current_time()
        async with lab.core() as core:
            assert trio.current_time() - begun < 10  # one machine that hangs keeps no core from starting
            box = core.fleet.get("box")
            await trio.sleep(30)
            assert box.trouble == "its machine does not answer"
            for refused in (box.stop(force=False), box.pause()):
                with pytest.raises(WrongState, match="its machine does not answer") as failure:
                    await refused
                assert failure.value.hint == "try again, or end it as it is: sandtop stop --force box"
            waited = trio.current_time()
            await box.adopted()
            assert trio.current_time() - waited >= 60
            lab.world.of(uuid).answers = True
            await trio.sleep(30)
            assert not box.trouble
            check(core)
            await box.stop(force=False)
            check(core)

    run(case)


@pytest.mark.parametrize("how", ["stop", "remove", "remove what is gone", "stop what is gone", "by itself"])
def test_a_machine_that_does_not_answer_is_ended(run: RunCase, how: str) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            uuid = (await core.create()).row.uuid
            lab.kill(core)
        lab.world.of(uuid).answers = False
        async with lab.core() as core:
            await trio.sleep(30)
            box = core.fleet.get("box")
            match how:
                case "stop":
                    await box.stop(force=True)
                    assert box.state is State.STOPPED
                case "remove what is gone":
                    lab.world.close()
                    await core.fleet.remove(box, force=True, keep_history=False)
                case "stop what is gone":
                    lab.world.close()
                    with suppress(WrongState):  # somebody has seen that already
                        await box.stop(force=False)
                case "remove":
                    await core.fleet.remove(box, force=True, keep_history=True)
                case _:
                    lab.world.of(uuid).panic("no init found")
                    await trio.sleep(30)
                    assert box.state is State.LOST
            await trio.sleep(30)
            assert not box.trouble
            check(core)

    run(case)


def test_a_machine_that_is_found_still_stalled(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            running, paused = await core.create("running"), await core.create("paused")
            await paused.pause()
            lab.kill(core)
        for uuid in (running.row.uuid, paused.row.uuid):
            lab.world.of(uuid).refuse_write("Input/output error")
        async with lab.core() as core:
            assert core.state("running") is State.RUNNING
            assert "Input/output error" in str(core.fleet.get("running").trouble)
            assert core.state("paused") is State.PAUSED
            for uuid in (running.row.uuid, paused.row.uuid):
                lab.world.of(uuid).accept_writes()
            await core.fleet.get("running").resume()
            await core.fleet.get("paused").resume()
            check(core)

    run(case)


def test_what_ran_on_unseen_is_taken_as_it_is(run: RunCase) -> None:
    """The core died between what it told a machine and what it stored."""

    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            box, other = await core.create(), await core.create("other")
            await other.pause()
            lab.kill(core)
        lab.world.of(box.row.uuid).pause()
        lab.world.of(other.row.uuid).resume()
        async with lab.core() as core:
            assert core.state("box") is State.PAUSED
            assert core.state("other") is State.RUNNING
            check(core)

    run(case)


def test_a_machine_that_stops_answering_while_it_is_adopted_is_watched(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            uuid = (await core.create()).row.uuid
            lab.kill(core)
        lab.world.faults.add("status", Fault(), Fault(error=MachineError("it does not listen")))
        async with lab.core() as core:
            await core.settle()
            assert core.state("box") is State.RUNNING
            check(core)
            lab.world.of(uuid).panic("no init found")
            await core.settle()
            assert core.state("box") is State.FAILED

    run(case)


def test_a_sandbox_that_makes_no_sense_keeps_no_core_from_starting(
    run: RunCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            uuid = (await core.create()).row.uuid
            await core.create("other")
            lab.kill(core)

        async def broken(context: Context, row: SandboxRow, *rest: object) -> MachineSpec:
            if row.uuid == uuid:
                raise RuntimeError("a fault of ours")
            spec: MachineSpec = await cast("Any", spec_of_running)(context, row, *rest)
            return spec

        with monkeypatch.context() as patch:
            patch.setattr("sandtop.core.fleet.adoption.spec_of_running", broken)
            async with lab.core() as core:
                await core.settle()
                assert core.fleet.get("box").trouble == "its machine does not answer"
                assert core.state("other") is State.RUNNING
                lab.kill(core)
        async with lab.core() as core:
            check(core)

    run(case)


def test_a_machine_that_nobody_owns_is_ended(run: RunCase) -> None:
    """Its core died after the launch, before it had stored whose machine it is."""

    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            await bring_to(core, State.STARTING)
            row = core.fleet.get("box").row
            core.context.database.update_sandbox(dataclasses.replace(row, ownership=None))
            lab.kill(core)
        assert len(lab.world.machines) == 1
        async with lab.core() as core:
            assert lab.world.machines == {}
            assert core.state("box") is State.FAILED
            check(core)

    run(case)
