"""A host with one kind of machines, for the tests that every driver has to pass."""

from __future__ import annotations

import os
import signal
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from tests.accelerator import chosen
from tests.settings import channel

from sandtop.agent.wire import VSOCK_PORT
from sandtop.core import paths
from sandtop.core.guest import KERNEL_ARGS, GuestStore, vsock_argument
from sandtop.core.machine.memory import MemoryDriver, World
from sandtop.core.machine.registry import driver_for
from sandtop.core.machine.spec import Accelerator, Channel, MachineSpec

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    import trio

    from sandtop.core.machine.driver import Driver
    from sandtop.core.machine.records import Identity, Running

MEMORY = 256


class Bench(Protocol):
    """A host with one kind of machines.

    Attributes:
        folder: for the files of a test.
        runtime: where the sockets of its machine go.
        uuids: of the machines whose specs it gave.
    """

    folder: Path
    runtime: Path
    uuids: list[str]

    def driver(self) -> Driver:
        """The driver of another core."""
        ...

    def spec(self) -> MachineSpec:
        """Another sandbox's machine, with a blank disk."""
        ...

    def stun(self, identity: Identity) -> None:
        """Have the machine answer nobody any more."""
        ...


class MemoryBench:
    def __init__(self, folder: Path, nursery: trio.Nursery) -> None:
        self.folder, self.runtime = folder, folder / "run"
        self.uuids: list[str] = []
        self.world = World(nursery)

    def driver(self) -> Driver:
        return MemoryDriver(self.world)

    def spec(self) -> MachineSpec:
        for name in ("kernel", "initramfs", "image", "overlay"):
            (self.folder / name).touch()
        files = self.folder / "kernel", self.folder / "initramfs", self.folder / "image"
        return _spec(self, files, self.folder / "overlay", Accelerator.TCG)

    def stun(self, identity: Identity) -> None:
        self.world.machines[identity.pid].answers = False


class QemuBench:
    def __init__(self, folder: Path, runtime: Path) -> None:
        self.folder, self.runtime = folder, runtime
        self.uuids: list[str] = []
        self._store = GuestStore(paths.find())
        self._store.prepare()
        self._accelerator = chosen()

    def driver(self) -> Driver:
        return driver_for(paths.find(), channel())

    def spec(self) -> MachineSpec:
        store, overlay = self._store, self.folder / "overlay"
        overlay.unlink(missing_ok=True)
        store.create_overlay(overlay, 64 << 20)
        files = store.kernel().image, store.runtime().initrd, store.image("base").path
        spec = _spec(self, files, overlay, self._accelerator)
        if self.driver().choose_channel().channel is not Channel.VSOCK:
            return spec
        arguments = f"{spec.arguments} {vsock_argument(VSOCK_PORT)}"
        return replace(spec, arguments=arguments, channel=Channel.VSOCK)

    def stun(self, identity: Identity) -> None:
        os.kill(identity.pid, signal.SIGSTOP)


def _spec(
    bench: Bench, files: tuple[Path, Path, Path], overlay: Path, accelerator: Accelerator
) -> MachineSpec:
    kernel, initramfs, image = files
    bench.uuids.append(str(uuid.uuid4()))
    return MachineSpec(
        uuid=bench.uuids[-1],
        name="box",
        kernel=kernel,
        initramfs=initramfs,
        image=image,
        overlay=overlay,
        arguments=" ".join(KERNEL_ARGS),
        memory_mib=MEMORY,
        accelerator=accelerator,
    )


def running(driver: Driver, uuids: Collection[str], *, end: bool) -> list[str]:
    """Those of ``uuids`` that have a machine; with ``end`` they have it no more. Others' machines are not touched."""
    found: list[str] = []

    def which(running: Running) -> bool:
        if running.uuid in uuids:
            found.append(running.uuid)
        return end and running.uuid in uuids

    ended = driver.end_all(which)
    assert [each.uuid for each in ended] == (found if end else [])
    return found
