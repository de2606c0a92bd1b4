"""A task that runs beside a block of code, and no longer."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable


@asynccontextmanager
async def background(task: Callable[[], Awaitable[None]]) -> AsyncGenerator[None]:
    """Run ``task``, which must not raise, while the block runs; cancel it when the block ends.

    What the block raises comes out as it is, not in the group that a nursery makes of it.
    """
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(task)
            try:
                yield
            finally:
                nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        if len(group.exceptions) == 1:
            raise group.exceptions[0] from group.exceptions[0].__cause__
        raise
