"""The few facts about processes and this host boot that /proc tells (proc(5))."""

from __future__ import annotations

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
    # the second field, the program's name, may hold blanks and parentheses: count from behind it
    return int(stat.rpartition(")")[2].split()[22 - 3])


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
