"""A clock that jumps to the next deadline as soon as nothing else goes on: virtual time for rooms that use threads.

trio's own (`trio.testing.MockClock` with an ``autojump_threshold``) takes a task that waits for a thread for one that
waits for time, and jumps over every deadline while the thread works. Here it jumps only while no thread of trio's does;
one that has called back into trio and waits for that is not at work.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import trio
import trio.testing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import pytest

_ONE_WAITS_FOR_THE_OTHER = 0.05
"""Seconds, real ones, after which a thread is taken to wait for one that has called back: both want one file lock."""


class _ThreadsHoldTime(trio.abc.Instrument):
    """Looks after every step of a task, as only such a step lets a thread begin, or hears of its end."""

    def __init__(self, clock: trio.testing.MockClock) -> None:
        self._clock = clock
        self.calling_back = 0

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        working = trio.to_thread.current_default_thread_limiter().borrowed_tokens > self.calling_back
        threshold = 0.0 if not working else _ONE_WAITS_FOR_THE_OTHER if self.calling_back else math.inf
        if self._clock.autojump_threshold != threshold:
            self._clock.autojump_threshold = threshold


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
        with trio.fail_after(seconds):
            await main()

    with monkeypatch.context() as patch:
        patch.setattr(trio.from_thread, "run", from_thread_run)
        trio.run(bounded, clock=clock, instruments=[threads, *instruments])
