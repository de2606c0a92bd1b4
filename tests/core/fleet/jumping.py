"""A clock that jumps to the next deadline as soon as nothing else goes on: virtual time for rooms that use threads.

trio's own (`trio.testing.MockClock` with an ``autojump_threshold``) takes a task that waits for a thread for one that
waits for time, and jumps over every deadline while the thread works. Here it jumps only while no thread of trio's does.
One that has called back into trio and waits for that is not at work, nor is one that waits for a file lock, which
may be held by the first.
"""

from __future__ import annotations

import fcntl
import math
import threading
from typing import TYPE_CHECKING

import trio
import trio.testing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import pytest

_ONE_WAITS_FOR_THE_OTHER = 0.05
"""Seconds, real ones, that a thread has to come back from a file lock, lest the clock jump when it has just got it."""


class _ThreadsHoldTime(trio.abc.Instrument):
    """Looks after every step of a task, as only such a step lets a thread begin, or hears of its end.

    Attributes:
        calling_back: how many threads wait for what they have called back into trio for.
        locked_out: how many wait for a file lock.
    """

    def __init__(self, clock: trio.testing.MockClock) -> None:
        self._clock = clock
        self._changing = threading.Lock()
        self.calling_back = 0
        self.locked_out = 0

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        threshold = self._threshold()
        if self._clock.autojump_threshold != threshold:
            self._clock.autojump_threshold = threshold

    def _threshold(self) -> float:
        at_work = trio.to_thread.current_default_thread_limiter().borrowed_tokens - self.calling_back
        if at_work <= 0:
            return 0.0
        # whoever holds the lock waits for trio, or is at work itself
        return _ONE_WAITS_FOR_THE_OTHER if self.calling_back and at_work <= self.locked_out else math.inf

    def wait_for_lock(self, descriptor: int, operation: int, token: trio.lowlevel.TrioToken) -> None:
        """`fcntl.flock` in a thread, during which that is not at work."""
        with self._changing:
            self.locked_out += 1
        token.run_sync_soon(_look)
        try:
            _flock(descriptor, operation)
        finally:
            with self._changing:
                self.locked_out -= 1


_flock = fcntl.flock


def _look() -> None:
    """A step of a task, after which the threads are looked at."""


def run(
    main: Callable[[], Awaitable[None]],
    monkeypatch: pytest.MonkeyPatch,
    *instruments: trio.abc.Instrument,
    seconds: float = 36_000.0,
) -> None:
    """Run ``main`` in virtual time; at most ``seconds`` of it."""
    clock = trio.testing.MockClock(autojump_threshold=0.0)
    threads = _ThreadsHoldTime(clock)
    real = trio.from_thread.run

    def from_thread_run(function: Callable[..., Awaitable[object]], *arguments: object) -> object:
        async def called() -> object:
            threads.calling_back += 1
            try:
                return await function(*arguments)
            finally:
                threads.calling_back -= 1

        return real(called)

    async def bounded() -> None:
        token = trio.lowlevel.current_trio_token()

        def flock(descriptor: int, operation: int) -> None:
            if operation & fcntl.LOCK_NB:
                _flock(descriptor, operation)
            else:
                threads.wait_for_lock(descriptor, operation, token)

        with trio.fail_after(seconds), monkeypatch.context() as patch:
            patch.setattr(fcntl, "flock", flock)
            await main()

    with monkeypatch.context() as patch:
        patch.setattr(trio.from_thread, "run", from_thread_run)
        trio.run(bounded, clock=clock, instruments=[threads, *instruments])
