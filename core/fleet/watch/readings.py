"""What the host's kernel tells of the host, of the core and of its machines, read in one go: for a thread."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandtop.core.fleet.room import used
from sandtop.core.machine import procfs
from sandtop.core.machine.host import memory_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sandtop.core.fleet.context import Context
    from sandtop.core.fleet.room import Space
    from sandtop.core.machine import Machine, Usage


@dataclass(frozen=True, slots=True)
class Reading:
    """The host at one moment.

    Attributes:
        at: seconds since the epoch; ``clock``: by a clock that nobody sets.
        busy_seconds: processor time that was not idle, since the host booted.
        core_seconds, core_memory: of the core's own process: seconds of processor time, bytes.
        machines: what each machine takes, by the uuid of its sandbox.
        disks: bytes that each overlay disk takes, likewise.
    """

    at: float
    clock: float
    busy_seconds: float
    load: float
    memory_total: int
    memory_available: int
    room: Space | None
    core_seconds: float
    core_memory: int
    machines: Mapping[str, Usage]
    disks: Mapping[str, int]


def read(
    context: Context, machines: Mapping[str, Machine], overlays: Mapping[str, Path], clock: float
) -> Reading:
    """Read all that is to be known now of the host, of ``machines`` and of the disks ``overlays``. Blocks."""
    total, available = memory_bytes()
    its = {uuid: usage for uuid, machine in machines.items() if (usage := machine.usage()) is not None}
    with open("/proc/self/statm", "rb") as file:
        resident = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return Reading(
        at=time.time(),
        clock=clock,
        busy_seconds=procfs.busy_seconds(),
        load=procfs.load(),
        memory_total=total,
        memory_available=available,
        room=context.look_at_room(),
        core_seconds=time.process_time(),
        core_memory=resident,
        machines=its,
        disks=used(overlays),
    )
