"""What a virtual machine is made of: plain values, checked once, from which a driver derives all the rest."""

from __future__ import annotations

import dataclasses
import uuid as uuids
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from sandtop.core.errors import InvalidRequest

MIN_MEMORY_MIB: Final = 8
"""Less than this and a machine's firmware has no room; a kernel wants far more and says so on its console."""

MAX_CPUS: Final = 64


class Accelerator(StrEnum):
    """What executes the guest's instructions."""

    KVM = "kvm"
    TCG = "tcg"


class Channel(StrEnum):
    """What carries the agent's byte stream. A machine with vsock has a virtio-serial port, too."""

    VSOCK = "vsock"
    VIRTIO_SERIAL = "virtio-serial"


WITHOUT_KVM: Final = 'without it: --accelerator tcg, or accelerator = "tcg" in config.toml'
"""How to go on where KVM does not work: part of a hint."""


class Network(StrEnum):
    """``NONE``: the guest has no network device. ``USER``: one device, behind which a program of the user's own answers
    and passes connections on to the host's network, but not to the host's loopback; the host needs no privilege for it.
    ``USER_AND_LOOPBACK``: the same, and the gateway's address leads to the host's loopback. ``FILTERED``: no device;
    the agent passes connections on to the core, which has a list of what is allowed."""

    NONE = "none"
    USER = "user"
    USER_AND_LOOPBACK = "user:host-loopback"
    FILTERED = "filtered"

    @property
    def has_device(self) -> bool:
        """Whether the guest has a network device."""
        return self in (Network.USER, Network.USER_AND_LOOPBACK)


@dataclass(frozen=True, slots=True)
class Memory:
    """A file behind a machine's memory, in place of anonymous memory.

    Attributes:
        file: as large as the memory. A driver may open it for writing even where it only reads: give a sealed memory
            file (memfd_create(2), F_SEAL_WRITE) to machines that are not to change it.
        state: what `Machine.save` wrote of the other devices: the machine goes on from there, and what it writes to
            its memory stays private to it. None for the machine that a snapshot will be taken of, which writes to
            ``file``.
    """

    file: Path
    state: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineSpec:
    """One machine. Raises `InvalidRequest` when made of values that no machine can have.

    Attributes:
        uuid: the sandbox's uuid in its canonical form; by it a driver finds the machine again.
        name: the sandbox's name, for messages only; it never reaches the machine.
        kernel: a bzImage, or an uncompressed vmlinux with a PVH entry.
        initramfs: the guest runtime.
        arguments: the kernel's arguments, to which the driver adds what the accelerator needs. The console is
            ttyS0; a guest that panics should restart (``panic=-1``), which ends the machine.
        image: the root file system, read-only (squashfs).
        overlay: the sandbox's own disk, raw, read-write.
        memory_mib: guest memory, MiB.
        cpus: virtual processors.
        ipv6: whether a network of its is to have IPv6, too: a guest to which it is offered tries it before IPv4.
        channel: what is to carry the agent's byte stream.
        channel_reason: why that one, for people; empty when it is not known any more.
        memory: the file behind its memory; None for a machine that boots, and of which no snapshot will be taken.
        slots: how many disks it can be given while it runs.
    """

    uuid: str
    name: str
    kernel: Path
    initramfs: Path
    image: Path
    overlay: Path
    arguments: str = ""
    memory_mib: int = 512
    cpus: int = 1
    network: Network = Network.NONE
    ipv6: bool = False
    accelerator: Accelerator = Accelerator.TCG
    channel: Channel = Channel.VIRTIO_SERIAL
    channel_reason: str = ""
    memory: Memory | None = None
    slots: int = 0

    @property
    def restored(self) -> bool:
        """Whether the machine goes on from a snapshot, rather than booting."""
        return self.memory is not None and self.memory.state is not None

    def __post_init__(self) -> None:
        problem = _problem(self)
        if problem is not None:
            raise InvalidRequest(problem, sandbox=self.name)

    def to_json(self) -> dict[str, object]:
        """The values as JSON types, for ``inspect``."""
        values: dict[str, object] = {
            field.name: str(value) if isinstance(value := getattr(self, field.name), Path) else value
            for field in dataclasses.fields(self)
            if field.name not in ("memory", "channel_reason")
        }
        return {**values, "restored": self.restored}


def _problem(spec: MachineSpec) -> str | None:
    try:
        canonical = str(uuids.UUID(spec.uuid)) == spec.uuid
    except ValueError:
        canonical = False
    if not canonical:
        return f"not a uuid: {spec.uuid!r}"
    if spec.memory_mib < MIN_MEMORY_MIB:
        return f"memory must be at least {MIN_MEMORY_MIB} MiB, not {spec.memory_mib}"
    if not 1 <= spec.cpus <= MAX_CPUS:
        return f"cpus must be 1 to {MAX_CPUS}, not {spec.cpus}"
    if not spec.arguments.isprintable():
        return "kernel arguments must be one line of text"
    return None
