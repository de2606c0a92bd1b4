"""What sessions left running: the processes of one whose leader ended by itself go on, in its cgroup."""

from __future__ import annotations

import os

from .loop import READ

TYPE_CHECKING = False  # see wire/frames.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from .cgroups import Cgroup
    from .loop import Loop, Timer

LOOK: Final = 2.0
"""Seconds between two looks at how many processes there are; that the last has ended is known at once."""
_DROPPED: Final = 64 * 1024
_REST: Final = 0.05
"""Seconds between two reads of what nobody will see: a flood of it costs the agent next to nothing."""


class Drain:
    """Reads ``fd``, its own, to nowhere: who writes there is neither held up nor ended by a signal."""

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
        """Read no more. Whoever still writes is told by SIGPIPE."""
        if self._fd >= 0:
            self._loop.cancel(self._timer)
            self._loop.unwatch(self._fd)
            os.close(self._fd)
            self._fd = -1


class Leftover:
    """What one session left, until the last of it has ended; ``over`` is called then, once.

    Attributes:
        processes: how many there were at the last look.
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
        """Count them again; whether that is news."""
        before = self.processes
        # one that is in the middle of a fork or of its end is one all the same
        self.processes = max(1, self._cgroup.processes()) if self._drains is not None else 0
        return self.processes != before

    def take_output(self, fd: int) -> None:
        """Take over the descriptor of a pipe that they may write to."""
        if self._drains is None:
            os.close(fd)
        else:
            self._drains.append(Drain(self._loop, fd))

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
    """Those of all sessions, by the session's id, also after the core has released that."""

    def __init__(self, loop: Loop) -> None:
        self.changed: Callable[[str, int], None] | None = None
        """Called with an id and how many processes there are now; 0: that is the last of it."""
        self._loop = loop
        self._held: dict[str, Leftover] = {}
        self._timer: Timer | None = None

    def take(self, key: str, cgroup: Cgroup) -> Leftover:
        """Keep ``cgroup``, in which the session ``key`` has left something."""
        left = self._held[key] = Leftover(self._loop, cgroup, lambda: self._over(key))
        if self._timer is None:
            self._timer = self._loop.call_in(LOOK, self._look)
        return left

    def get(self, key: str) -> Leftover | None:
        return self._held.get(key)

    def processes(self, key: str) -> int:
        """How many the session ``key`` has left."""
        left = self._held.get(key)
        return left.processes if left is not None else 0

    def all(self) -> dict[str, int]:
        """How many each session has left, of those that have."""
        return {key: left.processes for key, left in self._held.items()}

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
