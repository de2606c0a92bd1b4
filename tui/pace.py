"""The keyboard goes first: what pours in waits a moment when somebody has pressed a key."""

from __future__ import annotations

import asyncio
import gc
import time
from typing import Final

_MOMENT: Final = 0.025
"""Seconds in which a key is usually answered on the screen."""
_NEVER: Final = 1 << 30
_IDLE: Final = 2.0
"""Seconds without a key after which a pause of some frames disturbs nobody."""
_COLLECT_SECONDS: Final = 20.0
_COLLECT_AT_LAST: Final = 180.0
SLICE_SECONDS: Final = 0.004
"""How long whoever takes in output may keep the loop before others have their turn."""


class Pace:
    """One for the console. Keys that are held down stop nothing for longer than half of the time."""

    def __init__(self) -> None:
        self._until = 0.0
        self._pressed_at = 0.0
        self._collected_at = time.monotonic()

    def pressed(self) -> None:
        """A key, a click or a paste came."""
        now = self._pressed_at = time.monotonic()
        if now > self._until + _MOMENT:
            self._until = now + _MOMENT

    @property
    def left(self) -> float:
        """Seconds that the keyboard still has for itself, 0 when it needs none."""
        return max(0.0, self._until - time.monotonic())

    async def turn(self) -> None:
        """Let others have their turn, and wait while the keyboard has its own."""
        await asyncio.sleep(self.left)

    def settle(self) -> None:
        """What is in memory now stays: the collector leaves it alone. From now on it looks at old objects in `rest`.

        It took some frames each time, in the middle of anything.
        """
        gc.freeze()
        gc.set_threshold(gc.get_threshold()[0], gc.get_threshold()[1], _NEVER)

    def rest(self) -> None:
        """Call this now and then: it collects garbage when nobody types, or when nobody has stopped for minutes."""
        now = time.monotonic()
        waited = now - self._collected_at
        if waited > _COLLECT_AT_LAST or (waited > _COLLECT_SECONDS and now - self._pressed_at > _IDLE):
            gc.collect()
            self._collected_at = time.monotonic()
