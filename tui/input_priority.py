"""The keyboard comes first: whoever takes in a program's output waits a moment after each key.

The console is one event loop. A flood of output would fill it, and the frame that answers a key would come late.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

_ANSWER_SECONDS: Final = 0.025
"""How long after a key its answer is usually on the screen."""
SLICE_SECONDS: Final = 0.004
"""How long whoever takes in output may keep the loop before others have their turn."""


class InputPriority:
    """One for the console. Keys that are held down delay output for no more than half of the time.

    Attributes:
        last_input_at: when a key, click or paste last came, by `time.monotonic`; 0 before the first.
    """

    def __init__(self) -> None:
        self.last_input_at = 0.0
        self._until = 0.0

    def input_came(self) -> None:
        """A key, a click or a paste came: for a moment output waits."""
        now = self.last_input_at = time.monotonic()
        if now > self._until + _ANSWER_SECONDS:
            self._until = now + _ANSWER_SECONDS

    @property
    def remaining(self) -> float:
        """Seconds for which output still waits; 0 when no key came lately."""
        return max(0.0, self._until - time.monotonic())

    async def give_way(self) -> None:
        """Let the rest of the loop have its turn, and wait while a key is being answered."""
        await asyncio.sleep(self.remaining)
