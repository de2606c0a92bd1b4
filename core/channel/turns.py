"""Who is heard when several agents talk at once, and how much of what says nothing.

The core hears all agents on one thread. So each is heard for a moment at a time, those that talk most one after the
other with everybody else between them; and one whose frames say nothing waits before it is heard again.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Final, Self

import trio

if TYPE_CHECKING:
    from types import TracebackType

_SLICE: Final = 0.0003
"""Seconds for which one is heard before all others get theirs: of all that must queue, one at a time."""
_SHARE: Final = 0.05
"""Of the core's time, what an agent may take without queueing: a key, an answer, a few lines of output …"""
_SAVED: Final = 0.002
"""… of which it can save up so many seconds …"""
_LEAST: Final = 0.0002
"""… and needs so many to go on without queueing."""
_IDLE_FRAMES: Final = 1000.0
"""Frames a second, of those that change nothing, that an agent may send: a late answer, a repeat after a break …"""
_IDLE_SECONDS: Final = 0.02
"""… and of the core's time, a second, to read them: the largest takes some milliseconds."""
LITTLE: Final = 64
"""Bytes of output: a frame with fewer costs more than it carries …"""
_LITTLE_SECONDS: Final = 0.2
"""… and of the core's time, a second, an agent may take so much for them: some 30,000. Ours gathers what its programs
write for milliseconds."""
_IDLE_SAVED: Final = 2.0
"""Seconds for which both can be saved up."""
_LONGEST_WAIT: Final = 0.25
"""Seconds; what is beyond is waited for the next time."""

_queue: trio.lowlevel.RunVar[trio.Lock] = trio.lowlevel.RunVar("turns of the links")


def _shared() -> trio.Lock:
    try:
        return _queue.get()
    except LookupError:
        lock = trio.Lock()  # first come, first served, and handed over at once
        _queue.set(lock)
        return lock


class Turn:
    """One link's. A context: whoever leaves it lets the next one go on.

    `begin` when there is something to do, `end` before a wait for more; in between `pass_on` when it is `over`.

    Attributes:
        until: when it is over, by the clock of time.perf_counter.
    """

    __slots__ = ("_holds", "_since", "_spare", "_started", "until")

    def __init__(self) -> None:
        now = time.perf_counter()
        self._spare = _SAVED
        self._since = self._started = self.until = now
        self._holds = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._release()

    async def begin(self) -> float:
        """Return when it may be heard, at once when it has not talked much; the time."""
        now = time.perf_counter()
        self._spare = min(_SAVED, self._spare + (now - self._since) * _SHARE)
        self._since = now
        if self._spare < _LEAST:
            return await self._queue_up()
        self._started, self.until = now, now + self._spare
        return now

    def end(self) -> None:
        """There is nothing more to do for now."""
        if not self._holds:
            self._spare -= time.perf_counter() - self._started
        self._release()

    @property
    def over(self) -> bool:
        """Whether it is time for others."""
        return time.perf_counter() >= self.until

    async def pass_on(self, wait: float = 0.0) -> float:
        """Let others go on, and return when it is this one's turn again, ``wait`` seconds later or more; the time."""
        if not self._holds:
            self._spare = 0.0
        self._release()
        if wait:
            await trio.sleep(wait)
        return await self._queue_up()

    async def _queue_up(self) -> float:
        await _shared().acquire()
        self._holds = True
        self._started = time.perf_counter()
        self.until = self._started + _SLICE
        return self._started

    def _release(self) -> None:
        if self._holds:
            self._holds = False
            _shared().release()


class Throttle:
    """Counts one link's frames that change nothing, or little. Beyond a burst they cost their sender time."""

    __slots__ = ("_at", "_spent")

    def __init__(self) -> None:
        self._spent = 0.0  # seconds of what it may send
        self._at = -math.inf

    def spend(self, seconds: float) -> None:
        """There was one, and it took so long to read."""
        self._spent += max(1 / _IDLE_FRAMES, seconds / _IDLE_SECONDS)

    def spend_on_little(self, seconds: float) -> None:
        """There was one that carried next to nothing."""
        self._spent += seconds / _LITTLE_SECONDS

    @property
    def wait(self) -> float:
        """Seconds until more may be heard; 0 for an agent that talks sense."""
        if self._spent <= _IDLE_SAVED:
            return 0.0
        now = trio.current_time()
        self._spent = max(0.0, self._spent - (now - self._at))
        self._at = now
        return min(_LONGEST_WAIT, max(0.0, self._spent - _IDLE_SAVED))
