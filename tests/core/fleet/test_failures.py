"""Every step of a start fails: what is said, what is left, and what starts all the same."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import trio

from sandtop.core.errors import (
    ImageError,
    InvalidRequest,
    MachineError,
    MissingDependency,
    NotFound,
    SandtopError,
    StorageError,
)
from sandtop.core.fleet import State
from sandtop.core.machine.memory import INFO, Fault, Step
from sandtop.core.machine.spec import Network
from sandtop.core.store import Database, SandboxConfig

from .invariants import check
from .lab import CONFIG, add_image, quiet

if TYPE_CHECKING:
    from sandtop.core.store import SandboxRow

    from .conftest import RunCase
    from .lab import Lab

FAILING: dict[str, tuple[Step, Fault, type[SandtopError], str]] = {
    "no program": ("find", Fault(error=MissingDependency("it is not installed")), MissingDependency, "not installed"),
    "no accelerator": ("accelerator", Fault(error=StorageError("cannot keep it")), StorageError, "cannot keep it"),
    "not launched": ("launch", Fault(error=MachineError("it does not run")), MachineError, "it does not run"),
    "dies at once": ("resume", Fault(dies="it broke"), MachineError, "the machine is gone"),
    "dies booting": ("boot", Fault(dies="no init found"), MachineError, r"console's last lines: .*no init found"),
    "never ready": ("boot", Fault(seconds=math.inf), MachineError, "did not answer within 90 s"),
    "refuses": ("configure", Fault(error=MachineError("no such user")), MachineError, "refused its configuration"),
    "dies configured": ("configure", Fault(dies="out of memory"), MachineError, "out of memory"),
}  # fmt: skip


@pytest.mark.parametrize("what", FAILING)
def test_a_creation_that_fails_leaves_nothing(run: RunCase, what: str) -> None:
    async def case(lab: Lab) -> None:
        step, fault, kind, words = FAILING[what]
        async with lab.core() as core:
            lab.world.faults.add(step, fault)
            with pytest.raises(kind, match=words) as failure:
                await core.create()
            assert failure.value.sandbox == "box"
            assert core.fleet.with_history() == []
            check(core)
            assert (await core.create()).state is State.RUNNING
            check(core)

    run(case)


@pytest.mark.parametrize("what", FAILING)
def test_a_start_that_fails_says_why_and_can_be_tried_again(run: RunCase, what: str) -> None:
    async def case(lab: Lab) -> None:
        step, fault, kind, words = FAILING[what]
        async with lab.core() as core:
            box = await core.create()
            await box.stop(force=True)
            lab.world.faults.add(step, fault)
            with pytest.raises(kind, match=words):
                await core.start(box)
            assert core.state("box") is State.FAILED
            assert box.overlay.exists()
            check(core)
            await core.start(box)
            check(core)

    run(case)


def test_a_slow_boot_is_no_failure(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            lab.world.faults.add("boot", Fault(seconds=60))
            box = await core.create()
            assert box.timings["agent"] > 60
            check(core)

    run(case)


def test_a_start_that_fails_under_kvm_says_how_to_go_on_without(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            for asked, words in (("", "KVM worked when this host was probed"), ("kvm", "KVM was asked for")):
                lab.world.accelerator = lab.world.accelerator.KVM
                lab.world.faults.add("boot", Fault(dies="no init found"))
                with pytest.raises(MachineError, match="under KVM") as failure:
                    await core.create("box", SandboxConfig(memory=16, disk=32, accelerator=asked))
                assert words in str(failure.value.hint)
                assert "--accelerator tcg" in str(failure.value.hint)
            check(core)

    run(case)


def test_what_no_machine_can_have(run: RunCase, monkeypatch: pytest.MonkeyPatch) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            with pytest.raises(InvalidRequest, match="more than the host's"):
                await core.create("box", SandboxConfig(memory=1 << 30, disk=32))
            with pytest.raises(InvalidRequest, match="too small"):
                await core.create("box", SandboxConfig(memory=16, disk=1))
            with pytest.raises(NotFound, match="no image is called nothing"):
                await core.create("box", SandboxConfig(image="nothing"))
            with pytest.raises(NotFound):
                await core.fleet.prepare(SandboxConfig(image="nothing"), quiet)
            assert core.fleet.with_history() == []
            check(core)

    run(case)


def test_what_a_driver_cannot_do_is_refused_or_done_without(
    run: RunCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    less = replace(INFO, networks=frozenset({Network.NONE}), snapshots=False)
    monkeypatch.setattr("sandtop.core.machine.memory.driver.INFO", less)

    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            with pytest.raises(InvalidRequest, match="the machines of memory cannot have user") as failure:
                await core.create("box", SandboxConfig(memory=16, disk=32, network="user"))
            assert failure.value.hint == "they can have none"
            box = await core.create(cold=False)
            assert box.machine is not None
            assert not box.machine.spec.restored
            assert core.fleet.templates.on_disk() == []
            with pytest.raises(ImageError, match="cannot be prepared"):
                await core.fleet.prepare(CONFIG, quiet)
            check(core)

    run(case)


def test_the_first_use_of_the_base_image_builds_it(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        (lab.paths.cache / "images").unlink()
        async with lab.core() as core:
            await core.create()
            assert core.lines[0] == "preparing"
            check(core)

    run(case)


def test_an_image_that_is_gone(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        digest = add_image(lab.paths.cache, "mine")
        async with lab.core() as core:
            box = await core.create("box", SandboxConfig(image="mine", memory=16, disk=32))
            await box.stop(force=True)
            (lab.paths.cache / "images" / f"{digest}.squashfs").unlink()
            with pytest.raises(ImageError, match="is gone"):
                await core.start(box)
            assert core.state("box") is State.FAILED
            check(core)

    run(case)


class FullDisk:
    """Stores nothing while it is ``full``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = False
        self.refused = 0
        real = Database.update_sandbox

        def update(database: Database, row: SandboxRow) -> None:
            if self.full:
                self.refused += 1
                raise StorageError("the database cannot be used: database or disk is full")
            real(database, row)

        monkeypatch.setattr(Database, "update_sandbox", update)


def test_a_database_that_takes_nothing(run: RunCase, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = FullDisk(monkeypatch)

    async def case(lab: Lab) -> None:
        async with lab.core(maintained=True) as core:
            box = await core.create()
            disk.full = True
            with pytest.raises(StorageError, match="disk is full"):
                await core.create("other")  # nothing of it has happened
            assert [each.name for each in core.fleet.all()] == ["box"]
            await box.pause()  # has happened, and is stored when there is room
            assert box.state is State.PAUSED
            await trio.sleep(60)
            await box.stop(force=True)
            with pytest.raises(StorageError, match="disk is full"):
                await core.start(box)
            assert core.state("box") is State.STOPPED
            refused = disk.refused
            await trio.sleep(60)
            assert disk.refused > refused
            disk.full = False
            await trio.sleep(60)
            check(core)

    run(case)


def test_a_database_that_does_not_learn_whose_machine_it_is(
    run: RunCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = FullDisk(monkeypatch)

    async def case(lab: Lab) -> None:
        async with lab.core(maintained=True) as core:
            box = await core.create()
            await box.stop(force=True)

            async def fill() -> None:
                while core.state("box") is not State.STARTING:
                    await trio.lowlevel.checkpoint()
                disk.full = True

            async with trio.open_nursery() as nursery:
                nursery.start_soon(fill)
                with pytest.raises(StorageError, match="disk is full"):
                    await core.start(box)
            disk.full = False
            await trio.sleep(60)
            assert core.state("box") is State.FAILED
            check(core)

    run(case)


def test_a_request_that_cannot_be_remembered_is_a_first_one(
    run: RunCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> bool:
        raise StorageError("the database cannot be used: disk full")

    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            monkeypatch.setattr(Database, "first_request", full)
            assert core.fleet.first_request("r1")
            assert core.fleet.first_request("r1")

    run(case)


def test_a_machine_that_does_not_die(run: RunCase) -> None:
    """It answers nobody and outlives its kill: the error says so, and nothing is taken for done."""

    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            box = await core.create()
            lab.world.of(box.row.uuid).answers = False
            lab.world.faults.add("kill", Fault(error=MachineError("it does not die")))
            with pytest.raises(MachineError, match="does not die"):
                await box.stop(force=True)
            assert core.state("box") is State.STOPPING
            await box.stop(force=True)
            assert core.state("box") is State.STOPPED
            check(core)
            lab.world.of((await core.create("other")).row.uuid).answers = False
            lab.kill(core)
        async with lab.core() as core:
            await trio.sleep(30)
            lab.world.faults.add("kill", Fault(seconds=math.inf))
            with pytest.raises(MachineError, match="does not die"):
                await core.fleet.get("other").stop(force=True)
            await core.fleet.get("other").stop(force=True)
            assert core.state("other") is State.STOPPED

    run(case)


def test_an_agent_that_does_not_switch_off_is_switched_off(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            box = await core.create()
            guest = lab.world.of(box.row.uuid)
            guest.pause()  # its agent hears nothing, as one that hangs
            begun = trio.current_time()
            await box.stop(force=False)
            assert trio.current_time() - begun >= lab.settings.stop_seconds
            assert core.state("box") is State.STOPPED
            check(core)

    run(case)


def test_trouble_with_an_agent_is_told(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            box = await core.create()
            guest = lab.world.of(box.row.uuid)
            guest.pause()
            await trio.sleep(30)
            assert box.trouble == "its agent does not answer"
            guest.resume()
            await trio.sleep(30)
            assert not box.trouble

    run(case)


def test_warnings_of_a_start_are_told(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            lab.world.warnings = ["/etc/hosts could not be written: No space left on device"]
            await core.create()
            assert core.lines == ["warning: box: /etc/hosts could not be written: No space left on device"]

    run(case)
