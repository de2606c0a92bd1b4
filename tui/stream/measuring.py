"""Listens to the core's measurements of host and sandboxes, and keeps the latest in the store."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Final

from sandtop.core.client.sdk import Sample, follow_stats
from sandtop.core.errors import SandtopError
from sandtop.tui.store.usage import CELLS, STEP_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandtop.tui.store import Store

_AGAIN_SECONDS: Final = 2.0
"""Seconds until a core that cannot be reached, or measures nothing, is asked again."""


class Measuring:
    """Fills ``store.usages``; ``measured`` is called after each sample."""

    def __init__(self, store: Store, measured: Callable[[], None]) -> None:
        self._store = store
        self._measured = measured

    async def run(self) -> None:
        """Listen until cancelled."""
        while True:
            with suppress(SandtopError):  # `Polling` says when the core cannot be reached
                await self._listen()
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _listen(self) -> None:
        usages = self._store.usages
        async with aclosing(follow_stats(history=CELLS * STEP_SECONDS, step=STEP_SECONDS)) as stream:
            async for item in stream:
                if isinstance(item, Sample):
                    usages.take_sample(item)
                    self._measured()
                else:
                    usages.take_history(item)
