"""QEMU as a driver of machines: everything that the rest of the core asks of it, in one place."""

from __future__ import annotations

import os
import shutil
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import trio

from sandtop.core.errors import MachineError
from sandtop.core.machine.qemu import descriptors, doctor, machine, survivors, vsock, vsockdiag
from sandtop.core.machine.qemu.accelerator import Accelerators
from sandtop.core.machine.qemu.commandline import command_line
from sandtop.core.machine.qemu.emulation import Emulation
from sandtop.core.machine.qemu.program import QEMU, Qemu, find_qemu
from sandtop.core.machine.records import ChannelChoice, GuestNetwork, Info, Version
from sandtop.core.machine.spec import Accelerator, Channel, Memory, Network
from sandtop.core.settings import TRANSLATION_CACHE_MIB

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator

    from sandtop.core.findings import Finding
    from sandtop.core.machine.driver import Machine
    from sandtop.core.machine.records import Choice, Identity, Running, Trial
    from sandtop.core.machine.spec import MachineSpec

INFO: Final = Info(
    name="qemu",
    accelerators=(Accelerator.KVM, Accelerator.TCG),
    transports=(Channel.VSOCK, Channel.VIRTIO_SERIAL),
    networks=frozenset(Network),
    snapshots=True,
    hot_plug=frozenset({"disk", "port"}),
)

USER_NETWORK: Final = GuestNetwork("10.0.2.15", "255.255.255.0", "10.0.2.2", "10.0.2.3")
"""Where QEMU's user-mode network answers (qemu-system(1), -netdev user)."""

_NOWHERE: Final = Path("/nowhere")
_NOBODY: Final = "00000000-0000-0000-0000-000000000000"
_CPU_FACTS: Final = ("vendor_id", "cpu family", "model", "stepping", "microcode", "flags")


class QemuDriver:
    """A `Driver`. What a trial of KVM answered is kept in the folder ``cache``.

    ``channel`` is the one that machines must have; None for the best that works. ``translation_cache_mib`` is the
    size of TCG's cache of translated code in each machine.
    """

    def __init__(
        self,
        cache: Path,
        channel: Channel | None = None,
        translation_cache_mib: int = TRANSLATION_CACHE_MIB,
    ) -> None:
        self._channel = channel
        self._translation_cache_mib = translation_cache_mib
        self._has_vsock = False
        self._accelerators = Accelerators(cache)
        self._found: Qemu | None = None
        self._stamp: tuple[str, int] | None = None

    @property
    def info(self) -> Info:
        """What QEMU can do, as it is used here."""
        return INFO

    async def find(self) -> Version:
        """QEMU, asked for its version again only when the program has changed. Raises `MissingDependency`."""
        found = await self._program()
        modified = self._stamp[1] if self._stamp is not None else 0
        return Version(found.version, f"{found.path} {found.version} {modified}")

    async def _program(self) -> Qemu:
        path = shutil.which(QEMU)
        stamp = (path, os.stat(path).st_mtime_ns) if path else None
        if self._found is None or stamp != self._stamp:
            self._found, self._stamp = await trio.to_thread.run_sync(find_qemu), stamp
        return self._found

    async def choose_accelerator(
        self,
        trial: Trial,
        progress: Callable[[str], None],
        *,
        wanted: Accelerator | None = None,
        again: bool = False,
    ) -> Choice:
        """See `Accelerators.choose`."""
        return await self._accelerators.choose(
            await self._program(), trial, progress, wanted=wanted, again=again
        )

    def choose_channel(self) -> ChannelChoice:
        """vsock where the host has it, and where a guest's vsock leads to nothing else. A "no" is not kept.

        See `vsock.problem` and `vsockdiag.ports`.
        """
        # to close the device takes a grace period of the kernel's: once it works, no start waits for that again
        problem = None if self._has_vsock else vsock.problem()
        self._has_vsock = problem is None
        if self._channel is Channel.VIRTIO_SERIAL:
            other = "this host has vhost-vsock, too" if problem is None else f"no vsock: {problem}"
            return ChannelChoice(self._channel, f"by the setting channel; {other}")
        if self._channel is Channel.VSOCK:
            if problem is None:
                return ChannelChoice(self._channel, "asked for")
            raise MachineError(
                f"vsock was asked for and cannot be used: {problem}",
                hint='without it: channel = "virtio-serial" in config.toml, or --channel virtio-serial',
            )
        if problem is not None:
            return ChannelChoice(Channel.VIRTIO_SERIAL, f"no vsock: {problem}")
        if (exposed := vsockdiag.exposed()) is not None:
            return ChannelChoice(Channel.VIRTIO_SERIAL, f"this host has vhost-vsock, but {exposed}")
        return ChannelChoice(
            Channel.VSOCK, "this host has vhost-vsock, and no service that a guest reaches by it"
        )

    @asynccontextmanager
    async def start(self, spec: MachineSpec, *, runtime: Path, console_log: Path) -> AsyncGenerator[Machine]:
        """See `machine.start`."""
        program = await self._program()
        async with machine.start(
            spec,
            runtime=runtime,
            console_log=console_log,
            qemu=program.path,
            emulation=self._emulation(program),
            insist=self._channel is not None,
        ) as started:
            yield started

    @asynccontextmanager
    async def adopt(
        self, identity: Identity, name: str, *, runtime: Path, console_log: Path
    ) -> AsyncGenerator[Machine]:
        """See `machine.adopt`."""
        insist = self._channel is not None
        opener = machine.adopt(identity, name, runtime=runtime, console_log=console_log, insist=insist)
        async with opener as adopted:
            yield adopted

    def _emulation(self, program: Qemu) -> Emulation:
        return Emulation(self._translation_cache_mib, program.finds_code_by_address)

    def lives(self, identity: Identity) -> bool:
        """Whether that QEMU runs."""
        try:
            survivors.adopt(identity, "").close()
        except MachineError:
            return False
        return True

    async def end(self, identity: Identity, name: str) -> bool:
        """SIGKILL to that QEMU; False when it was gone. Raises `MachineError` when it does not end."""
        try:
            found = survivors.adopt(identity, name)
        except MachineError:
            return False
        with found:
            await found.kill()
        return True

    def end_all(self, which: Callable[[Running], bool]) -> list[Running]:
        """See `survivors.kill_all`."""
        return survivors.kill_all(which)

    def remove_runtime(self, runtime: Path) -> None:
        """See `descriptors.remove_runtime`."""
        descriptors.remove_runtime(runtime)

    def fingerprint(self, spec: MachineSpec) -> tuple[str, ...]:
        """QEMU's arguments, and under KVM the host's processor, which the guest sees as it is (``-cpu host``)."""
        memory = None if spec.memory is None else Memory(_NOWHERE, spec.memory.state)
        nobodys = replace(spec, uuid=_NOBODY, name="template", memory=memory)
        host = _host_cpu() if spec.accelerator is Accelerator.KVM else ""
        # QEMU's version, on which the rest depends, is in the key of a template by its stamp
        emulation = Emulation(self._translation_cache_mib)
        return (host, *command_line(nobodys, _NOWHERE, emulation=emulation).argv)

    def guest_network(self, network: Network) -> GuestNetwork | None:
        """The fixed addresses of QEMU's user-mode network."""
        if not network.has_device:
            return None
        return replace(USER_NETWORK, reject_gateway=network is not Network.USER_AND_LOOPBACK)

    def examine(self) -> Iterator[Finding]:
        """QEMU itself."""
        yield doctor.program()

    def examine_accelerator(self, trial: Trial | None, asked: str, settings: Path) -> Finding:
        """KVM, tried out; see `doctor.accelerator`."""
        return doctor.accelerator(self, trial, asked, settings)

    def examine_channel(self) -> Finding:
        """See `doctor.channel`."""
        return doctor.channel(self)


def _host_cpu() -> str:
    first = Path("/proc/cpuinfo").read_text().partition("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    facts = {name.strip(): value.strip() for name, _, value in pairs}
    return repr([facts.get(name) for name in _CPU_FACTS])
