"""What an agent says that its guest uses: checked, since a guest's root can say anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sandtop.core.contract.record import is_list, is_object

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST: Final = 1 << 62
_MOST_SESSIONS: Final = 64


@dataclass(frozen=True, slots=True)
class SessionUsage:
    """Of a session's cgroup: microseconds of processor time, bytes of memory, processes and threads."""

    cpu_us: int
    memory: int
    processes: int


@dataclass(frozen=True, slots=True)
class GuestUsage:
    """Of all sessions together; ``memory`` is what of the guest's memory is not available to programs, in bytes.

    ``clock_us``: the guest's own clock, by which it counts what its processors do.
    """

    clock_us: int
    cpu_us: int
    memory: int
    processes: int
    sessions: Mapping[str, SessionUsage]


def usage_of(said: object) -> GuestUsage | None:
    """What an agent's ``usage`` says; None when it makes no sense."""
    if not is_object(said):
        return None
    clock = _numbers([said.get("clock_us"), 0, 0])
    numbers = _numbers([said.get("cpu_us"), said.get("memory"), said.get("processes")])
    if clock is None or numbers is None:
        return None
    sessions: dict[str, SessionUsage] = {}
    rows = said.get("sessions")
    for row in (rows if is_list(rows) else [])[:_MOST_SESSIONS]:
        if is_list(row) and len(row) == 4 and isinstance(row[0], str):
            figures = _numbers(row[1:])
            if figures is not None:
                sessions[row[0]] = SessionUsage(*figures)
    return GuestUsage(clock[0], *numbers, sessions)


def _numbers(values: list[object]) -> tuple[int, int, int] | None:
    first, second, third = (
        value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST else None
        for value in values
    )
    return None if first is None or second is None or third is None else (first, second, third)
