"""Listens to what happens to sandboxes beside their sessions, and keeps the latest in the store."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Final

from sandtop.core.client.sdk import follow_events
from sandtop.core.errors import SandtopError

if TYPE_CHECKING:
    from sandtop.tui.store import Store

KINDS: Final = (
    "created", "started", "paused", "resumed", "stopped", "died", "failed", "adopted", "lost", "trouble", "recovered",
    "alert", "allow-list", "connected", "refused", "unreachable",
)  # fmt: skip
"""What is listened to. That sessions begin and end is known without, and of those there can be thousands; of what a
sandbox connects to, the core tells some (`sandtop.core.egress.history`)."""
_FIRST: Final = 2000
"""Events that it begins with."""
_AGAIN_SECONDS: Final = 2.0
"""Seconds until a core that cannot be reached is asked again."""


async def listen(store: Store) -> None:
    """Fill ``store.events`` until cancelled."""
    while True:
        with suppress(SandtopError):  # `Polling` says when the core cannot be reached
            async with aclosing(follow_events(kinds=KINDS, limit=_FIRST)) as stream:
                async for one in stream:
                    store.events.take(one)
        await asyncio.sleep(_AGAIN_SECONDS)
