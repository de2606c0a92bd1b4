"""The host's memory."""

from __future__ import annotations

import pytest

from sandtop.core.errors import InvalidRequest
from sandtop.core.machine import check_memory, host_memory


def test_what_is_available_is_part_of_what_there_is() -> None:
    total, available = host_memory()
    assert 0 < available <= total


def test_memory_beyond_the_hosts() -> None:
    most, _ = host_memory()
    check_memory(most)
    with pytest.raises(InvalidRequest, match=f"{most + 1} MiB of memory is more than the host's {most} MiB"):
        check_memory(most + 1)
