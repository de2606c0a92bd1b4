"""The few facts about processes and this host boot that /proc tells (proc(5))."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROC = Path("/proc")


def boot_id() -> str:
    """A uuid that the host's kernel makes at each boot."""
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


def start_time(pid: int) -> int | None:
    """When ``pid`` started, in clock ticks since boot (field 22 of its stat), or None without such a process."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(_fields(stat)[22 - 3])


def _fields(stat: str) -> list[str]:
    """The fields of a stat from the third on: the second, a program's name, may hold blanks and parentheses."""
    return stat.rpartition(")")[2].split()


def usage(pid: int, started: int) -> tuple[float, int] | None:
    """The seconds of processor time that ``pid`` took, all its threads together, and the bytes that it has in memory.

    None when the process that began at ``started`` (see `start_time`) is gone.
    """
    try:
        stat = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = _fields(stat)
    if int(fields[22 - 3]) != started:
        return None
    ticks = int(fields[14 - 3]) + int(fields[15 - 3])
    return ticks / os.sysconf("SC_CLK_TCK"), int(fields[24 - 3]) * os.sysconf("SC_PAGE_SIZE")


def busy_seconds() -> float:
    """The seconds of processor time that was not idle since the host booted, of all processors together."""
    with (_PROC / "stat").open() as file:
        ticks = [int(word) for word in file.readline().split()[1:]]
    busy = sum(ticks[:8]) - ticks[3] - ticks[4]  # what guests took is in the first two; less idle and iowait
    return busy / os.sysconf("SC_CLK_TCK")


def load() -> float:
    """The load average of the last minute."""
    return float((_PROC / "loadavg").read_text().split()[0])


def arguments(pid: int) -> list[str]:
    """The command line of ``pid``; empty for a zombie, during execve(2), or without such a process."""
    try:
        raw = (_PROC / str(pid) / "cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return raw.decode(errors="replace").split("\0") if raw else []


def pids() -> Iterator[int]:
    """Every process that this user may see."""
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            yield int(entry.name)


def oom_kills() -> int:
    """How many processes the kernel has killed for want of memory since it booted; 0 where it does not count."""
    for line in (_PROC / "vmstat").read_text().splitlines():
        key, _, value = line.partition(" ")
        if key == "oom_kill":
            return int(value)
    return 0
