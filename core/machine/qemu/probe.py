"""Whether a machine really runs under KVM on this host: one is booted, by the command line of every other, until its
agent is ready.

A /dev/kvm that opens proves nothing. On some nested hosts a guest's processor never leaves KVM's own emulator, which
carries out a million instructions a second (QEMU's TCG: several hundred million), so that a boot would take an hour; on
others it spins and prints nothing.

There are three answers. A guest that is ready: yes. One that ended by itself, that KVM emulates, or that may not open
/dev/kvm: no. And one that was not ready in time, or was killed: that is no answer, and is not to be remembered as one.
"""

from __future__ import annotations

import os
import uuid as uuids
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final, cast

import trio

from sandtop.core.errors import MachineError, StorageError
from sandtop.core.machine.qemu.machine import DiedAtStart, QemuMachine, start
from sandtop.core.machine.qemu.users import KVM, kvm_groups, machine_uid
from sandtop.core.machine.spec import Accelerator, MachineSpec

if TYPE_CHECKING:
    from sandtop.core.machine.qemu.process import Exit
    from sandtop.core.machine.qemu.program import Qemu
    from sandtop.core.machine.records import Trial

_MEMORY_MIB: Final = 256
_DISK_BYTES: Final = 1 << 20
_LOOK: Final = 0.5
"""Seconds between looks at what the guest has printed and at what KVM counts."""
_EMULATED: Final = 50_000
_EMULATED_SHARE: Final = 50
_EMULATED_LOOKS: Final = 3
"""KVM's own counters show that it emulates: so many instructions carried out in software, so many of them for each time
that the processor left the guest, and that at so many looks in a row. Seen on such a host after one second: 59,000, 197
for each of 301 exits. A processor that runs the guest leaves it for every access to a device, and for little else needs
software.
"""
_PASSING: Final = ("Cannot allocate memory", "Device or resource busy", "Resource temporarily unavailable")
"""Reasons of QEMU's that say nothing of this host's KVM at another time."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a guest may take, in seconds: ``silence`` without a line on its console, ``most`` in all."""

    silence: float = 20.0
    most: float = 120.0


@dataclass(frozen=True, slots=True)
class Probe:
    """Whether KVM works here (None: that is not known), and in words for people why, or why not."""

    works: bool | None
    reason: str


async def probe(trial: Trial, qemu: Qemu, patience: Patience = Patience()) -> Probe:  # frozen
    """Boot under KVM until the agent is ready. Leaves nothing behind, also when this process is killed meanwhile.

    Runs as the machine's own user, as every machine does. Raises `MissingDependency`.
    """
    why = refused()
    if why is not None:
        return Probe(False, why)
    try:
        with TemporaryDirectory(prefix="kvm-", dir=trial.runtime, ignore_cleanup_errors=True) as folder:
            return await _boot(trial, Path(folder), qemu, patience)
    except DiedAtStart as error:
        return _ended(error.exit)
    except (MachineError, StorageError, OSError) as error:
        return Probe(None, f"it could not be tried: {error}")


def refused() -> str | None:
    """Why a machine may not even open /dev/kvm."""
    if not KVM.exists():
        return f"{KVM} is not there: no hardware virtualization, or the kvm module is not loaded"
    if not os.access(KVM, os.R_OK | os.W_OK):
        return f"{KVM} is not yours to open: join its group, often kvm"
    if machine_uid("") is not None:
        try:
            kvm_groups()
        except MachineError as error:
            return str(error)
    return None


async def _boot(trial: Trial, folder: Path, qemu: Qemu, patience: Patience) -> Probe:
    disk = folder / "disk"
    disk.touch(mode=0o600)
    os.truncate(disk, _DISK_BYTES)
    spec = MachineSpec(
        uuid=str(uuids.uuid4()), name="a test of KVM", kernel=trial.kernel, initramfs=trial.initramfs,
        image=trial.image, overlay=disk, arguments=trial.arguments, memory_mib=_MEMORY_MIB,
        accelerator=Accelerator.KVM,
    )  # fmt: skip
    opener = start(
        spec, runtime=folder / "m", console_log=folder / "console", qemu=qemu.path, tied=round(patience.most)
    )
    async with opener as machine:
        try:
            return await _watch(machine, patience)
        finally:
            with trio.CancelScope(shield=True):
                await machine.kill()


async def _watch(machine: QemuMachine, patience: Patience) -> Probe:
    """The answer: by the agent, by the machine's end, by what KVM counts, or by the clock."""
    found: list[Probe] = []
    async with trio.open_nursery() as nursery:

        async def until_ready() -> None:
            try:
                await machine.ready()
                found.append(Probe(True, "a guest boots under KVM, and its agent answers"))
            except MachineError:
                found.append(_ended(await machine.exited()))
            nursery.cancel_scope.cancel()

        nursery.start_soon(until_ready)
        found.append(await _until_hopeless(machine, patience))
        nursery.cancel_scope.cancel()
    return found[0]


async def _until_hopeless(machine: QemuMachine, patience: Patience) -> Probe:
    begun = spoke = trio.current_time()
    printed = looks = 0
    while True:
        await trio.sleep(_LOOK)
        now, size = trio.current_time(), _size(machine.console_log)
        if size != printed:
            printed, spoke = size, now
        looks = looks + 1 if await _emulated(machine) else 0
        if looks == _EMULATED_LOOKS:
            return Probe(
                False,
                f"{KVM} opens, but this host's KVM carries a guest's instructions out one by one in software, far "
                "slower than QEMU does",
            )
        if now - spoke > patience.silence or now - begun > patience.most:
            last = machine.console_tail(1)
            said = f"it printed last: {last}" if last else "it printed nothing"
            return Probe(None, f"a guest under KVM was not ready after {now - begun:.0f} s; {said}")


def _size(console: Path) -> int:
    try:
        return console.stat().st_size
    except FileNotFoundError:  # between two files of it
        return 0


async def _emulated(machine: QemuMachine) -> bool:
    """Whether KVM does in software what the processor should do (QMP's query-stats, QEMU 7.1)."""
    try:
        answer = await machine.monitor.execute(
            "query-stats",
            target="vcpu",
            providers=[{"provider": "kvm", "names": ["insn_emulation", "exits"]}],
        )
    except MachineError:  # it has ended, or its kernel does not count
        return False
    counts = {"insn_emulation": 0, "exits": 0}
    for vcpu in cast("list[dict[str, object]]", answer) if isinstance(answer, list) else []:
        for stat in cast("list[dict[str, object]]", vcpu.get("stats") or []):
            name, value = stat.get("name"), stat.get("value")
            if isinstance(name, str) and name in counts and isinstance(value, int):
                counts[name] += value
    emulated = counts["insn_emulation"]
    return emulated > _EMULATED and emulated > _EMULATED_SHARE * counts["exits"]


def _ended(end: Exit) -> Probe:
    """What the end of a guest says; nothing when somebody killed it, or when the reason may pass."""
    passing = end.signal is not None or any(word in end.reason for word in _PASSING)
    return Probe(None if passing else False, f"{KVM} opens, but a guest does not boot: {end.reason}")
