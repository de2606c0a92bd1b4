"""Processes that sessions left running: when a session's leader ends by itself, the others run on in its cgroup."""

from __future__ import annotations

import os

from .loop import READ

TYPE_CHECKING = False  # see wire/frames.py
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Final

    from .cgroups import Cgroup
    from .loop import Loop, Timer

LOOK: Final = 2.0
"""Seconds between two counts of the processes. The end of the last one is known at once."""
_DROPPED: Final = 64 * 1024
_REST: Final = 0.05
"""Seconds between two reads by a `Drain`, so that a flood costs the agent next to nothing."""


class Drain:
    """Reads ``fd``, which it owns, and drops what it reads, so that a writer neither blocks nor gets SIGPIPE."""

    __slots__ = ("_fd", "_loop", "_timer")

    def __init__(self, loop: Loop, fd: int) -> None:
        self._loop = loop
        self._fd = fd
        self._timer: Timer | None = None
        self._watch()

    def _watch(self) -> None:
        self._timer = None
        self._loop.watch(self._fd, READ, self._ready)

    def _ready(self, _events: int) -> None:
        self._loop.unwatch(self._fd)
        try:
            ended = not os.read(self._fd, _DROPPED)
        except BlockingIOError:
            ended = False
        if ended:
            self.close()
        else:
            self._timer = self._loop.call_in(_REST, self._watch)

    def close(self) -> None:
        """Read no more. A process that still writes gets SIGPIPE."""
        if self._fd >= 0:
            self._loop.cancel(self._timer)
            self._loop.unwatch(self._fd)
            os.close(self._fd)
            self._fd = -1


class Leftover:
    """The processes that one session left running. ``over`` is called once, when the last of them has ended.

    Attributes:
        processes: how many there were at the last count.
    """

    __slots__ = ("_cgroup", "_drains", "_loop", "_over", "processes")

    def __init__(self, loop: Loop, cgroup: Cgroup, over: Callable[[], None]) -> None:
        self._loop = loop
        self._cgroup = cgroup
        self._over = over
        self._drains: list[Drain] | None = []
        self.processes = 0
        cgroup.leave(self._emptied)
        self.look()

    def look(self) -> bool:
        """Count them again; whether the number has changed."""
        before = self.processes
        # at least one, because a process that is just being forked, or ending, is in no list
        self.processes = max(1, self._cgroup.processes()) if self._drains is not None else 0
        return self.processes != before

    def take_output(self, fd: int) -> None:
        """Take over the descriptor of a pipe that they may write to."""
        if self._drains is None:
            os.close(fd)
        else:
            self._drains.append(Drain(self._loop, fd))

    def pids(self) -> Iterator[int]:
        """All of them."""
        return self._cgroup.pids()

    def signal(self, number: int) -> None:
        """Send all of them a signal."""
        self._cgroup.signal(number)

    def _emptied(self) -> None:
        self.processes = 0
        drains, self._drains = self._drains or [], None
        for drain in drains:
            drain.close()
        self._over()


class Leftovers:
    """What all sessions left running, by the session's id, also after the core has released the session."""

    def __init__(self, loop: Loop) -> None:
        self.changed: Callable[[str, int], None] | None = None
        """Called with a session's id and the number of its processes when that has changed; 0 when all have ended."""
        self._loop = loop
        self._held: dict[str, Leftover] = {}
        self._timer: Timer | None = None

    def take(self, key: str, cgroup: Cgroup) -> Leftover:
        """Watch ``cgroup``, in which the session ``key`` has left processes running."""
        left = self._held[key] = Leftover(self._loop, cgroup, lambda: self._over(key))
        if self._timer is None:
            self._timer = self._loop.call_in(LOOK, self._look)
        return left

    def get(self, key: str) -> Leftover | None:
        return self._held.get(key)

    def processes(self, key: str) -> int:
        """How many processes of the session ``key`` still run."""
        left = self._held.get(key)
        return left.processes if left is not None else 0

    def all(self) -> dict[str, int]:
        """The number of processes of each session that has left any."""
        return {key: left.processes for key, left in self._held.items()}

    def each(self) -> list[tuple[str, Leftover]]:
        """What each session left, by the session's id."""
        return list(self._held.items())

    def _over(self, key: str) -> None:
        del self._held[key]
        self._tell(key, 0)

    def _look(self) -> None:
        self._timer = None
        for key, left in list(self._held.items()):
            if left.look():
                self._tell(key, left.processes)
        if self._held:
            self._timer = self._loop.call_in(LOOK, self._look)

    def _tell(self, key: str, processes: int) -> None:
        if self.changed is not None:
            self.changed(key, processes)
