"""What is mounted in sandboxes: who may have a volume, and what is there after every start."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import trio

from sandtop.core.contract.mount import Mount
from sandtop.core.errors import InvalidRequest, MachineError, NotFound, StorageError, WrongState
from sandtop.core.fleet import State
from sandtop.core.fleet.mounts import checked, slots, uses_of
from sandtop.core.machine.memory import Fault
from sandtop.core.store import MountRow, SandboxConfig

from .invariants import check
from .lab import CONFIG, DISK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandtop.core.fleet import Sandbox

    from .conftest import RunCase
    from .lab import Core, Lab

DATA = MountRow("volume", "/data", "data")
READER = replace(DATA, read_only=True)
SCRATCH = MountRow("tmpfs", "/scratch", size=1 << 20)
MIB = 1 << 20


def having(*mounts: MountRow) -> SandboxConfig:
    return replace(CONFIG, mounts=mounts)


def mounted(lab: Lab, box: Sandbox) -> list[dict[str, object]]:
    """What its agent mounted, since its machine started."""
    return lab.world.of(box.row.uuid).agent.disks.mounted


def test_all_of_it_is_there_after_every_start(run: RunCase) -> None:
    disk = {"kind": "disk", "target": "/data", "serial": "volume0", "read_only": False}
    memory = {"kind": "tmpfs", "target": "/scratch", "size": MIB, "mode": None, "read_only": False}

    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            box = await core.create(config=having(DATA, SCRATCH))
            assert mounted(lab, box) == [disk, memory]
            assert "mounted" in box.timings
            await box.stop(force=False)
            await core.start(box)
            assert mounted(lab, box) == [disk, memory]
            await box.restart(core.lines.append, force=True, cold=False)  # from a template
            assert mounted(lab, box) == [disk, memory]
            assert box.machine is not None
            assert box.machine.spec.slots == slots(box.row.config) == 4
            (volume,) = core.context.guest.volumes.all()
            assert (volume.name, volume.size) == ("data", DISK * MIB)
            await core.fleet.remove(box, force=True, keep_history=False)
            assert core.context.guest.volumes.get("data") == volume, "it outlives the sandbox"
            other = await core.create("other", having(DATA))
            assert mounted(lab, other) == [disk]
            check(core)

    run(case)


def test_a_machine_without_volumes_is_as_it_was(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            box = await core.create(config=having(SCRATCH))
            assert box.machine is not None
            assert box.machine.spec.slots == 0
            assert core.context.guest.volumes.all() == []

    run(case)


def test_a_volume_has_one_writer(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            writer = await core.create("writer", having(DATA))
            for mount in (DATA, READER):
                with pytest.raises(WrongState, match="the volume data is written by writer"):
                    await core.create("other", having(mount))
            assert [each.name for each in core.fleet.all()] == ["writer"], "nothing of the other is left"
            await writer.pause()
            with pytest.raises(WrongState, match="is written by writer"):
                await core.create("other", having(DATA))
            await writer.stop(force=True)
            readers = [await core.create(name, having(READER)) for name in ("one", "two")]
            with pytest.raises(WrongState, match="the volume data is read by one"):
                await core.start(writer)
            assert writer.state is State.STOPPED
            for reader in readers:
                await reader.stop(force=True)
            await core.start(writer)
            uses = uses_of("data", core.fleet.all())
            assert [(use.sandbox, use.read_only, use.runs) for use in uses] == [
                ("writer", False, True), ("one", True, False), ("two", True, False),
            ]  # fmt: skip
            check(core)

    run(case)


def test_a_writer_is_one_for_the_next_core_too(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            box = await core.create(config=having(DATA))
            before = mounted(lab, box)
            lab.kill(core)
        async with lab.core() as core:
            await core.settle()
            assert core.state("box") is State.RUNNING
            with pytest.raises(WrongState, match="is written by box"):
                await core.create("other", having(DATA))
            assert mounted(lab, core.fleet.get("box")) is before, "nothing is mounted twice"

    run(case)


def test_two_that_are_made_at_once_share_a_volume_that_was_not_there(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            async with trio.open_nursery() as nursery:
                for name in ("one", "two", "three"):
                    nursery.start_soon(core.create, name, having(READER))
            assert {box.state for box in core.fleet.all()} == {State.RUNNING}
            assert [volume.name for volume in core.context.guest.volumes.all()] == ["data"]

    run(case)


def test_a_volume_that_is_gone_is_missed_and_not_made_anew(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            box = await core.create(config=having(DATA))
            await box.stop(force=True)
            core.context.guest.volumes.remove("data")
            with pytest.raises(NotFound, match="there is no volume named data"):
                await core.start(box)
            assert box.state is State.FAILED
            assert core.context.guest.volumes.all() == []
            check(core)

    run(case)


def test_a_disk_that_cannot_be_opened_fails_the_start(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            for error in (StorageError("no"), MachineError("no")):
                lab.world.faults.add("plug", Fault(error=error))
                with pytest.raises(type(error), match="no"):
                    await core.create(config=having(DATA))
                assert core.fleet.all() == []
            check(core)
            await core.create(config=having(DATA))

    run(case)


def made(*mounts: Mount, memory: int = 64) -> Sequence[MountRow]:
    return checked(mounts, memory)


def test_what_is_below_another_is_mounted_behind_it() -> None:
    low = Mount(type="tmpfs", target="/a/b/")
    high = Mount(type="volume", source="v", target="//a")
    assert [row.target for row in made(low, high)] == ["/a", "/a/b"]


@pytest.mark.parametrize(
    ("mounts", "says"),
    [
        ([Mount(type="tmpfs", target="/a"), Mount(type="tmpfs", target="/a/.")], "two of them are at /a"),
        ([Mount(type="tmpfs", target="/a", source="x")], "a tmpfs has no source"),
        ([Mount(type="volume", target="/a")], "a volume has a source"),
        ([Mount(type="volume", source="../x", target="/a")], "cannot be a volume's name"),
        ([Mount(type="volume", source=".x", target="/a")], "cannot be a volume's name"),
        ([Mount(type="volume", source="v", target="/a", size=MIB)], "a tmpfs's alone"),
        ([Mount(type="volume", source="v", target=f"/{n}") for n in "ab"], "the volume v is mounted twice"),
        (
            [Mount(type="volume", source=f"v{n}", target=f"/{n}") for n in range(17)],
            "17 volumes are too many",
        ),
        ([Mount(type="tmpfs", target=f"/{n}") for n in range(33)], "33 of them are too many"),
        (
            [Mount(type="tmpfs", target="/a", size=65 * MIB)],
            "65 MiB are more than the sandbox's memory, 64 MiB",
        ),
    ],
)
def test_what_cannot_be_mounted(mounts: Sequence[Mount], says: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        made(*mounts)
    assert says in str(caught.value)


# disks that grow


def size_of(box: Sandbox) -> int:
    return box.overlay.stat().st_size // MIB


async def grow(core: Core, box: Sandbox, disk: int) -> None:
    await core.fleet.grow_disk(box, disk, core.lines.append)


def test_a_disk_grows_while_its_sandbox_runs(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            box = await core.create()
            await grow(core, box, 2 * DISK)
            assert (size_of(box), box.row.config.disk, box.row.config.grown) == (2 * DISK, 2 * DISK, False)
            await grow(core, box, 2 * DISK)  # once more changes nothing
            with pytest.raises(InvalidRequest, match="can grow to 1024 GiB at most"):
                await grow(core, box, (1 << 20) + 1)
            assert size_of(box) == box.row.config.disk == 2 * DISK
            with pytest.raises(InvalidRequest, match="cannot become smaller"):
                await grow(core, box, DISK)
            await box.pause()
            with pytest.raises(WrongState, match="it is paused"):
                await grow(core, box, 3 * DISK)
            check(core)
            lab.kill(core)
        async with lab.core() as core:
            await core.settle()
            assert core.fleet.get("box").row.config.disk == 2 * DISK

    run(case)


def test_the_disk_of_one_that_does_not_run_grows_at_its_next_start(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            box = await core.create()
            await box.stop(force=True)
            await grow(core, box, 2 * DISK)
            assert (size_of(box), box.row.config.grown) == (DISK, True)
            await core.start(box)
            assert (size_of(box), box.row.config.grown) == (2 * DISK, False)
            assert "grown" in box.timings
            check(core)

    run(case)


def test_one_that_was_not_made_longer_is_at_the_next_start(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            box = await core.create()
            lab.world.faults.add("lengthen", Fault(error=MachineError("no")))
            with pytest.raises(MachineError, match="no"):
                await grow(core, box, 2 * DISK)
            assert box.row.config.grown
            await grow(core, box, 2 * DISK)  # to ask again tries it again
            assert (size_of(box), box.row.config.grown) == (2 * DISK, False)

    run(case)
