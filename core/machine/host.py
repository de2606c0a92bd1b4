"""What this host has to offer to machines: memory, and ways to others."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sandtop.core.errors import InvalidRequest

_GLOBAL: Final = "00"
_REJECT: Final = 0x0200
"""The flag RTF_REJECT of a route (linux/ipv6_route.h)."""


def host_memory() -> tuple[int, int]:
    """All of the host's memory, and what new programs can have of it without swapping; MiB."""
    found = _meminfo()
    return found["MemTotal"] // 1024, found["MemAvailable"] // 1024


def memory_bytes() -> tuple[int, int]:
    """All of the host's memory, and what new programs can have of it without swapping; bytes."""
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


def reaches_ipv6(net: Path = Path("/proc/net")) -> bool:
    """Whether this host may reach others by IPv6: it has a route to all of them, and an address that they could answer
    to, of 2000::/3, which are those that were ever given out (RFC 4291, 2.4). Without that IPv6 goes nowhere, or to
    where nothing comes back from.
    """
    try:
        addresses = (line.split() for line in (net / "if_inet6").read_text().splitlines())
        routes = (line.split() for line in (net / "ipv6_route").read_text().splitlines())
    except OSError:  # a kernel without IPv6
        return False
    has_address = any(words[3] == _GLOBAL and words[0][0] in "23" for words in addresses)
    return has_address and any(
        words[1] == "00" and words[0].strip("0") == "" and not int(words[8], 16) & _REJECT for words in routes
    )
