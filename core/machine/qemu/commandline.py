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

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from sandtop.agent.wire import PORT_NAME
from sandtop.core.machine.qemu.emulation import (
    EMULATION,
    Emulation,
    accelerated,
    kernel_arguments,
    processors,
)
from sandtop.core.machine.qemu.hotplug import PORTS, slot
from sandtop.core.machine.qemu.vsock import DEVICE as VSOCK_DEVICE
from sandtop.core.machine.qemu.vsock import NOMINAL_CID
from sandtop.core.machine.spec import Channel, MachineSpec, Network

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_FIRST_DESCRIPTOR: Final = 3
_MOST_PORTS: Final = 10
"""Of the virtio-serial device: one that QEMU keeps for a console, the agent's, and 8 more. Each takes the guest some
10 KB of memory."""


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
        "-smp", processors(spec),
        "-m", f"size={spec.memory_mib}M",
        "-object", _memory(spec, fd),
        # the guest begins with QMP's "cont", when its console has a reader and its limits are set
        "-S",
    ]  # fmt: skip


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
