"""The core, and what there is over all sandboxes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio.to_thread

from sandtop.core.client.link import blocking
from sandtop.core.client.link.asynchronous import call, call_all
from sandtop.core.client.link.listing import session_listing
from sandtop.core.contract.core import Status

if TYPE_CHECKING:
    from sandtop.core.contract.core import CoreStatus
    from sandtop.core.contract.session_results import SessionInfo


async def core_status() -> CoreStatus:
    """How the core is; it is started when it does not run."""
    return await call(Status())


async def stop_core(*, machines: bool = False) -> bool:
    """End the core, and with ``machines`` every sandbox first; else they go on. Whether there was one.

    Whatever is asked next starts it again. Raises `CoreUnavailable` when it stays.
    """
    return await anyio.to_thread.run_sync(
        lambda: blocking.stop_core(machines=machines), abandon_on_cancel=True
    )


async def sessions(*, pages: int | None = None) -> list[SessionInfo]:
    """The sessions of all sandboxes, running and ended, oldest first.

    With ``pages`` no more than the newest that so many answers of the core hold, each of up to a MiB.
    """
    return await call_all(session_listing(), pages)
