"""What this host has to offer to machines: memory and processors."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from sandtop.core.errors import InvalidRequest
from sandtop.core.machine import procfs


@dataclass(frozen=True, slots=True)
class Host:
    """The host as it is now.

    Attributes:
        memory_mib: all of its memory.
        available_mib: what new programs can have of it without swapping.
        cpus: the processors that this process may use.
        boot_id: changes with each boot.
        kernel: the kernel's release.
    """

    memory_mib: int
    available_mib: int
    cpus: int
    boot_id: str
    kernel: str


def look() -> Host:
    """The host's facts, read now."""
    total, available = memory()
    return Host(
        memory_mib=total,
        available_mib=available,
        cpus=len(os.sched_getaffinity(0)),
        boot_id=procfs.boot_id(),
        kernel=os.uname().release,
    )


def memory() -> tuple[int, int]:
    """All of the host's memory, and what new programs can have of it without swapping; MiB."""
    found = _meminfo()
    return found["MemTotal"] // 1024, found["MemAvailable"] // 1024


def check_memory(mib: int, sandbox: str | None = None) -> None:
    """Raises `InvalidRequest` for a machine with more memory than the host has."""
    most, _ = memory()
    if mib > most:
        raise InvalidRequest(
            f"{mib} MiB of memory is more than the host's {most} MiB", sandbox=sandbox, hint="ask for less"
        )


def _meminfo() -> dict[str, int]:
    """/proc/meminfo (proc(5)), KiB."""
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    return {words[0].rstrip(":"): int(words[1]) for words in lines}
