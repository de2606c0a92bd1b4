"""What every driver promises, of the one that runs sandboxes and of the one in memory: so the fake is held to the real.

Left to the real one's own tests is what no host does on demand: a disk that refuses (``test_diskerror``, and the disks
that really fill in ``tests/vm``).
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
import trio
import trio.testing
from tests.core.fleet import jumping
from tests.settings import SLOWER

from sandtop.core.channel import AgentLink
from sandtop.core.errors import MachineError, StorageError
from sandtop.core.machine.nursery import background
from sandtop.core.machine.records import Disk, Trial
from sandtop.core.machine.spec import Memory, Network
from sandtop.core.templates.files import copy_holes, memory_file
from sandtop.core.templates.key import Kind, template_spec

from .bench import MEMORY, Bench, MemoryBench, QemuBench, running

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Iterator, Mapping

    from sandtop.agent.wire import Credit, Data
    from sandtop.core.machine.driver import Driver, Machine
    from sandtop.core.machine.records import Identity
    from sandtop.core.machine.spec import MachineSpec

BOOT = 90.0 * SLOWER
TOKEN = "c0" * 16
Case = Callable[[Bench], Awaitable[None]]


@pytest.fixture(params=["memory", pytest.param("qemu", marks=pytest.mark.vm)])
def run(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[Case], None]]:
    """Runs a case on the host of each driver. What a case leaves running is ended, and the case has failed."""
    runtime = Path(os.environ["XDG_RUNTIME_DIR"]) / f"d-{uuid.uuid4().hex[:8]}"

    async def on(bench: Bench, case: Case) -> None:
        try:
            await case(bench)
        except BaseException as error:
            if (console := bench.folder / "console").exists():
                error.add_note(f"The guest's console:\n{console.read_text(errors='replace')[-2000:]}")
            raise
        finally:
            left = running(bench.driver(), bench.uuids, end=True)
        assert not left

    async def in_memory(case: Case) -> None:
        async with trio.open_nursery() as nursery:
            await on(MemoryBench(tmp_path, nursery), case)

    def run(case: Case) -> None:
        if request.param == "memory":
            jumping.run(lambda: in_memory(case), monkeypatch)
        else:
            trio.run(on, QemuBench(tmp_path, runtime), case)

    yield run
    shutil.rmtree(runtime, ignore_errors=True)


class _Deaf:
    """A listener that takes what comes."""

    def link_up(self, hello: Mapping[str, object]) -> None:
        pass

    def link_down(self, reason: str) -> None:
        pass

    def message(self, message: Mapping[str, object]) -> bool:
        return True

    def data(self, frame: Data) -> bool:
        return True

    def stdin_credit(self, credit: Credit) -> bool:
        return True

    def drained(self) -> bool:
        return False


@asynccontextmanager
async def talking(machine: Machine) -> AsyncGenerator[AgentLink]:
    """A link to the machine's agent, which stands."""
    link = AgentLink(machine.agent(), TOKEN, _Deaf())

    async def keep() -> None:
        await link.run(BOOT)

    async with background(keep):
        await link.wait_up(BOOT)
        yield link


@contextmanager
def closed_after(descriptor: int) -> Generator[int]:
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def place(bench: Bench) -> dict[str, Path]:
    return {"runtime": bench.runtime, "console_log": bench.folder / "console"}


def test_a_machine_outlives_its_core_and_ends_in_order(run: Callable[[Case], None]) -> None:
    async def case(bench: Bench) -> None:
        first, spec = bench.driver(), replace(bench.spec(), slots=1)
        async with first.start(spec, **place(bench)) as machine:
            async with talking(machine) as link:
                assert await link.ping() >= 0
                await takes_disks(machine, spec, bench)
                await machine.pause()
                assert await machine.paused()
                await machine.pause()  # once more changes nothing
                await machine.resume()
                assert not await machine.paused()
                assert await link.ping() >= 0
            assert await machine.disk_error() is None
            assert not machine.restored
            assert machine.console_tail(0) == ""
            assert spec.to_json().items() <= cast("dict[str, object]", machine.facts(spec)["spec"]).items()
            identity = machine.identity
        assert identity.uuid == spec.uuid

        later = bench.driver()
        assert later.lives(identity)
        assert running(later, [spec.uuid], end=False) == [spec.uuid]
        async with later.adopt(identity, "box", **place(bench)) as machine:
            assert machine.identity == identity
            assert not machine.restored
            async with talking(machine) as link, trio.open_nursery() as nursery:

                async def wait() -> None:
                    assert (await machine.wait()).orderly

                nursery.start_soon(wait)
                await trio.testing.wait_all_tasks_blocked()
                assert (await machine.stop()).orderly
            async for _ in machine.disk_errors:
                pytest.fail("there was none")
            machine.rename("other")
            with pytest.raises(MachineError) as failure:
                await machine.pause()
            assert failure.value.sandbox == "other"
        await gone(later, identity, bench)

    run(case)


async def takes_disks(machine: Machine, spec: MachineSpec, bench: Bench) -> None:
    """It is given a disk while it runs, one for each slot; and its own becomes longer."""
    disk = Disk(serial="volume0", file=bench.folder / "disk", read_only=False, slot=0)
    with pytest.raises(StorageError, match="No such file"):
        await machine.plug(disk)
    disk.file.write_bytes(bytes(1 << 20))
    await machine.plug(disk)
    with pytest.raises(MachineError):
        await machine.plug(replace(disk, serial="volume1"))
    size = spec.overlay.stat().st_size + (1 << 20)
    await machine.lengthen(size)
    assert spec.overlay.stat().st_size == size


async def gone(driver: Driver, identity: Identity, bench: Bench) -> None:
    """Nothing is left of a machine, and nobody takes it for living."""
    assert not driver.lives(identity)
    assert await driver.end(identity, "box") is False
    with pytest.raises(MachineError) as failure:
        async with driver.adopt(identity, "box", **place(bench)):
            pass
    assert failure.value.sandbox == "box"
    driver.remove_runtime(bench.runtime)
    driver.remove_runtime(bench.runtime)  # which is gone
    assert not bench.runtime.exists()


def test_a_machine_that_is_killed_did_not_end_in_order(run: Callable[[Case], None]) -> None:
    async def case(bench: Bench) -> None:
        driver = bench.driver()
        async with driver.start(bench.spec(), **place(bench)) as machine:
            death = await machine.kill()
            assert not death.orderly
            assert death.reason
            identity = machine.identity
        await gone(driver, identity, bench)

    run(case)


def test_a_machine_that_answers_nobody_lives_and_can_be_ended(run: Callable[[Case], None]) -> None:
    async def case(bench: Bench) -> None:
        driver = bench.driver()
        async with driver.start(bench.spec(), **place(bench)) as machine:
            identity = machine.identity
        bench.stun(identity)
        later = bench.driver()
        with pytest.raises(MachineError) as failure:
            async with later.adopt(identity, "box", **place(bench)):
                pass
        assert failure.value.sandbox == "box"
        assert later.lives(identity)
        assert await later.end(identity, "box")
        await gone(later, identity, bench)

    run(case)


def test_an_identity_is_that_of_one_machine_alone(run: Callable[[Case], None]) -> None:
    async def case(bench: Bench) -> None:
        driver = bench.driver()
        async with driver.start(bench.spec(), **place(bench)) as machine:
            own = machine.identity
        for other in (
            replace(own, start_time=own.start_time + 1),
            replace(own, boot_id=str(uuid.uuid4())),
            replace(own, uuid=str(uuid.uuid4())),
        ):
            assert await driver.end(other, "box") is False
            with pytest.raises(MachineError):
                async with driver.adopt(other, "box", **place(bench)):
                    pass
        assert running(driver, [own.uuid], end=True) == [own.uuid]
        await gone(driver, own, bench)

    run(case)


def test_what_does_not_start_leaves_nothing(run: Callable[[Case], None]) -> None:
    async def case(bench: Bench) -> None:
        spec = bench.spec()
        spec.overlay.unlink()
        with pytest.raises(StorageError) as failure:
            async with bench.driver().start(spec, **place(bench)):
                pass
        assert failure.value.sandbox == "box"
        assert not bench.runtime.exists()

    run(case)


def test_a_machine_is_saved_and_others_go_on_from_there(run: Callable[[Case], None]) -> None:
    async def case(bench: Bench) -> None:
        driver, memory, state = bench.driver(), bench.folder / "memory", bench.folder / "state"
        shape = template_spec(bench.spec(), Kind.LATER)
        # as templates are made: a file on a disk would be written back meanwhile, which takes pages from the machine
        with closed_after(memory_file(MEMORY << 20)) as descriptor:
            saved = replace(shape, memory=Memory(Path(f"/proc/self/fd/{descriptor}")))
            async with driver.start(saved, **place(bench)) as machine:
                with trio.fail_after(BOOT):
                    await machine.ready()
                assert not machine.restored
                await machine.save(state)
                await machine.stop()
            with memory.open("wb") as file:
                copy_holes(descriptor, file.fileno())
        memory.chmod(0o666)  # a machine may have a user of its own, and QEMU opens it for writing
        driver.remove_runtime(bench.runtime)

        spec = replace(shape, uuid=bench.spec().uuid, memory=Memory(memory, state))
        async with driver.start(spec, **place(bench)) as machine:
            assert machine.restored
            async with talking(machine) as link:
                assert await link.ping() >= 0
            identity = machine.identity
        async with bench.driver().adopt(identity, "box", **place(bench)) as machine:
            assert machine.restored
            await machine.kill()
        await gone(driver, identity, bench)

        state.write_bytes(b"nothing that was ever saved")
        with pytest.raises(MachineError) as failure:
            async with driver.start(spec, **place(bench)):
                pass
        assert failure.value.sandbox == "box"
        assert not bench.runtime.exists()

    run(case)


def test_a_machine_that_ends_before_it_is_ready(run: Callable[[Case], None]) -> None:
    async def case(bench: Bench) -> None:
        driver = bench.driver()
        async with driver.start(bench.spec(), **place(bench)) as machine, trio.open_nursery() as nursery:
            nursery.start_soon(machine.kill)
            with pytest.raises(MachineError) as failure:
                await machine.ready()
            assert failure.value.sandbox == "box"
        driver.remove_runtime(bench.runtime)

    run(case)


def test_what_a_snapshot_depends_on(run: Callable[[Case], None]) -> None:
    async def case(bench: Bench) -> None:
        driver, spec = bench.driver(), bench.spec()
        version = await driver.find()
        assert version == await bench.driver().find()
        assert version.stamp
        own = driver.fingerprint(spec)
        other = replace(spec, uuid=str(uuid.uuid4()), name="other", overlay=Path("/nowhere"))
        assert driver.fingerprint(other) == own
        for changed in (
            replace(spec, memory_mib=MEMORY + 1),
            replace(spec, cpus=2),
            replace(spec, arguments="other"),
            replace(spec, network=Network.USER),
        ):
            assert driver.fingerprint(changed) != own

    run(case)


def test_a_driver_says_what_it_can_do(run: Callable[[Case], None]) -> None:
    async def case(bench: Bench) -> None:
        driver = bench.driver()
        assert driver.info.snapshots
        assert driver.info.name
        for network in driver.info.networks:
            addresses = driver.guest_network(network)
            assert (addresses is not None) is network.has_device
            assert addresses is None or addresses.address != addresses.gateway
        wanted = driver.info.accelerators[-1]
        spec = bench.spec()
        trial = Trial(spec.kernel, spec.initramfs, spec.image, spec.arguments, bench.folder)
        assert (
            await driver.choose_accelerator(trial, lambda _line: None, wanted=wanted)
        ).accelerator is wanted
        assert driver.info.name in {
            finding.name for finding in await trio.to_thread.run_sync(list, driver.examine())
        }
        assert driver.examine_channel().name == "channel"
        asked = driver.examine_accelerator(None, "tcg", bench.folder / "config.toml")
        assert asked.name == "accelerator"

    run(case)
