"""What this host has to offer: QEMU, memory, processors, vsock."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sandtop.core.errors import InvalidRequest, MissingDependency
from sandtop.core.machine import procfs
from sandtop.core.machine.commandline import VHOST_VSOCK

QEMU: Final = "qemu-system-x86_64"

QEMU_OLDEST: Final = (7, 2)
"""Debian 12's; nothing older was tried."""

INSTALL_QEMU: Final = "run: sandtop setup"

_VERSION_DEADLINE: Final = 20.0


@dataclass(frozen=True, slots=True)
class Qemu:
    """The QEMU that was found. ``version`` is its own word with the package's, such as ``7.2.22 (Debian 1:7.2+…)``."""

    path: Path
    version: str


@dataclass(frozen=True, slots=True)
class Host:
    """The host as it is now.

    Attributes:
        memory_mib: all of its memory.
        available_mib: what new programs can have of it without swapping.
        cpus: the processors that this process may use.
        boot_id: changes with each boot.
        kernel: the kernel's release.
        vsock: None when vhost-vsock can be used, otherwise why not.
    """

    memory_mib: int
    available_mib: int
    cpus: int
    boot_id: str
    kernel: str
    vsock: str | None


def find_qemu() -> Qemu:
    """The QEMU on PATH. Raises `MissingDependency`, with the command that mends it. Blocks for some 50 ms."""
    found = shutil.which(QEMU)
    if found is None:
        raise MissingDependency(f"{QEMU} is not installed", hint=INSTALL_QEMU)
    try:
        done = subprocess.run(
            [found, "--version"], capture_output=True, text=True, timeout=_VERSION_DEADLINE, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise MissingDependency(f"{found} does not run: {error}", hint=INSTALL_QEMU) from error
    version = re.search(r"version (((\d+)\.(\d+)\S*).*)", done.stdout)
    if version is None:
        raise MissingDependency(f"{found} does not tell its version", hint=INSTALL_QEMU)
    if (int(version[3]), int(version[4])) < QEMU_OLDEST:
        oldest = ".".join(map(str, QEMU_OLDEST))
        raise MissingDependency(
            f"QEMU {version[2]} is too old: {oldest} is needed", hint="use Debian 12 or newer"
        )
    return Qemu(Path(found).resolve(), version[1].strip())


def look() -> Host:
    """The host's facts, read now."""
    total, available = memory()
    return Host(
        memory_mib=total,
        available_mib=available,
        cpus=len(os.sched_getaffinity(0)),
        boot_id=procfs.boot_id(),
        kernel=os.uname().release,
        vsock=_vsock_problem(),
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


def _vsock_problem() -> str | None:
    try:
        descriptor = os.open(VHOST_VSOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return f"{VHOST_VSOCK} is not there: modprobe vhost_vsock, where the kernel has it"
    except OSError as error:
        return f"{VHOST_VSOCK}: {error.strerror}"
    os.close(descriptor)
    return None
