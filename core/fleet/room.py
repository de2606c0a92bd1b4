"""How much room the disk of the sandboxes has, and which of them may go on filling it: the rule, without I/O but stat.

The reserve is kept for what is not a sandbox: the host, the database, the logs. Below it a sandbox that goes on growing
is stopped; one that overwrites what it has, or writes next to nothing, is not. The rest of the reserve is what
sandboxes wrote between two looks, so a look comes the sooner the nearer the reserve is.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sandtop.core.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

MIB: Final = 1 << 20
RESERVE_PART: Final = 20
"""The reserve is no more than this part of the file system: a small disk is not all reserve."""
FIRST_WRITES: Final = 32 * MIB
"""What a new sandbox needs beyond the reserve: its own disk's beginning (4 MiB), its logs, the warm pool's disks."""
_FASTEST: Final = 1 << 30
"""Bytes a second that sandboxes are taken to write at most, together."""
_SOONEST: Final = 0.05
_LATEST: Final = 2.0
_SHARE: Final = 64
_LEAST_SHARE: Final = 256 * 1024
_BLOCK: Final = 512
"""The unit of st_blocks (inode(7))."""


@dataclass(frozen=True, slots=True)
class Space:
    """Bytes of the file system where the disks of sandboxes are: free for a user who is not root, and in all."""

    free: int
    total: int
    reserve: int

    @property
    def short(self) -> bool:
        """Whether only the reserve is left."""
        return self.free < self.reserve

    @property
    def needed(self) -> int:
        """Free bytes at which sandboxes that were stopped go on: somewhat above the reserve, or they would stop again
        at once."""
        return self.reserve + max(self.reserve // 4, 2 * MIB)

    @property
    def enough(self) -> bool:
        """Whether sandboxes that were stopped can go on."""
        return self.free >= self.needed


def space(folder: Path, reserve: int) -> Space:
    """The space at ``folder``, of which up to ``reserve`` bytes are kept. Blocks. Raises OSError."""
    facts = os.statvfs(folder)
    total, free = facts.f_blocks * facts.f_frsize, facts.f_bavail * facts.f_frsize
    if not total:  # a tmpfs without a limit
        return Space(1 << 62, 1 << 62, 0)
    return Space(free, total, min(reserve, total // RESERVE_PART))


def used(overlays: Mapping[str, Path]) -> dict[str, int]:
    """The bytes that each of these disks takes on the host, by the same keys; without those that are not there."""
    found: dict[str, int] = {}
    for key, path in overlays.items():
        try:
            found[key] = path.stat().st_blocks * _BLOCK
        except OSError:
            continue
    return found


def until_next_look(room: Space) -> float:
    """Seconds until the room is looked at again: the fewer, the nearer the reserve is."""
    return min(max((room.free - room.reserve) / _FASTEST, _SOONEST), _LATEST)


class Growth:
    """Finds the sandboxes whose disks go on growing when only the reserve is left. `greedy` is called at each look."""

    def __init__(self) -> None:
        self._before: dict[str, int] = {}

    def greedy(self, room: Space, now: Mapping[str, int]) -> list[str]:
        """Those of ``now`` (bytes used, by key) that have taken more than their share since the reserve was reached."""
        if not room.short:
            self._before = dict(now)
            return []
        share = max(room.reserve // _SHARE, _LEAST_SHARE)
        return [key for key, size in now.items() if size - self._before.setdefault(key, size) > share]


def may_grow(overlays: Iterable[Path]) -> int:
    """The bytes that these disks, which are sparse, can take on the host beyond what they take now."""
    total = 0
    for path in overlays:
        try:
            facts = path.stat()
        except OSError:
            continue
        total += max(facts.st_size - facts.st_blocks * _BLOCK, 0)
    return total


def check_new(room: Space, grows: int, disk: int, name: str) -> str | None:
    """Whether there is room for another sandbox with a ``disk`` of so many bytes, where others can grow by ``grows``.

    Returns what to say when this one takes more together than there is: disks are sparse, so that is allowed. Raises
    `StorageError` when there is not even room to begin.
    """
    if room.free < room.reserve + FIRST_WRITES:
        raise StorageError(
            f"cannot create {name}: {mib(room.free)} are free where sandboxes write, {mib(room.reserve + FIRST_WRITES)}"
            f" are needed, of which {mib(room.reserve)} stay in reserve",
            sandbox=name,
            hint="free some space, remove sandboxes (sandtop rm), or move SANDTOP_HOME to a larger disk",
        )
    return may_take_more(room, grows, disk)


def may_take_more(room: Space, grows: int, disk: int) -> str | None:
    """What to say when ``disk`` bytes more, where all disks can grow by ``grows``, are more together than there is.

    None when they are not, or were before.
    """
    left = room.free - room.reserve - grows
    if 0 <= left < disk:
        return (
            f"the disks of all sandboxes may take {mib(grows + disk)} more, {mib(room.free - room.reserve)} are there:"
            " one that fills the host's disk is stopped until there is room"
        )
    return None


def mib(size: int) -> str:
    """``size`` bytes for people."""
    return f"{size / MIB:.0f} MiB" if size < 10 << 30 else f"{size / (1 << 30):.0f} GiB"
