"""QEMU's command line as data: the arguments, and the descriptors that they speak of.

Everything that QEMU opens for a sandbox it gets as an open descriptor, so that it can run under a uid that may not
enter any of the owner's folders (all 0700), and so that no path of the user's, with whatever commas are in it, is
ever parsed by QEMU:

- disks through ``-add-fd`` and ``/dev/fdset/N``: QEMU duplicates the descriptor, the file's mode plays no part;
- sockets, bound and made 0600 by us, as ``-chardev socket,fd=N,server=on``;
- kernel and initramfs as ``/proc/self/fd/N``. QEMU opens these anew, so the *file* must be readable by the machine's
  user although its folders need not be (proc(5), magic links); ``/dev/fdset`` does not serve them.

The options were chosen by measuring: QEMU 7.2 and the 6.1 cloud kernel of Debian 12 under TCG on 2 cores, CPU seconds
from start to the end of a small init, the medians of 5 boots taken in turns on a host that others were using too
(differences below 0.2 mean nothing). Plain q35 with SeaBIOS and a bzImage 4.15, with an uncompressed vmlinux 3.6; the
devices below left out 3.4; qboot for SeaBIOS 3.0 (with a bzImage 3.4). No difference was seen between the processors
max, qemu64 and max less la57. An idle guest takes 0.3 % of a core, 0.2 to 0.9 in single runs; with an hpet 1.2.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from sandtop.agent.wire import PORT_NAME
from sandtop.core.machine.qemu.hotplug import PORTS, slot
from sandtop.core.machine.qemu.vsock import DEVICE as VSOCK_DEVICE
from sandtop.core.machine.qemu.vsock import NOMINAL_CID
from sandtop.core.machine.spec import Accelerator, Channel, MachineSpec, Network
from sandtop.core.settings import TRANSLATION_CACHE_MIB

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

TCG_CPU: Final = "max,erms=off,fsrm=off,smap=off,smep=off"
"""All that QEMU emulates, but for two things.

The promise that ``rep movsb`` is fast, which kernel and glibc would take up: there QEMU copies byte by byte. Boot and
two starts of Python: 7.6 s of processor time instead of 9.4 (medians of 3). And SMAP and SMEP, which harden the guest's
kernel against its own programs: with them an exec takes an eighth more. What holds a guest is the emulator.
"""

TCG_ARGUMENTS: Final = "no_timer_check tsc=reliable nokaslr mitigations=off init_on_alloc=0"
"""Kernel arguments for an emulated machine.

The first two are for a busy host, where its processors stand still for a while.

The kernel tests its timer against the wall clock, and the time stamp counter against another clock. Of 10 guests
that booted at once on 2 cores, 6 found the timer broken, one of those panicked ("IO-APIC + timer doesn't work"), and
at least 4 fell back to a clock that costs an exit per reading (acpi_pm); with these two, 10 of 10 booted on the tsc.

The third because a kernel that moves itself to a random address takes more to boot. The fourth because there is no
speculation to mitigate. The last because Debian's kernel clears all memory that it takes for itself, where it is about
to fill it anyway; what programs get is cleared in any case. With that an exec of /bin/true took a tenth more processor
time. Guests under emulation do without that hardening: QEMU does not call TCG a security boundary.
"""

TCG_FIXED: Final = " norandmaps"
"""And one for a QEMU that finds translated code again by its virtual address; see `Qemu.wants_fixed_addresses`.

With programs and libraries at other addresses each time, every exec of /bin/true translated 1.3 MB of code anew under
QEMU 7.2: 77 ms of processor time instead of 28. Guests there do without that hardening.
"""

TCG_SINGLE: Final = " nr_cpus=1"
"""And another when there is a single processor: locks are then none, which saves a few per cent."""

_FIRST_DESCRIPTOR: Final = 3
_MOST_PORTS: Final = 10
"""On it: one that QEMU keeps for a console, the agent's, and 8 more. Each takes the guest some 10 KB of memory."""


@dataclass(frozen=True, slots=True)
class Emulation:
    """How TCG is set up.

    Attributes:
        cache_mib: its cache of translated code. QEMU's own default is an eighth of the host's memory, at most 1 GiB.
        fixed_addresses: programs and libraries are always at the same addresses in the guest (``norandmaps``).
    """

    cache_mib: int = TRANSLATION_CACHE_MIB
    fixed_addresses: bool = True


EMULATION: Final = Emulation()
"""What suits every QEMU."""


class Role(StrEnum):
    """What a descriptor is for."""

    KERNEL = "kernel"
    INITRAMFS = "initramfs"
    IMAGE = "image"
    OVERLAY = "overlay"
    QMP = "qmp"
    AGENT = "agent"
    CONSOLE = "console"
    MEMORY = "memory"
    VSOCK = "vsock"
    DEVICE_FRAMES = "device-frames"
    NETWORK_FRAMES = "network-frames"

    @property
    def is_end(self) -> bool:
        """Whether it is an end of the pair of sockets that a guest's frames pass (`firewall`): nothing with a path."""
        return self in (Role.DEVICE_FRAMES, Role.NETWORK_FRAMES)

    @property
    def kind(self) -> str:
        """What the descriptor is of, for ``inspect``."""
        return "socket pair" if self.is_end else "socket" if self.is_socket else "file"

    @property
    def is_socket(self) -> bool:
        """Whether it is a listening Unix socket, rather than an open file."""
        return self in (Role.QMP, Role.AGENT, Role.CONSOLE)

    @property
    def is_writable(self) -> bool:
        """Whether it is opened O_RDWR, rather than O_RDONLY."""
        return self in (Role.OVERLAY, Role.VSOCK)


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A descriptor that QEMU inherits.

    Attributes:
        role: what it is for.
        number: its number, the same in our process and in QEMU's.
        path: the file to open, or where to bind the listening Unix socket; None for an end of a pair of sockets.
    """

    role: Role
    number: int
    path: Path | None


@dataclass(frozen=True, slots=True)
class CommandLine:
    """The arguments, the program's name first, and the descriptors that must be open when they are run."""

    argv: tuple[str, ...]
    descriptors: tuple[Descriptor, ...]

    def to_json(self) -> dict[str, object]:
        """As JSON types, for ``inspect``."""
        return {
            "argv": list(self.argv),
            "descriptors": [
                {
                    "role": d.role.value,
                    "number": d.number,
                    "path": "" if d.path is None else str(d.path),
                    "kind": d.role.kind,
                    "writable": d.role.is_writable,
                }
                for d in self.descriptors
            ],
        }


def needed(spec: MachineSpec, runtime: Path) -> dict[Role, Path | None]:
    """The path behind each descriptor that ``spec`` needs, in order. ``runtime``: the folder for its sockets."""
    paths: dict[Role, Path | None] = (
        {} if spec.restored else {Role.KERNEL: spec.kernel, Role.INITRAMFS: spec.initramfs}
    )
    paths |= {
        Role.IMAGE: spec.image,
        Role.OVERLAY: spec.overlay,
        Role.QMP: runtime / "qmp",
        Role.CONSOLE: runtime / "console",
        Role.AGENT: runtime / "agent",
    }
    if spec.memory is not None:
        paths[Role.MEMORY] = spec.memory.file
    if spec.channel is Channel.VSOCK:
        paths[Role.VSOCK] = VSOCK_DEVICE
    if spec.network is Network.USER:
        paths |= {Role.DEVICE_FRAMES: None, Role.NETWORK_FRAMES: None}
    return paths


def command_line(
    spec: MachineSpec,
    runtime: Path,
    *,
    qemu: str = "qemu-system-x86_64",
    numbers: Mapping[Role, int] | None = None,
    cid: int | None = None,
    emulation: Emulation = EMULATION,
) -> CommandLine:
    """The command line of ``spec``; a pure function.

    ``numbers`` are the descriptors to speak of, one for each of `needed`. Without them they count from 3, as
    ``inspect`` shows it. ``cid`` is the machine's, where it has vsock; ``emulation`` plays no part under KVM.
    """
    paths = needed(spec, runtime)
    fd = numbers if numbers is not None else {role: _FIRST_DESCRIPTOR + n for n, role in enumerate(paths)}
    argv = (
        qemu,
        *_identity(spec),
        *hardening(),
        *_machine(spec, fd, emulation),
        *_boot(spec, fd, emulation),
        *_qmp(fd),
        *_console(fd),
        *_disks(fd),
        *_entropy(),
        *_agent(fd),
        *_vsock(spec, fd, cid),
        *_network(spec, fd),
        *_slots(spec),
    )
    return CommandLine(argv, tuple(Descriptor(role, fd[role], path) for role, path in paths.items()))


def _identity(spec: MachineSpec) -> list[str]:
    # adoption looks for the uuid in /proc/PID/cmdline, and QMP's query-uuid answers with it
    return ["-name", f"guest=sandtop-{spec.uuid}", "-uuid", spec.uuid]


def hardening() -> list[str]:
    return [
        "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
        "-nodefaults",
        "-no-user-config",
        "-display", "none",
        "-no-reboot",
    ]  # fmt: skip


def accelerated(accelerator: Accelerator, emulation: Emulation = EMULATION) -> list[str]:
    """What executes the guest, and the processor that it sees."""
    if accelerator is Accelerator.KVM:
        return ["-accel", "kvm", "-cpu", "host"]
    return ["-accel", f"tcg,thread=multi,tb-size={emulation.cache_mib}", "-cpu", TCG_CPU]


def translation_cache_mib(arguments: Iterable[str]) -> int | None:
    """The size of TCG's cache of translated code on this command line; None under KVM."""
    found = re.search(r"\btb-size=(\d+)", " ".join(arguments))
    return int(found[1]) if found else None


def kernel_arguments(
    arguments: str,
    accelerator: Accelerator,
    cpus: int,
    emulation: Emulation = EMULATION,
) -> str:
    """``arguments`` for the guest's kernel, and what the accelerator wants to have with them."""
    if accelerator is Accelerator.KVM:
        return arguments
    fixed = TCG_FIXED if emulation.fixed_addresses else ""
    return f"{arguments} {TCG_ARGUMENTS}{fixed}{TCG_SINGLE if cpus == 1 else ''}".lstrip()


def _machine(spec: MachineSpec, fd: Mapping[Role, int], emulation: Emulation) -> list[str]:
    machine = {
        # one type for both accelerators, and not microvm: docs/decisions/0011-q35.md
        "type": "q35",
        "memory-backend": "ram",
        # Devices that no guest of ours has a use for: less to emulate, less to attack. The PIT stays: without it the
        # kernel panics (0 of 3 boots). So do the PIC (no gain seen without it) and ACPI, without which a boot takes
        # 0.2 s less and a guest cannot switch itself off.
        "hpet": "off",
        "smm": "off",
        "vmport": "off",
        "sata": "off",
        "smbus": "off",
        "usb": "off",
        "i8042": "off",
        "dump-guest-core": "off",
        "mem-merge": "off",
    }
    return [
        "-machine", ",".join(f"{key}={value}" for key, value in machine.items()),
        *accelerated(spec.accelerator, emulation),
        "-smp", _processors(spec),
        "-m", f"size={spec.memory_mib}M",
        "-object", _memory(spec, fd),
        # the guest begins with QMP's "cont", when its console has a reader and its limits are set
        "-S",
    ]  # fmt: skip


def _processors(spec: MachineSpec) -> str:
    if spec.accelerator is Accelerator.TCG and spec.cpus == 1:
        # One that could be plugged in and never is. For a machine with a single processor QEMU before 8.1 translates no
        # memory barriers ("tcg: Do not elide memory barriers for !CF_PARALLEL in system mode"), as if its own threads,
        # which serve the virtio queues, did not share that memory: an interrupt or a kick is then lost once in a while,
        # and with it the channel or a disk stands still. TCG_SINGLE keeps the kernel one for a single processor.
        return "cpus=1,maxcpus=2,sockets=1,cores=2,threads=1"
    return f"cpus={spec.cpus},sockets=1,cores={spec.cpus},threads=1"


def _memory(spec: MachineSpec, fd: Mapping[Role, int]) -> str:
    size = f"id=ram,size={spec.memory_mib}M"
    if spec.memory is None:
        return f"memory-backend-ram,{size}"
    share = "off" if spec.restored else "on"
    return f"memory-backend-file,{size},mem-path=/proc/self/fd/{fd[Role.MEMORY]},share={share}"


def _boot(spec: MachineSpec, fd: Mapping[Role, int], emulation: Emulation) -> list[str]:
    if (
        spec.restored
    ):  # the kernel is in memory already: to read it once more would take time and memory of its own
        return ["-bios", "qboot.rom", "-incoming", "defer"]
    return [
        "-bios", "qboot.rom",
        "-kernel", f"/proc/self/fd/{fd[Role.KERNEL]}",
        "-initrd", f"/proc/self/fd/{fd[Role.INITRAMFS]}",
        "-append", kernel_arguments(spec.arguments, spec.accelerator, spec.cpus, emulation),
    ]  # fmt: skip


def _qmp(fd: Mapping[Role, int]) -> list[str]:
    return [*_listening("qmp", fd[Role.QMP]), "-mon", "chardev=qmp,mode=control"]


def _console(fd: Mapping[Role, int]) -> list[str]:
    # a socket, not a file: with nobody connected QEMU drops what the guest prints, however much that is
    return [*_listening("console", fd[Role.CONSOLE]), "-device", "isa-serial,chardev=console"]


def _listening(name: str, number: int) -> list[str]:
    return ["-chardev", f"socket,id={name},fd={number},server=on,wait=off"]


def _disks(fd: Mapping[Role, int]) -> list[str]:
    return [
        *_disk("image", fd[Role.IMAGE], 1, "read-only=on", device="discard=off,write-zeroes=off"),
        # Written through the host's page cache, with flushes passed on: a QEMU that is killed loses nothing that
        # the guest had written, and a guest's fsync holds across a crash of the host.
        # A write that the host refuses stops the machine, whatever the reason, and is tried again when it goes on:
        # QEMU's own choice does so for ENOSPC alone, and a guest that is told of EDQUOT or EIO loses its file system.
        *_disk(
            "overlay", fd[Role.OVERLAY], 2, "discard=unmap,detect-zeroes=unmap",
            device="discard=on,werror=stop,rerror=report",
        ),
    ]  # fmt: skip


def _disk(name: str, number: int, group: int, options: str, *, device: str) -> list[str]:
    return [
        "-add-fd", f"fd={number},set={group}",
        "-blockdev", f"driver=file,node-name={name}-file,filename=/dev/fdset/{group},aio=threads,{options}",
        "-blockdev", f"driver=raw,node-name={name},file={name}-file,{options}",
        "-device", f"virtio-blk-pci,drive={name},serial={name},{device},disable-legacy=on,romfile=",
    ]  # fmt: skip


def _entropy() -> list[str]:
    # rng-builtin asks the host's getrandom(2), so there is no file to open
    return ["-object", "rng-builtin,id=rng", "-device", "virtio-rng-pci,rng=rng,disable-legacy=on,romfile="]


def _agent(fd: Mapping[Role, int]) -> list[str]:
    return [
        *_listening("agent", fd[Role.AGENT]),
        "-device", f"virtio-serial-pci,id={PORTS},max_ports={_MOST_PORTS},disable-legacy=on,romfile=",
        "-device", f"virtserialport,id=agent,chardev=agent,name={PORT_NAME}",
    ]  # fmt: skip


def _vsock(spec: MachineSpec, fd: Mapping[Role, int], cid: int | None) -> list[str]:
    if spec.channel is not Channel.VSOCK:
        return []
    device = f"vhost-vsock-pci,guest-cid={cid or NOMINAL_CID},vhostfd={fd[Role.VSOCK]}"
    return ["-device", f"{device},disable-legacy=on,romfile="]


def _network(spec: MachineSpec, fd: Mapping[Role, int]) -> list[str]:
    if not spec.network.has_device:
        return []
    user = "restrict=off" + ("" if spec.ipv6 else ",ipv6=off")
    device = ["-device", "virtio-net-pci,netdev=net,disable-legacy=on,romfile="]
    if spec.network is Network.USER_AND_LOOPBACK:
        return ["-netdev", f"user,id=net,{user}", *device]
    # frames go from the device out of QEMU and in again, through a filter in the kernel: see `firewall`
    return [
        "-netdev", f"dgram,id=net,local.type=fd,local.str={fd[Role.DEVICE_FRAMES]}", *device,
        "-netdev", f"dgram,id=filtered,local.type=fd,local.str={fd[Role.NETWORK_FRAMES]}",
        "-netdev", f"user,id=user,{user}",
        "-netdev", "hubport,id=hub-filtered,hubid=0,netdev=filtered",
        "-netdev", "hubport,id=hub-user,hubid=0,netdev=user",
    ]  # fmt: skip


def _slots(spec: MachineSpec) -> list[str]:
    # a port's number and that of its chassis are what the guest tells ports apart by
    ports = [
        ["-device", f"pcie-root-port,id={slot(n)},chassis={n + 1},slot={n + 1},romfile="]
        for n in range(spec.slots)
    ]
    return [word for port in ports for word in port]
