"""A limit of processor time: the worker is one thread, and hostile programs write what it parses."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator


class TooSlow(Exception):
    """A block used more processor time than it may."""


@contextmanager
def processor_time(seconds: float) -> Generator[None]:
    """Raises `TooSlow` in the block, by a signal, when it has used more than ``seconds`` of processor time.

    Time in which others used the processor does not count. What the block was changing is left half changed. Works
    in the main thread only, and does not nest.
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
