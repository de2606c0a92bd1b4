"""The host's disk fills, or breaks, under machines that run: who stands still, and who goes on when."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest
import trio

from sandtop.core.errors import MachineError, StorageError, WrongState
from sandtop.core.fleet import State
from sandtop.core.fleet.room import MIB, Space
from sandtop.core.machine.memory import Fault
from sandtop.core.store import MountRow, SandboxConfig

from .invariants import check
from .lab import CONFIG

if TYPE_CHECKING:
    from sandtop.core.fleet import Sandbox

    from .conftest import RunCase
    from .lab import Core, Lab

FULL = os.strerror(errno.ENOSPC)
BROKEN = os.strerror(errno.EIO)
RESERVE = 512 * MIB


@dataclass
class Disk:
    """The disk of the sandboxes, as the core sees it. ``free``: bytes; None when it cannot be asked."""

    free: int | None = 100 << 30

    def space(self, _folder: object, _reserve: int) -> Space:
        if self.free is None:
            raise OSError(errno.EIO, BROKEN)
        return Space(self.free, 200 << 30, RESERVE)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk()
    monkeypatch.setattr("sandtop.core.fleet.context.space", disk.space)
    return disk


def stands_still(box: Sandbox) -> str:
    """Why it does, in its own words; empty when it does not."""
    return box.stands_still or ""


def fill(box: Sandbox, size: int) -> None:
    """Its guest has written so many bytes."""
    with box.overlay.open("r+b") as file:
        file.write(os.urandom(size))


def processors(core: Core, box: Sandbox) -> str:
    return core.lab.world.of(box.row.uuid).processors


def test_whoever_fills_the_disk_to_the_reserve_is_held_and_goes_on_with_room(
    run: RunCase, disk: Disk
) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core(maintained=True) as core:
            greedy, modest = await core.create("greedy"), await core.create("modest")
            await trio.sleep(10)
            fill(greedy, 16 * MIB)
            disk.free = RESERVE - MIB
            await trio.sleep(10)
            assert "only the reserve is left" in stands_still(greedy)
            assert processors(core, greedy) == "paused"
            assert stands_still(modest) == ""
            assert greedy.state is State.RUNNING
            with pytest.raises(WrongState, match="cannot exec in greedy: it stands still") as refused:
                greedy.running_machine("exec in")
            assert "free some space" in str(refused.value.hint)
            with pytest.raises(StorageError, match="cannot resume greedy") as failure:
                await greedy.resume()
            assert "disk_reserve_bytes" in str(failure.value.hint)
            check(core)
            lab.kill(core)
        async with lab.core(maintained=True) as core:  # which knows why it was held
            greedy = core.fleet.get("greedy")
            await trio.sleep(10)
            assert "only the reserve is left" in stands_still(greedy)
            disk.free = 100 << 30
            await trio.sleep(10)
            assert stands_still(greedy) == ""
            assert processors(core, greedy) == "running"
            assert greedy.row.reason == ""
            check(core)

    run(case)


def test_whoever_fills_it_by_a_volume_is_held_too(run: RunCase, disk: Disk) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core(maintained=True) as core:
            mounts = (MountRow("volume", "/data", "data"),)
            greedy, modest = (
                await core.create("greedy", replace(CONFIG, mounts=mounts)),
                await core.create("modest"),
            )
            await trio.sleep(10)
            with core.context.guest.volumes.disk("data").open("r+b") as file:
                file.write(os.urandom(16 * MIB))
            disk.free = RESERVE - MIB
            await trio.sleep(10)
            assert "only the reserve is left" in stands_still(greedy)
            assert stands_still(modest) == ""
            disk.free = 100 << 30
            await trio.sleep(10)
            assert stands_still(greedy) == ""

    run(case)


def test_a_held_one_is_paused_by_its_user_or_stopped(run: RunCase, disk: Disk) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core(maintained=True) as core:
            paused, stopped = await core.create("paused"), await core.create("stopped")
            await trio.sleep(10)
            fill(paused, 16 * MIB)
            fill(stopped, 16 * MIB)
            disk.free = RESERVE - MIB
            await trio.sleep(10)
            await paused.pause()
            await stopped.stop(force=False)
            assert stopped.state is State.STOPPED
            disk.free = 100 << 30
            await trio.sleep(30)
            assert paused.state is State.PAUSED
            assert processors(core, paused) == "paused"
            check(core)

    run(case)


def test_a_machine_that_cannot_be_held_or_let_go_on(run: RunCase, disk: Disk) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core(maintained=True) as core:
            box = await core.create()
            await trio.sleep(10)
            fill(box, 16 * MIB)
            lab.world.faults.add("pause", Fault(error=MachineError("it does not listen")))
            disk.free = RESERVE - MIB
            await trio.sleep(10)
            assert stands_still(box)
            lab.world.faults.add("resume", Fault(error=MachineError("it does not listen")))
            disk.free = 100 << 30
            await trio.sleep(1)
            assert stands_still(box)
            await trio.sleep(10)  # it is asked again
            assert stands_still(box) == ""
            check(core)

    run(case)


def test_whoever_is_being_steered_is_left_alone(run: RunCase, disk: Disk) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core(maintained=True) as core:
            box = await core.create()
            await trio.sleep(10)
            async with trio.open_nursery() as nursery:
                lab.world.faults.add("pause", Fault(seconds=30))
                nursery.start_soon(box.pause)
                fill(box, 16 * MIB)
                disk.free = RESERVE - MIB
                await trio.sleep(10)
                assert stands_still(box) == ""
            assert box.row.reason == ""
            assert core.state("box") is State.PAUSED
            disk.free = 100 << 30
            await box.resume()
            lab.world.of(box.row.uuid).refuse_write(FULL)
            lab.world.of(box.row.uuid).accept_writes()
            async with trio.open_nursery() as nursery:
                lab.world.faults.add("resume", Fault(seconds=30))
                nursery.start_soon(box.resume)
                await trio.sleep(10)
            assert stands_still(box) == ""
            check(core)

    run(case)


def test_a_write_that_finds_no_room_is_tried_again(run: RunCase, disk: Disk) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core(maintained=True) as core:
            box = await core.create()
            guest = lab.world.of(box.row.uuid)
            disk.free = 0
            guest.refuse_write(FULL)
            await trio.sleep(5)
            assert "stands still until there is room" in stands_still(box)
            assert f"{FULL}, 0 MiB of" in stands_still(box)
            with pytest.raises(StorageError, match="cannot resume box") as failure:
                await box.resume()
            assert failure.value.hint == "free some space, or remove a sandbox"
            disk.free = 100 << 30  # but a quota says otherwise
            await trio.sleep(120)
            assert "if there is, and no quota says otherwise: sandtop restart --force box" in stands_still(
                box
            )
            guest.accept_writes()
            await trio.sleep(120)
            assert stands_still(box) == ""
            assert processors(core, box) == "running"
            check(core)

    run(case)


def test_a_broken_disk_waits_for_somebody(run: RunCase, disk: Disk) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core(maintained=True) as core:
            box = await core.create()
            guest = lab.world.of(box.row.uuid)
            guest.refuse_write(BROKEN)
            await trio.sleep(300)
            assert (
                f"the host's disk refused a write ({BROKEN}); to try again: sandtop resume box"
                in stands_still(box)
            )
            with pytest.raises(StorageError, match="cannot resume box") as failure:
                await box.resume()
            assert "mend that disk" in str(failure.value.hint)
            guest.accept_writes()
            await box.resume()
            assert stands_still(box) == ""
            guest.refuse_read(BROKEN)
            await core.settle()
            assert box.trouble == f"the host could not read its disk: {BROKEN}"
            check(core)

    run(case)


@pytest.mark.parametrize("force", [False, True])
def test_a_machine_that_its_disk_stopped_is_stopped(run: RunCase, disk: Disk, *, force: bool) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core(maintained=True) as core:
            box = await core.create()
            lab.world.of(box.row.uuid).refuse_write(BROKEN)
            await core.settle()
            await box.stop(force=force)
            assert box.state is State.STOPPED
            check(core)

    run(case)


def test_a_machine_that_cannot_be_resumed_to_be_stopped_is_ended(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            box = await core.create()
            await box.pause()
            lab.world.faults.add("resume", Fault(error=MachineError("it does not listen")))
            with pytest.raises(MachineError):
                await box.stop(force=False)
            await core.settle()
            assert core.state("box") is State.STOPPED
            check(core)

    run(case)


def test_a_machine_that_its_disk_stops_while_it_starts(run: RunCase, disk: Disk) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core(maintained=True) as core:
            async with trio.open_nursery() as nursery:

                async def create() -> None:
                    with pytest.raises(
                        StorageError, match="box could not start: the host's disk refused a write"
                    ):
                        await core.create()

                nursery.start_soon(create)
                await trio.sleep(lab.world.boot_seconds / 2)
                lab.world.of(core.fleet.get("box").row.uuid).refuse_write(FULL)
            assert core.fleet.all() == []
            check(core)

    run(case)


def test_a_disk_that_cannot_be_asked_stops_nobody(run: RunCase, disk: Disk) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core(maintained=True) as core:
            box = await core.create()
            disk.free = None
            await trio.sleep(10)
            fill(box, 16 * MIB)
            await trio.sleep(10)
            assert stands_still(box) == ""
            lab.world.of(box.row.uuid).refuse_write(FULL)
            lab.world.of(box.row.uuid).accept_writes()
            await trio.sleep(10)  # it is tried all the same
            assert stands_still(box) == ""
            assert await core.create("other")
            check(core)

    run(case)


def test_a_new_sandbox_needs_room_to_begin_and_is_told_of_too_little(run: RunCase, disk: Disk) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            disk.free = RESERVE
            with pytest.raises(StorageError, match="cannot create box"):
                await core.create()
            assert core.fleet.all() == []
            disk.free = RESERVE + 40 * MIB
            await core.create("first")
            assert core.lines == []
            await core.create("second")
            assert [line for line in core.lines if line.startswith("warning: the disks of all sandboxes")]
            core.lines.clear()
            await core.create("third", SandboxConfig(memory=16, disk=CONFIG.disk, ephemeral=True))
            assert core.lines == []
            check(core)

    run(case)
