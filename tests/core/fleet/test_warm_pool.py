"""The warm pool: it fills, is used, is refilled, is thinned out; and its machines die, too."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest
import trio

from sandtop.core.errors import AlreadyExists, MachineError, StorageError
from sandtop.core.fleet import State
from sandtop.core.fleet.room import MIB, Space
from sandtop.core.machine.memory import Fault
from sandtop.core.store import Database

from .invariants import check
from .lab import CONFIG, SETTINGS, add_image, quiet

if TYPE_CHECKING:
    from sandtop.core.machine.memory import Guest

    from .conftest import RunCase
    from .lab import Core, Lab

TWO = replace(SETTINGS, warm_machines=2)
OTHER = replace(CONFIG, cpus=2)
A_WHILE = 20.0
"""Seconds in which a pool is filled."""
LONG = 700.0
"""Seconds after which a shape counts as not used any more."""


@dataclass
class Memory:
    """The host's, MiB."""

    total: int = 16384
    available: int = 16384

    def look(self) -> tuple[int, int]:
        return self.total, self.available


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    memory = Memory()
    monkeypatch.setattr("sandtop.core.fleet.warm_pool.host_memory", memory.look)
    return memory


def full(_folder: object, _reserve: int) -> Space:
    """The host's disk, without room for anything."""
    return Space(0, 100 << 30, 512 * MIB)


def ready(core: Core) -> int:
    return sum(core.fleet.warm_machines.values())


def warm(core: Core) -> list[Guest]:
    """The machines that stand by."""
    known = {box.row.uuid for box in core.fleet.all()}
    return [guest for guest in core.lab.world.machines.values() if guest.uuid not in known]


async def filled(core: Core) -> None:
    """Have it full, after a first sandbox."""
    await core.create("first", cold=False)
    await trio.sleep(A_WHILE)
    assert ready(core) == 2


def test_it_fills_is_used_and_is_filled_again(run: RunCase, memory: Memory) -> None:
    async def case(lab: Lab) -> None:
        lab.settings = TWO
        async with lab.core(maintained=True) as core:
            await core.create("cold")
            await trio.sleep(A_WHILE)
            assert ready(core) == 0  # nothing here was started from a template
            await filled(core)
            assert [guest.processors for guest in warm(core)] == ["paused", "paused"]
            check(core)
            before = {guest.uuid for guest in warm(core)}
            box = await core.create(cold=False)
            assert box.row.uuid in before
            assert list(box.timings) == ["resumed", "agent", "configured"]
            assert lab.world.of(box.row.uuid).agent.hostname == "box"
            assert box.sessions.all() == []  # of what it ran to warm up nothing is left
            await trio.sleep(A_WHILE)
            assert ready(core) == 2
            check(core)
            assert (await core.create("booted")).row.uuid not in {guest.uuid for guest in warm(core)}
            await core.fleet.close()
            assert ready(core) == 0
            check(core)

    run(case)


def test_a_creation_waits_for_a_machine_that_is_nearly_ready(run: RunCase, memory: Memory) -> None:
    async def case(lab: Lab) -> None:
        lab.settings = replace(SETTINGS, warm_machines=1)
        async with lab.core(maintained=True) as core:
            await core.create("first", cold=False)
            lab.world.faults.add("boot", Fault(seconds=2))
            await trio.sleep(1)
            assert ready(core) == 0
            box = await core.create(cold=False)
            assert "resumed" in box.timings
            lab.world.faults.add("boot", Fault(seconds=20))
            await trio.sleep(1)
            assert "resumed" not in (await core.create("impatient", cold=False)).timings
            await trio.sleep(2 * A_WHILE)
            check(core)

    run(case)


def test_each_shape_that_was_used_lately_has_one_and_the_newest_the_rest(
    run: RunCase, memory: Memory
) -> None:
    async def case(lab: Lab) -> None:
        lab.settings = replace(SETTINGS, warm_machines=3)
        async with lab.core(maintained=True) as core:
            await core.create("one", cold=False)
            await trio.sleep(A_WHILE)
            await core.create("two", OTHER, cold=False)
            await trio.sleep(A_WHILE)
            assert sorted(guest.spec.cpus for guest in warm(core)) == [1, 2, 2]
            await trio.sleep(LONG)
            assert warm(core) == []
            check(core)

    run(case)


def test_without_memory_or_room_to_spare_there_are_none(
    run: RunCase, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def case(lab: Lab) -> None:
        lab.settings = TWO
        async with lab.core(maintained=True) as core:
            memory.available = memory.total // 4
            await core.create("first", cold=False)
            await trio.sleep(A_WHILE)
            assert ready(core) == 0
            with monkeypatch.context() as patch:
                patch.setattr("sandtop.core.fleet.context.space", full)
                await trio.sleep(A_WHILE)
                memory.available = memory.total
                await trio.sleep(A_WHILE)
                assert ready(core) == 0
            await trio.sleep(A_WHILE)
            assert ready(core) == 2
            memory.available = memory.total // 9
            await trio.sleep(A_WHILE)
            assert ready(core) == 0
            check(core)

    run(case)


def test_a_machine_that_dies_while_it_stands_by_is_replaced(run: RunCase, memory: Memory) -> None:
    async def case(lab: Lab) -> None:
        lab.settings = TWO
        async with lab.core(maintained=True) as core:
            await filled(core)
            for guest in warm(core):
                guest.panic("no memory left")
            await core.settle()
            box = await core.create(cold=False)  # before the pool has looked
            assert "resumed" not in box.timings
            await trio.sleep(A_WHILE)
            assert ready(core) == 2
            check(core)

    run(case)


@pytest.mark.parametrize("step", ["resume", "configure"])
def test_a_machine_that_is_of_no_use_gives_way_to_another(run: RunCase, memory: Memory, step: str) -> None:
    async def case(lab: Lab) -> None:
        lab.settings = TWO
        async with lab.core(maintained=True) as core:
            await filled(core)
            lab.world.faults.add("resume" if step == "resume" else "configure", Fault(dies="it broke"))
            box = await core.create(cold=False)
            assert box.state is State.RUNNING
            assert box.machine is not None
            assert box.machine.spec.restored
            await trio.sleep(A_WHILE)
            check(core)

    run(case)


def test_a_pool_that_cannot_be_filled_is_tried_again_after_a_while(run: RunCase, memory: Memory) -> None:
    async def case(lab: Lab) -> None:
        lab.settings = replace(SETTINGS, warm_machines=1)
        async with lab.core(maintained=True) as core:
            await core.create("first", cold=False)
            lab.world.faults.add("pause", Fault(error=MachineError("it does not listen")))
            await trio.sleep(A_WHILE)
            assert ready(core) == 0
            check(core)
            await trio.sleep(100)
            assert ready(core) == 1
            check(core)

    run(case)


def test_a_warm_up_whose_program_does_not_end(run: RunCase, memory: Memory) -> None:
    async def case(lab: Lab) -> None:
        lab.settings = replace(SETTINGS, warm_machines=1)
        async with lab.core(maintained=True) as core:
            await core.create("first", cold=False)
            while not [guest for guest in warm(core) if guest.agent.hostname]:
                await trio.lowlevel.checkpoint()
            warm(core)[0].pause()  # its agent hears nothing any more
            await trio.sleep(2 * A_WHILE)
            assert warm(core) == []
            check(core)
            await trio.sleep(100)
            assert ready(core) == 1
            check(core)

    run(case)


def test_a_warm_up_whose_template_does_not_start(run: RunCase, memory: Memory) -> None:
    async def case(lab: Lab) -> None:
        lab.settings = replace(SETTINGS, warm_machines=1)
        async with lab.core(maintained=True) as core:
            await core.create("first", cold=False)
            lab.world.faults.add("load", Fault(error=MachineError("not of this world")))
            await trio.sleep(A_WHILE)
            assert core.fleet.templates.on_disk() == []
            assert ready(core) == 0
            lab.world.faults.add("launch", Fault(error=MachineError("no template this time")))
            await trio.sleep(200)
            check(core)

    run(case)


def test_a_name_that_is_taken_meanwhile_gives_the_machine_back(
    run: RunCase, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise StorageError("the database cannot be used: disk full")

    async def case(lab: Lab) -> None:
        lab.settings = TWO
        async with lab.core(maintained=True) as core:
            await filled(core)
            with monkeypatch.context() as patch:
                patch.setattr(Database, "add_sandbox", full)
                with pytest.raises(StorageError, match="disk full"):
                    await core.create(cold=False)
            with pytest.raises(AlreadyExists):
                await core.create("first", cold=False)
            await trio.sleep(A_WHILE)
            check(core)

    run(case)


def test_machines_of_a_forgotten_image_go(run: RunCase, memory: Memory) -> None:
    async def case(lab: Lab) -> None:
        lab.settings = replace(SETTINGS, warm_machines=1)
        mine = replace(CONFIG, image="mine")
        digest = add_image(lab.paths.cache, "mine")
        async with lab.core(maintained=True) as core:
            await core.create("first", mine, cold=False)
            await trio.sleep(A_WHILE)
            assert core.fleet.warm_machines == {digest: 1}
            await core.fleet.forget_images({digest})
            await trio.sleep(A_WHILE)
            assert core.fleet.warm_machines == {digest: 1}
            await core.fleet.forget_images(())
            await trio.sleep(A_WHILE)
            assert ready(core) == 0
            assert core.fleet.templates.on_disk() == []
            check(core)

    run(case)


def test_a_core_ends_what_stood_by_for_the_one_before(run: RunCase, memory: Memory) -> None:
    async def case(lab: Lab) -> None:
        lab.settings = TWO
        async with lab.core(maintained=True) as core:
            await filled(core)
            box = await core.create(cold=False)
            mark = box.folder / "standing-by"
            mark.touch()  # the core died before it could take the mark away
            lab.kill(core)
        assert len(lab.world.machines) >= 3
        async with lab.core() as core:
            assert {guest.uuid for guest in lab.world.machines.values()} == {
                each.row.uuid for each in core.fleet.all()
            }
            assert not (core.fleet.get("box").folder / "standing-by").exists()
            check(core)

    run(case)


def test_none_where_none_are_wanted(run: RunCase, memory: Memory) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core(maintained=True) as core:
            await core.fleet.prepare(CONFIG, quiet)
            await core.create(cold=False)
            await trio.sleep(A_WHILE)
            assert ready(core) == 0
            await core.fleet.close()
            check(core)

    run(case)
