"""The records that go through the driver seam: what a driver says of itself, of this host and of its machines."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

    from sandtop.core.machine.spec import Accelerator, Channel, Network

_NO_ROOM: Final = (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT))


@dataclass(frozen=True, slots=True, kw_only=True)
class Info:
    """What a driver is and can do. The same for every machine, and known without a look at the host.

    Attributes:
        name: the driver's, one word: the row of its program in ``doctor``, and the stage of a start at which its
            machine runs (``timings`` of ``inspect``).
        accelerators: what may execute a guest's instructions, the best first.
        transports: what may carry the agent's byte stream, the best first.
        networks: the kinds of network that a machine can have.
        snapshots: whether `Machine.save` and a spec's ``memory`` work. Without them there are no templates and no
            warm pool: every machine boots.
        hot_plug: the kinds of device that a running machine can be given: ``disk``, ``port``.
    """

    name: str
    accelerators: tuple[Accelerator, ...]
    transports: tuple[str, ...]
    networks: frozenset[Network]
    snapshots: bool
    hot_plug: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Version:
    """The program behind a driver, as it is on this host.

    Attributes:
        version: its own word, for people.
        stamp: changes whenever the program does, also where its version stays. A snapshot that was made under one stamp
            is of no use under another.
    """

    version: str
    stamp: str


@dataclass(frozen=True, slots=True)
class Choice:
    """The accelerator to use, and why."""

    accelerator: Accelerator
    reason: str


@dataclass(frozen=True, slots=True)
class ChannelChoice:
    """The channel to use, and why."""

    channel: Channel
    reason: str


@dataclass(frozen=True, slots=True)
class Trial:
    """A machine that a driver may boot to learn what works on this host.

    Attributes:
        kernel, initramfs, image, arguments: as for `MachineSpec`; the guest's agent becomes ready, and waits.
        runtime: an existing folder, in which a machine's sockets and its disk can be for as long as it runs.
    """

    kernel: Path
    initramfs: Path
    image: Path
    arguments: str
    runtime: Path


@dataclass(frozen=True, slots=True)
class GuestNetwork:
    """The addresses that a guest's network device gets (IPv4, dotted); the guest is told them as it boots.

    ``reject_gateway``: nothing that is addressed to the gateway itself is answered, so the guest refuses it at once.
    """

    address: str
    netmask: str
    gateway: str
    resolver: str
    reject_gateway: bool = False


@dataclass(frozen=True, slots=True)
class Identity:
    """What a later core needs to find a machine again, and to know that it is the same. It is kept in the database.

    Attributes:
        uuid: the sandbox's.
        pid: of the process that runs the machine.
        start_time: that process's, in clock ticks since the host booted (proc(5)): a pid alone may be another's later.
        boot_id: the host boot in which the other two mean something.
        cid: the machine's address for AF_VSOCK on this host (vsock(7)); None for one without vsock.
    """

    uuid: str
    pid: int
    start_time: int
    boot_id: str
    cid: int | None = None


@dataclass(frozen=True, slots=True)
class Running:
    """A machine that was found on this host: its sandbox's uuid, and the pid of its process."""

    uuid: str
    pid: int


@dataclass(frozen=True, slots=True)
class Usage:
    """What a machine takes of the host: seconds of its processors since it started, and bytes of memory."""

    cpu_seconds: float
    memory: int


@dataclass(frozen=True, slots=True)
class Death:
    """How a machine ended.

    Attributes:
        reason: one line for people; fit for a terminal.
        orderly: the guest switched itself off, or the core had the machine stopped.
    """

    reason: str
    orderly: bool = False


@dataclass(frozen=True, slots=True)
class DiskError:
    """A read or write of a machine's disk that the host refused.

    A write that is refused stops the machine, whatever the reason, and is tried again when the machine goes on. A read
    that is refused is the guest's to see.

    Attributes:
        reason: the host's words for it (strerror(3)); fit for a terminal.
        stopped: the machine stands still because of it; else the guest was told.
    """

    reason: str
    stopped: bool

    @property
    def no_room(self) -> bool:
        """Whether it was for want of space: there may be some later."""
        return self.reason in _NO_ROOM


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """A disk that a machine is given while it runs.

    Attributes:
        serial: by which its guest knows it; at most 20 ASCII characters.
        file: raw, of its size.
        read_only: whether the guest may only read it.
        slot: where it goes, from 0 on and below the spec's ``slots``; each disk another.
    """

    serial: str
    file: Path
    read_only: bool
    slot: int
