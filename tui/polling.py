"""Asks the core again and again how things are, and keeps the answers in the store."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from sandtop.core.client.sdk import Overview
from sandtop.core.errors import SandtopError
from sandtop.tui import gateway

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sandtop.tui.store import Store

POLL_SECONDS: Final = 0.5
"""Seconds between an answer of the core and the next question."""


class Polling:
    """Fills ``store``; ``answered`` is called after each attempt, whether the core answered or not.

    ``give_way`` lets a key be answered first: to take in a long answer, and to show it, takes longer than a frame.
    """

    def __init__(
        self,
        store: Store,
        clock: Callable[[], float],
        interval: float,
        answered: Callable[[], None],
        give_way: Callable[[], Awaitable[None]],
    ) -> None:
        self._store = store
        self._clock = clock
        self._give_way = give_way
        self._interval = interval
        self._answered = answered
        self._nudged = asyncio.Event()
        self._overview = Overview()

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            try:
                sandboxes, sessions = await gateway.look(self._overview)
                await self._give_way()
                self._store.take(sandboxes, sessions, self._clock())
            except SandtopError as error:
                self._store.failed(str(error))
            await self._give_way()
            self._answered()
            try:
                async with asyncio.timeout(self._interval):
                    await self._nudged.wait()
            except TimeoutError:
                pass
            self._nudged.clear()

    def ask_now(self) -> None:
        """Something has changed: ask at once."""
        self._nudged.set()
