"""The host's memory, and whether it reaches others by IPv6."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandtop.core.errors import InvalidRequest
from sandtop.core.machine import check_memory, host_memory, reaches_ipv6

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_available_is_part_of_what_there_is() -> None:
    total, available = host_memory()
    assert 0 < available <= total


def test_memory_beyond_the_hosts() -> None:
    most, _ = host_memory()
    check_memory(most)
    with pytest.raises(InvalidRequest, match=f"{most + 1} MiB of memory is more than the host's {most} MiB"):
        check_memory(most + 1)


NONE = "0" * 32
DEFAULT = f"{NONE} 00 {NONE} 00 fe800000000000000000000000000001 00000400 00000003 00000000 00000003     eth0"
REJECTED = f"{NONE} 00 {NONE} 00 {NONE} ffffffff 00000001 00000000 00200200       lo"
NEAR = f"fd000000000000000000000000000000 40 {NONE} 00 {NONE} 00000100 00000001 00000000 00000001     eth0"
GLOBAL = "20010db8000000000000000000000002 04 40 00 80     eth0"
UNIQUE = "fd000000000000000000000000000002 04 40 00 82     eth0"
LINK = "fe8000000000000000fc00fffe000001 04 40 20 80     eth0"
LOOPBACK = "00000000000000000000000000000001 01 80 10 80       lo"


@pytest.mark.parametrize(
    ("addresses", "routes", "reaches"),
    [
        ([LOOPBACK, LINK, GLOBAL], [NEAR, DEFAULT, REJECTED], True),
        ([LOOPBACK, LINK, UNIQUE], [NEAR, DEFAULT, REJECTED], False),
        ([LOOPBACK, LINK, GLOBAL], [NEAR, REJECTED], False),
        ([LOOPBACK], [REJECTED], False),
        ([], [], False),
    ],
)
def test_whether_it_reaches_others_by_ipv6(
    tmp_path: Path, addresses: list[str], routes: list[str], reaches: bool
) -> None:
    (tmp_path / "if_inet6").write_text("".join(f"{line}\n" for line in addresses))
    (tmp_path / "ipv6_route").write_text("".join(f"{line}\n" for line in routes))
    assert reaches_ipv6(tmp_path) is reaches


def test_a_kernel_without_ipv6(tmp_path: Path) -> None:
    assert reaches_ipv6(tmp_path) is False
