"""Why the machine of a running sandbox stands still without having been paused."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from sandtop.core.errors import StorageError
from sandtop.core.fleet.room import Space, mib

if TYPE_CHECKING:
    from sandtop.core.machine import DiskError

HELD: Final = "held: only the reserve of the host's disk is left"
"""The reason in the row of a sandbox that was stopped for the reserve, by which a later core knows it."""
_WAITS: Final = (1.0, 2.0, 5.0, 15.0, 60.0)
"""Seconds until a machine goes on again, by how often it stopped again at once: the disk may refuse it for a reason
that its free space does not show (a quota)."""
_AT_ONCE: Final = 10.0
_IN_VAIN: Final = 3
"""So often it stops again although there is room, before a restart is offered. The machine's program may flush nothing
any more once a flush has failed, because the kernel forgot what was not written."""


class Cause(Enum):
    """``FULL``: the host had no room for a write. ``RESERVE``: it was stopped before. ``BROKEN``: another error."""

    FULL = "full"
    RESERVE = "reserve"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Stall:
    """One standstill.

    Attributes:
        reason: the host's words for the error; empty for `Cause.RESERVE`.
        not_before: when it may go on by itself (trio's clock).
        again: how often it stopped again at once before this.
    """

    cause: Cause
    reason: str = ""
    not_before: float = 0.0
    again: int = 0

    @property
    def by_itself(self) -> bool:
        """Whether the machine goes on without being told, once there is room."""
        return self.cause is not Cause.BROKEN

    def words(self, name: str, room: Space | None) -> str:
        """For people; ``room``: what the disk has now."""
        if self.cause is Cause.BROKEN:
            return f"stands still: the host's disk refused a write ({self.reason}); to try again: sandtop resume {name}"
        have = (
            f", {mib(room.free)} of {mib(room.needed)} needed" if room is not None and not room.enough else ""
        )
        if self.cause is Cause.RESERVE:
            return f"stands still: it fills the host's disk, of which only the reserve is left{have}"
        text = f"stands still until there is room: the host's disk refused a write ({self.reason}{have})"
        if self.again < _IN_VAIN or room is None or not room.enough:
            return text
        return f"{text}; if there is, and no quota says otherwise: sandtop restart --force {name}"

    def check(self, name: str, room: Space | None) -> None:
        """Raises `StorageError` when the machine of ``name`` must not go on, with ``room`` as it is now."""
        if self.cause is Cause.RESERVE and room is not None and not room.enough:
            raise self.error(name, room)

    def error(self, name: str, room: Space | None = None) -> StorageError:
        """For whoever wants ``name`` to go on."""
        settings = (
            "; disk_reserve_bytes in config.toml sets the reserve" if self.cause is Cause.RESERVE else ""
        )
        mend = (
            f"mend that disk; if that does not help: sandtop restart --force {name}"
            if self.cause is Cause.BROKEN
            else "free some space, or remove a sandbox"
        )
        return StorageError(
            f"cannot resume {name}: it {self.words(name, room)}", sandbox=name, hint=mend + settings
        )


class Patience:
    """How long the stalls of one machine wait, by how soon they follow each other. Times are trio's."""

    def __init__(self) -> None:
        self._again = 0
        self._went_on = float("-inf")

    def went_on(self, now: float) -> None:
        """The machine goes on."""
        self._went_on = now

    def stall(self, error: DiskError, now: float) -> Stall:
        """The stall that ``error`` makes."""
        self._again = self._again + 1 if now - self._went_on < _AT_ONCE else 0
        wait = _WAITS[min(self._again, len(_WAITS) - 1)]
        return Stall(Cause.FULL if error.no_room else Cause.BROKEN, error.reason, now + wait, self._again)
