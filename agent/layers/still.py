"""Whether the programs of the sandbox stand still, as the agent told the kernel (cgroup-v2.rst, ``cgroup.freeze``)."""

from __future__ import annotations

import time

from ..cgroupfs import folders_of, read

TYPE_CHECKING = False  # see wire/frames.py
if TYPE_CHECKING:
    from typing import Final

_PATIENCE: Final = 2.0
"""Seconds that are waited: what hangs in the kernel stands still when it comes back from there."""
_LOOK: Final = 0.005


def wait_until_still(sessions: str) -> None:
    """Return when all cgroups below ``sessions`` that are to be frozen are, or soon."""
    end = time.monotonic() + _PATIENCE
    while not all(map(_is_still, folders_of(sessions))) and time.monotonic() < end:
        time.sleep(_LOOK)


def _is_still(path: str) -> bool:
    return "1" not in read(f"{path}/cgroup.freeze") or "frozen 1" in read(f"{path}/cgroup.events")
