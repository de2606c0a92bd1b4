"""Templates, as the fleet uses them: made, kept, used, found wanting, thrown away."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio

from sandtop.core.errors import ImageError, MachineError, StorageError
from sandtop.core.fleet import State
from sandtop.core.machine.memory import Fault
from sandtop.core.templates.templates import IN_MEMORY, OUTDATED, UNUSED

from .invariants import check
from .lab import CONFIG, quiet

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sandtop.core.fleet import Sandbox

    from .conftest import RunCase
    from .lab import Core, Lab


def restored(box: Sandbox) -> bool:
    assert box.machine is not None
    return box.machine.spec.restored


def kinds(core: Core) -> list[str]:
    return sorted(template.kind for template in core.fleet.templates.on_disk())


def folders(lab: Lab) -> list[Path]:
    return [path.parent for path in (lab.paths.cache / "templates").glob("*/facts.json")]


def warnings(core: Core) -> Sequence[str]:
    said = [line for line in core.lines if line.startswith("warning")]
    core.lines.clear()
    return said


def test_a_template_is_made_once_and_used_by_all_that_follow(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            first = await core.create("first", cold=False)
            assert restored(first)
            assert core.lines == [
                "preparing a template for sandboxes of this shape (fresh); later ones start at once"
            ]
            core.lines.clear()
            box = await core.create(cold=False)
            assert list(box.timings) == ["prepared", "turn", "disk", "memory", "agent", "configured"]
            assert box.timings["configured"] < lab.world.boot_seconds
            assert kinds(core) == ["fresh"]
            await box.stop(force=False)
            await core.start(box, cold=False)  # it has a disk of its own by now
            assert restored(box)
            assert kinds(core) == ["fresh", "later"]
            assert not restored(await core.create("cold"))
            check(core)
        async with lab.core() as core:
            assert restored(await core.create("later", cold=False))
            assert core.lines == []
            check(core)

    run(case)


def test_two_that_want_the_same_template_wait_for_one(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            async with trio.open_nursery() as nursery:
                for name in ("a", "b"):
                    nursery.start_soon(partial(core.create, name, cold=False))
            assert kinds(core) == ["fresh"]
            assert len([line for line in core.lines if line.startswith("preparing")]) == 1
            check(core)

    run(case)


def test_shapes_have_templates_of_their_own(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            for cpus in range(1, IN_MEMORY + 2):  # more than are kept in memory
                await core.fleet.prepare(replace(CONFIG, cpus=cpus), quiet)
            for cpus in (1, IN_MEMORY + 1):
                assert restored(await core.create(f"box{cpus}", replace(CONFIG, cpus=cpus), cold=False))
            assert len(kinds(core)) == 8  # the ones used last stay
            check(core)

    run(case)


@pytest.mark.parametrize("name", ["memory", "state", "overlay.img", "manifest.json"])
def test_a_damaged_template_is_made_again_while_sandboxes_boot(run: RunCase, name: str) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            await core.fleet.prepare(CONFIG, quiet)
        for folder in folders(lab):
            file = folder / name
            if name == "manifest.json":
                file.unlink()
            elif file.exists():
                with file.open("r+b") as damaged:
                    damaged.write(b"\xff\xff\xff\xff")
        async with lab.core() as core:
            box = await core.create(cold=False)
            assert not restored(box)
            (said,) = warnings(core)
            assert "is damaged" in said
            async with trio.open_nursery() as nursery:  # and nobody waits for it
                nursery.start_soon(lambda: core.create("meanwhile", cold=False))
            await trio.sleep(60)
            assert restored(await core.create("after", cold=False))
            assert warnings(core) == []
            check(core)

    run(case)


def test_a_template_that_cannot_be_made_lets_sandboxes_boot(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            lab.world.faults.add("boot", Fault(dies="no init found"))
            assert not restored(await core.create("first", cold=False))
            (said,) = warnings(core)
            assert said.startswith("warning: no template can be made, booting instead: ")
            assert "no init found" in said
            assert not restored(await core.create("second", cold=False))
            assert warnings(core) == []  # it is not tried again at once
            with pytest.raises(ImageError, match="cannot be prepared: it failed a moment ago"):
                await core.fleet.prepare(CONFIG, quiet)
            await trio.sleep(400)
            assert restored(await core.create("third", cold=False))
            check(core)

    run(case)


@pytest.mark.parametrize("fault", [Fault(seconds=1e6), Fault(dies="no init found")])
def test_what_cannot_be_prepared_says_why(run: RunCase, fault: Fault) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            lab.world.faults.add("boot", fault)
            with pytest.raises(ImageError, match="base cannot be prepared: ") as failure:
                await core.fleet.prepare(CONFIG, core.lines.append)
            assert fault.dies in str(failure.value)
            if fault.seconds:
                assert "its agent was not ready within 90 s" in str(failure.value)
            assert warnings(core) == []
            check(core)

    run(case)


def test_a_template_that_cannot_be_saved(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            lab.world.faults.add("save", Fault(error=StorageError("No space left on device")))
            assert not restored(await core.create(cold=False))
            assert "No space left on device" in warnings(core)[0]
            assert kinds(core) == []
            check(core)

    run(case)


def test_a_machine_that_does_not_go_on_from_its_template_boots(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            await core.fleet.prepare(CONFIG, quiet)
            for turn in range(2):
                lab.world.faults.add("load", Fault(error=MachineError("not of this world")))
                box = await core.create(f"box{turn}", cold=False)
                assert not restored(box)
                (said,) = warnings(core)
                assert (
                    "a template did not start and is thrown away, booting instead: not of this world" in said
                )
                assert (kinds(core), box.state) == (["later"], State.RUNNING)
                if turn == 0:
                    assert restored(await core.create("again", cold=False))  # it was made anew
            core.lines.clear()
            assert not restored(await core.create("tired", cold=False))  # it is not the files, then
            assert core.lines == []
            check(core)

    run(case)


def test_what_does_not_boot_either_is_not_its_templates_fault(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            await core.fleet.prepare(CONFIG, quiet)
            old = await core.create("old")
            await old.stop(force=True)
            for start in (lambda: core.create(cold=False), lambda: core.start(old, cold=False)):
                lab.world.faults.add("load", Fault(dies="a broken disk"))
                lab.world.faults.add("boot", Fault(dies="a broken disk"))
                with pytest.raises(MachineError, match="a broken disk"):
                    await start()
                assert kinds(core) == ["fresh", "later"]
            check(core)

    run(case)


def test_old_templates_go_and_outdated_ones_sooner(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            await core.fleet.prepare(CONFIG, quiet)
            await core.fleet.prepare(replace(CONFIG, cpus=2), quiet)
        now = time.time()
        for folder in folders(lab)[:1]:
            os.utime(folder, times=(now, now - UNUSED - 60))
        async with lab.core() as core:
            await core.create(cold=False)
            await trio.sleep(10)
            assert len(kinds(core)) in (3, 4)  # that which was not used for long, unless it was just used
        lab.world.stamp = "2"  # another program
        for folder in folders(lab):
            os.utime(folder, times=(now, now - OUTDATED - 60))
        async with lab.core() as core:
            assert not any(template.outdated for template in core.fleet.templates.on_disk())  # not known yet
            assert restored(await core.create("new", cold=False))
            await trio.sleep(10)
            assert kinds(core) == ["fresh"]
            lab.world.stamp = "3"
            check(core)

    run(case)


def test_a_core_that_died_while_it_made_a_template(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            core.nursery.start_soon(lambda: core.create(cold=False))
            await trio.sleep(lab.world.boot_seconds / 2)
            assert len(lab.world.machines) == 1
            lab.kill(core)
        async with lab.core() as core:
            assert lab.world.machines == {}
            check(core)
            await core.fleet.remove(core.fleet.get("box"), force=True, keep_history=False)
            assert restored(await core.create(cold=False))
            check(core)

    run(case)
