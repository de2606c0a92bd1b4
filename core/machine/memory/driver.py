"""The driver of machines in memory: it honours the protocol of `sandtop.core.machine.driver` without a machine."""

from __future__ import annotations

import shutil
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import trio

from sandtop.core.errors import MachineError, from_os_error
from sandtop.core.findings import Finding, Verdict
from sandtop.core.machine import console
from sandtop.core.machine.memory.machine import MemoryMachine
from sandtop.core.machine.records import ChannelChoice, Choice, GuestNetwork, Info, Running, Version
from sandtop.core.machine.spec import Accelerator, Network

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator
    from pathlib import Path

    from sandtop.core.machine.memory.world import World
    from sandtop.core.machine.records import Identity, Trial
    from sandtop.core.machine.spec import MachineSpec

INFO: Final = Info(
    name="memory",
    accelerators=(Accelerator.KVM, Accelerator.TCG),
    transports=("socket",),
    networks=frozenset(Network),
    snapshots=True,
    hot_plug=frozenset({"disk"}),
)
_ADDRESSES: Final = GuestNetwork("192.0.2.2", "255.255.255.0", "192.0.2.1", "192.0.2.3")
"""Of the block for documentation (RFC 5737): nothing has such a network."""
_KILL_SECONDS: Final = 5.0


class MemoryDriver:
    """One core's way to the machines of ``world``; see `sandtop.core.machine.driver.Driver`.

    Attributes:
        cut_off: the core is dead, and whatever its tasks still do reaches no machine any more. A process that is killed
            runs no clean-up; tasks that are cancelled do, and this takes the effect from it.
    """

    def __init__(self, world: World) -> None:
        self.cut_off = False
        self._world = world

    @property
    def info(self) -> Info:
        return INFO

    async def find(self) -> Version:
        await self._world.faults.meet("find")
        return Version(self._world.version, self._world.stamp)

    async def choose_accelerator(
        self,
        trial: Trial,
        progress: Callable[[str], None],
        *,
        wanted: Accelerator | None = None,
        again: bool = False,
    ) -> Choice:
        if wanted is not None:
            return Choice(wanted, "asked for")
        await self._world.faults.meet("accelerator")
        return Choice(self._world.accelerator, "the best of this world")

    def choose_channel(self) -> ChannelChoice:
        return ChannelChoice(self._world.channel, "the best of this world")

    @asynccontextmanager
    async def start(
        self, spec: MachineSpec, *, runtime: Path, console_log: Path
    ) -> AsyncGenerator[MemoryMachine]:
        self._check(spec.name)
        console.clear(console_log)
        await self._world.faults.meet("launch")
        self._check(spec.name)
        _open_files(spec)
        guest = self._world.launch(spec, console_log)
        machine = MemoryMachine(self._world, guest, spec.name, console_log, lambda: self.cut_off)
        try:
            _make_runtime(runtime)
            if spec.restored:
                fault = await self._world.faults.meet("load")
                if fault is not None and fault.dies:
                    raise MachineError(guest.end(fault.dies).reason, sandbox=spec.name)
                guest.load()
            await machine.resume()
        except BaseException:
            if not self.cut_off:
                guest.end("it did not come up")
                self.remove_runtime(runtime)
            raise
        yield machine

    @asynccontextmanager
    async def adopt(
        self, identity: Identity, name: str, *, runtime: Path, console_log: Path
    ) -> AsyncGenerator[MemoryMachine]:
        guest = self._world.find(identity)
        if guest is None:
            raise MachineError("the machine is gone", sandbox=name)
        machine = MemoryMachine(self._world, guest, name, console_log, lambda: self.cut_off)
        await self._world.faults.meet("adopt")
        await machine.paused()  # whether it answers
        yield machine

    def lives(self, identity: Identity) -> bool:
        return self._world.find(identity) is not None

    async def end(self, identity: Identity, name: str) -> bool:
        guest = self._world.find(identity)
        if guest is None:
            return False
        with trio.move_on_after(_KILL_SECONDS):
            await self._world.faults.meet("kill")
            self._check(name)
            guest.end("the machine was killed")
            return True
        raise MachineError(f"the machine does not die {_KILL_SECONDS:g} s after it was killed", sandbox=name)

    def end_all(self, which: Callable[[Running], bool]) -> list[Running]:
        ended: list[Running] = []

        def end() -> None:
            for guest in list(self._world.machines.values()):
                if which(running := Running(guest.uuid, guest.pid)) and not self.cut_off:
                    guest.end("the machine was killed")
                    ended.append(running)

        self._world.in_trio(end)
        return ended

    def remove_runtime(self, runtime: Path) -> None:
        try:
            if runtime.exists() and not self.cut_off:
                shutil.rmtree(runtime)
        except OSError as error:
            raise from_os_error(error, f"removing {runtime}") from error

    def fingerprint(self, spec: MachineSpec) -> tuple[str, ...]:
        parts = spec.memory_mib, spec.cpus, spec.network, spec.accelerator, spec.arguments, spec.slots
        return tuple(str(part) for part in parts)

    def guest_network(self, network: Network) -> GuestNetwork | None:
        if not network.has_device:
            return None
        return replace(_ADDRESSES, reject_gateway=network is not Network.USER_AND_LOOPBACK)

    # doctor

    def examine(self) -> Iterator[Finding]:
        yield Finding(INFO.name, Verdict.OK, self._world.version)

    def examine_accelerator(self, trial: Trial | None, asked: str, settings: Path) -> Finding:
        return Finding("accelerator", Verdict.OK, self._world.accelerator.value)

    def examine_channel(self) -> Finding:
        return Finding("channel", Verdict.OK, INFO.transports[0])

    def _check(self, name: str) -> None:
        if self.cut_off:
            raise MachineError("the core that asks is dead", sandbox=name)


def _open_files(spec: MachineSpec) -> None:
    """Open what a machine is started with, and close it. Raises `StorageError`."""
    try:
        for path in (spec.kernel, spec.initramfs, spec.image, spec.overlay):
            path.open("rb").close()
    except OSError as error:
        raise from_os_error(error, "cannot open what the machine starts with", sandbox=spec.name) from error


def _make_runtime(runtime: Path) -> None:
    """The folder of a machine's sockets, with something in it."""
    try:
        shutil.rmtree(runtime, ignore_errors=True)
        runtime.mkdir(mode=0o700, parents=True)
        (runtime / "machine").touch()
    except OSError as error:
        raise from_os_error(error, "making the folder of a machine's sockets") from error
