"""What this host has to offer to machines: memory."""

from __future__ import annotations

from pathlib import Path

from sandtop.core.errors import InvalidRequest


def host_memory() -> tuple[int, int]:
    """All of the host's memory, and what new programs can have of it without swapping; MiB."""
    found = _meminfo()
    return found["MemTotal"] // 1024, found["MemAvailable"] // 1024


def memory_bytes() -> tuple[int, int]:
    """The same in bytes."""
    found = _meminfo()
    return found["MemTotal"] * 1024, found["MemAvailable"] * 1024


def check_memory(mib: int, sandbox: str | None = None) -> None:
    """Raises `InvalidRequest` for a machine with more memory than the host has."""
    most, _ = host_memory()
    if mib > most:
        raise InvalidRequest(
            f"{mib} MiB of memory is more than the host's {most} MiB", sandbox=sandbox, hint="ask for less"
        )


def _meminfo() -> dict[str, int]:
    """/proc/meminfo (proc(5)), KiB."""
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    return {words[0].rstrip(":"): int(words[1]) for words in lines}
