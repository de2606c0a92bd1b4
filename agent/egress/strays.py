"""How often a program found no way out because what it sent is not TCP over IPv4, by the kernel's own counters.

The kernel refuses such things at once and tells nobody what they were: UDP and ICMP count as IPv4, the rest is IPv6.
"""

from __future__ import annotations

TYPE_CHECKING = False  # see wire/frames.py
if TYPE_CHECKING:
    from typing import Final

_FOLDER: Final = "/proc/self/net"
_COUNTER: Final = "OutNoRoutes"
"""Sends and connects without a route (Documentation/networking/snmp_counter.rst)."""
_MOST_BYTES: Final = 16 * 1024


def counted(folder: str = _FOLDER) -> tuple[int, int]:
    """How often sending found no route, by IPv4 and by IPv6, since the kernel started.

    Raises OSError, and ValueError for what no kernel writes.
    """
    ipv4 = ipv6 = 0
    with open(f"{folder}/snmp", encoding="ascii") as file:
        lines = [line.split() for line in file.read(_MOST_BYTES).splitlines() if line.startswith("Ip:")]
    if len(lines) == 2 and _COUNTER in lines[0]:  # the names, and below each its value
        ipv4 = int(lines[1][lines[0].index(_COUNTER)])
    with open(f"{folder}/snmp6", encoding="ascii") as file:
        for line in file.read(_MOST_BYTES).splitlines():
            if line.startswith(f"Ip6{_COUNTER}"):
                ipv6 = int(line.split()[1])
    return ipv4, ipv6
