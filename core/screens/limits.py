"""Ends what takes too long, by a signal: the worker is one thread, and what it parses was written by programs."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator


class TooSlow(Exception):
    """It was not done in time."""


@contextmanager
def processor_time(seconds: float) -> Generator[None]:
    """Raises `TooSlow` in the block when it has used more of the processor: a busy host makes nothing too slow.

    What the block was at is torn. Only in the main thread; does not nest.
    """

    def expired(_number: int, _frame: object) -> None:
        raise TooSlow(f"it took more than {seconds:g} s of processor time")

    before = signal.signal(signal.SIGVTALRM, expired)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
