"""Sharing the core's one thread between the links of all agents.

The core reads all agents on one thread. An agent that sends little is read at once. Those that send much queue for a
turn: each is read for a fraction of a millisecond, then the rest of the core runs, then the next one is read. An agent
whose frames change nothing, or carry next to nothing, is throttled: its link is not read for a while.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Final, Self

import trio

if TYPE_CHECKING:
    from types import TracebackType

_SLICE: Final = 0.0003
"""Seconds of a turn: for so long is one of the links that queue read before the next one."""
_SHARE: Final = 0.05
"""The part of the core's time for which a link is read without queueing: enough for keys, answers, some lines of
output. It builds up …"""
_SAVED: Final = 0.002
"""… to so many seconds at the most …"""
_LEAST: Final = 0.0002
"""… and a link that has less than this left queues."""
_IDLE_FRAMES: Final = 1000.0
"""Frames a second that change nothing (a late answer, a repeat after a break) that an agent may send …"""
_IDLE_SECONDS: Final = 0.02
"""… and seconds of the core's time, a second, that reading them may take: the largest frames take some milliseconds."""
LITTLE: Final = 64
"""A frame with fewer bytes of output than this costs more to read than it is worth …"""
_LITTLE_SECONDS: Final = 0.2
"""… so that reading such frames may take so many seconds of the core's time, a second: some 30,000 frames. Our own
agent gathers what programs write for some milliseconds, and sends far fewer."""
_IDLE_SAVED: Final = 2.0
"""Seconds for which all these allowances build up: a burst of so much is free."""
_LONGEST_WAIT: Final = 0.25
"""Seconds of one pause of a throttled link, so that its messages do not wait too long; more pauses follow."""

_queue: trio.lowlevel.RunVar[trio.Lock] = trio.lowlevel.RunVar("turns of the links")


def _shared() -> trio.Lock:
    try:
        return _queue.get()
    except LookupError:
        lock = trio.Lock()  # first come, first served, and handed over at once
        _queue.set(lock)
        return lock


class Turn:
    """When one link may be read. A context manager: a link that leaves it lets the next one have its turn.

    Call `begin` when bytes have come, `pass_on` while there is more to do and the turn is `over`, and `end` before
    waiting for more bytes.

    Attributes:
        until: when the turn is over, by the clock of time.perf_counter.
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
        """Return when the link may be read, at once if it has sent little lately. Returns the time."""
        now = time.perf_counter()
        self._spare = min(_SAVED, self._spare + (now - self._since) * _SHARE)
        self._since = now
        if self._spare < _LEAST:
            return await self._queue_up()
        self._started, self.until = now, now + self._spare
        return now

    def end(self) -> None:
        """All that came was read."""
        if not self._holds:
            self._spare -= time.perf_counter() - self._started
        self._release()

    @property
    def over(self) -> bool:
        """Whether others are to have their turn now."""
        return time.perf_counter() >= self.until

    async def pass_on(self, wait: float = 0.0) -> float:
        """Let others have their turn, and return when it is this link's again, after ``wait`` seconds at the earliest.

        Returns the time.
        """
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
    """Throttles one link by its frames that change nothing, or little: a leaky bucket, whose burst is free."""

    __slots__ = ("_at", "_spent")

    def __init__(self) -> None:
        self._spent = 0.0  # how much it has sent, in seconds of what it may send
        self._at = -math.inf

    def spend(self, seconds: float) -> None:
        """A frame came that changed nothing, and took ``seconds`` to read."""
        self._spent += max(1 / _IDLE_FRAMES, seconds / _IDLE_SECONDS)

    def spend_on_little(self, seconds: float) -> None:
        """A frame came that carried next to nothing, and took ``seconds`` to read."""
        self._spent += seconds / _LITTLE_SECONDS

    @property
    def wait(self) -> float:
        """Seconds for which the link must not be read; 0 for an agent that keeps within its allowances."""
        if self._spent <= _IDLE_SAVED:
            return 0.0
        now = trio.current_time()
        self._spent = max(0.0, self._spent - (now - self._at))
        self._at = now
        return min(_LONGEST_WAIT, max(0.0, self._spent - _IDLE_SAVED))
