"""What tells machines that go on from one state apart is the host's entropy: without it they are alike.

The control of `test_unique`. A kernel also stirs its own randomness, with the processor's, which is the host's, once
that is older than half its uptime (a minute at most: crng_has_old_seed in drivers/char/random.c). A template is saved
so soon after its boot that its clones do so within a second. The state here is saved later, just after a stir, so that
what shows is the host's doing alone.
"""

from __future__ import annotations

import os
import socket
import uuid
from base64 import b64encode
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio
from tests.accelerator import chosen
from tests.agent.core_side import CoreSide
from tests.settings import SLOWER

from sandtop.core import paths
from sandtop.core.channel import UnixSocket
from sandtop.core.guest import KERNEL_ARGS, GuestStore
from sandtop.core.machine import MachineSpec, Memory
from sandtop.core.machine.registry import driver_for
from sandtop.core.templates.files import copy_holes, memory_file
from sandtop.core.templates.key import Kind, template_spec

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

    from sandtop.core.machine import Accelerator, Machine

pytestmark = [pytest.mark.timeout(300)]

CLONES = 3
SETTLED = 16 * SLOWER
"""Seconds of uptime: half of that is how long a stir then holds, and a clone has spoken long before."""
BOOT = 90.0 * SLOWER
MIB = 1 << 20
MEMORY = 256


def make_spec(folder: Path, accelerator: Accelerator, memory: int) -> MachineSpec:
    """The machine whose state is saved, with its files in ``folder`` and its memory in that descriptor."""
    store = GuestStore(paths.find())
    store.prepare()
    store.create_overlay(folder / "overlay", 256 * MIB)
    spec = MachineSpec(
        uuid=str(uuid.uuid4()),
        name="box",
        kernel=store.kernel().image,
        initramfs=store.runtime().initrd,
        arguments=" ".join(KERNEL_ARGS),
        image=store.image("base").path,
        overlay=folder / "overlay",
        memory_mib=MEMORY,
        accelerator=accelerator,
        memory=Memory(Path(f"/proc/self/fd/{memory}")),
    )
    return template_spec(spec, Kind.FRESH)


@asynccontextmanager
async def running(spec: MachineSpec, folder: Path) -> AsyncGenerator[Machine]:
    """The machine, which ends with the context."""
    driver = driver_for(paths.find())
    runtime = Path(os.environ["XDG_RUNTIME_DIR"]) / f"e-{spec.uuid[:8]}"
    try:
        async with driver.start(spec, runtime=runtime, console_log=folder / "console") as machine:
            try:
                yield machine
            finally:
                with trio.CancelScope(shield=True):
                    await machine.kill()
    finally:
        driver.remove_runtime(runtime)


@contextmanager
def core_of(machine: Machine) -> Generator[CoreSide]:
    """A link to the machine's agent."""
    way = machine.agent()
    assert isinstance(way, UnixSocket)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(way.path))
        core = CoreSide(sock)
        core.link(BOOT)
        yield core


def stir(core: CoreSide) -> None:
    assert core.configure(entropy=b64encode(os.urandom(64)).decode()) is None


def settle(machine: Machine) -> None:
    """Return when the machine has run for a while and its randomness is fresh."""
    with core_of(machine) as core:
        stir(core)
        core.shell(f"while read -r up _ </proc/uptime; [ ${{up%%.*}} -lt {SETTLED:.0f} ]; do sleep 0.2; done")
        stir(core)


def first_word(machine: Machine, *, stirred: bool) -> bytes:
    """The boot_id, which the kernel makes of its randomness when it is first asked."""
    with core_of(machine) as core:
        if stirred:
            stir(core)
        else:
            assert core.configure(entropy=None) is None
        return core.run("cat", "/proc/sys/kernel/random/boot_id").stdout


def copy_disk(source: Path, target: Path) -> None:
    with source.open("rb") as reader, target.open("wb") as writer:
        copy_holes(reader.fileno(), writer.fileno())


async def save(spec: MachineSpec, folder: Path) -> None:
    async with running(spec, folder) as machine:
        await trio.to_thread.run_sync(settle, machine)
        await machine.save(folder / "state")


async def clone(spec: MachineSpec, folder: Path, word: Callable[[Machine], bytes]) -> bytes:
    """What a machine says that goes on from the state in ``folder``, on a disk of its own."""
    assert spec.memory is not None
    overlay = folder / "copy"
    copy_disk(spec.overlay, overlay)
    again = replace(
        spec, uuid=str(uuid.uuid4()), overlay=overlay, memory=Memory(spec.memory.file, folder / "state")
    )
    async with running(again, folder) as machine:
        return await trio.to_thread.run_sync(word, machine)


async def words(spec: MachineSpec, folder: Path, *, stirred: bool) -> set[bytes]:
    return {await clone(spec, folder, partial(first_word, stirred=stirred)) for _ in range(CLONES)}


async def both(folder: Path, accelerator: Accelerator) -> tuple[set[bytes], set[bytes]]:
    memory = memory_file(MEMORY * MIB)
    try:
        spec = make_spec(folder, accelerator, memory)
        await save(spec, folder)
        return await words(spec, folder, stirred=False), await words(spec, folder, stirred=True)
    finally:
        os.close(memory)


def test_clones_without_the_hosts_entropy_are_alike(tmp_path: Path) -> None:
    alike, apart = trio.run(both, tmp_path, chosen())
    assert len(alike) == 1
    assert len(apart) == CLONES
