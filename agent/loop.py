"""The event loop: epoll, timers, and callbacks for the next turn. Single-threaded."""

from __future__ import annotations

import bisect
import select
import time

TYPE_CHECKING = False  # see wire/frames.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    Timer = tuple[float, int, Callable[[], None]]
    """When (seconds, by the clock of the loop), a number that orders timers of the same moment, and the callback.

    It is a tuple because tuples are compared by C code alone.
    """

READ: Final = select.EPOLLIN
WRITE: Final = select.EPOLLOUT
URGENT: Final = select.EPOLLPRI
EDGE: Final = select.EPOLLET
HANGUP: Final = select.EPOLLHUP

_EVENTS_A_TURN: Final = 64


class Loop:
    """Calls back for events of descriptors and when time has passed.

    A callback may be called without an event: when a descriptor is closed and its number used again within one turn, an
    event of the old one is still reported. So callbacks do nonblocking I/O, and expect that there is nothing to do.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.now = now
        """The clock of the timers, in seconds."""
        self._epoll = select.epoll()
        self._watched: dict[int, Callable[[int], None]] = {}
        # sorted; cancelled ones are removed, so that the list stays short
        self._timers: list[Timer] = []
        self._order = 0
        self._soon: list[Callable[[], None]] = []
        self._running = False
        self.after_turn: Callable[[], None] | None = None
        """Called at the end of each turn."""

    def watch(self, fd: int, events: int, callback: Callable[[int], None]) -> None:
        """Call ``callback`` with the events that ``fd`` has, whenever it has any of ``events``, HUP or ERR."""
        self._epoll.register(fd, events)
        self._watched[fd] = callback

    def change(self, fd: int, events: int) -> None:
        """Watch for other events. With `EDGE` events that are there already are reported once more."""
        self._epoll.modify(fd, events)

    def unwatch(self, fd: int) -> None:
        """Forget ``fd``, which is still open. Without effect when it is not watched."""
        if self._watched.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def call_in(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Call ``callback`` once, after ``seconds``."""
        self._order += 1
        timer = self.now() + seconds, self._order, callback
        bisect.insort(self._timers, timer)
        return timer

    def cancel(self, timer: Timer | None) -> None:
        """Do not call ``timer``. Without effect when it was called already, or is None."""
        if timer is None:
            return
        index = bisect.bisect_left(self._timers, timer)
        if index < len(self._timers) and self._timers[index] is timer:
            del self._timers[index]

    def soon(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` in the next turn, which does not wait."""
        self._soon.append(callback)

    def run(self) -> None:
        """Turn until `stop`."""
        self._running = True
        while self._running:
            self.turn()

    def stop(self) -> None:
        self._running = False

    def turn(self) -> None:
        """Wait for events, then call all callbacks that are due."""
        for fd, events in self._epoll.poll(self._patience(), _EVENTS_A_TURN):
            callback = self._watched.get(fd)
            if callback is not None:
                callback(events)
        if self._timers:
            self._run_timers()
        if self._soon:
            queued, self._soon = self._soon, []
            for queued_callback in queued:
                queued_callback()
        self.settle()

    def settle(self) -> None:
        """Do now what is done at the end of each turn."""
        if self.after_turn is not None:
            self.after_turn()

    def _patience(self) -> float:
        """Seconds to wait at most; -1 for ever."""
        if self._soon:
            return 0
        if not self._timers:
            return -1
        return max(0.0, self._timers[0][0] - self.now())

    def _run_timers(self) -> None:
        now = self.now()
        while self._timers and self._timers[0][0] <= now:
            _when, _order, callback = self._timers.pop(0)
            callback()
