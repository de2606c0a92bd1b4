"""How long a loop that is under test keeps all others waiting."""

from __future__ import annotations

import time

import trio
from tests.fuzz.target import Dear


class Turns(trio.abc.Instrument):
    """How long the longest turn of the loop was, in seconds of processor time of the loop's thread."""

    def __init__(self) -> None:
        self._since: float | None = None
        self.longest = 0.0

    def after_io_wait(self, timeout: float) -> None:
        self._since = time.thread_time()

    def before_io_wait(self, timeout: float) -> None:
        if self._since is not None:
            self.longest = max(self.longest, time.thread_time() - self._since)

    def check(self, most: float) -> None:
        """Raises `Dear` when a turn took more than ``most`` seconds."""
        if self.longest > most:
            raise Dear(f"a turn of the loop took {self.longest:.3f} s")
