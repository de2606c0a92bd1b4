"""The host's facts."""

from __future__ import annotations

import os

import pytest

from sandtop.core.errors import InvalidRequest
from sandtop.core.machine import check_memory, look


def test_the_host_that_this_is() -> None:
    host = look()
    assert 0 < host.available_mib <= host.memory_mib
    assert host.cpus >= 1
    assert host.kernel == os.uname().release


def test_memory_beyond_the_hosts() -> None:
    most = look().memory_mib
    check_memory(most)
    with pytest.raises(InvalidRequest, match=f"{most + 1} MiB of memory is more than the host's {most} MiB"):
        check_memory(most + 1)
