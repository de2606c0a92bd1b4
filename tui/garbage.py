"""When the garbage collector runs: a collection takes some frames, so it waits for a moment in which nobody types."""

from __future__ import annotations

import gc
import time
from typing import Final

_NEVER: Final = 1 << 30
_IDLE_SECONDS: Final = 2.0
"""Seconds without a key after which a pause of some frames disturbs nobody."""
_INTERVAL_SECONDS: Final = 20.0
_LONGEST_SECONDS: Final = 180.0
"""After so long it collects though somebody types."""


class GarbageCollection:
    """One for the process: it changes Python's own thresholds."""

    def __init__(self) -> None:
        self._collected_at = time.monotonic()

    def freeze(self) -> None:
        """The console is open: what is in memory now stays there, and the collector leaves it alone.

        From now on Python collects young objects only; the old ones are collected in `collect_if_idle`.
        """
        gc.freeze()
        gc.enable()
        gc.set_threshold(gc.get_threshold()[0], gc.get_threshold()[1], _NEVER)

    def collect_if_idle(self, last_input_at: float) -> None:
        """Collect when it is time; to be called about once a second. ``last_input_at``: of `time.monotonic`."""
        now = time.monotonic()
        waited = now - self._collected_at
        idle = now - last_input_at > _IDLE_SECONDS
        if waited > _LONGEST_SECONDS or (waited > _INTERVAL_SECONDS and idle):
            gc.collect()
            self._collected_at = time.monotonic()
