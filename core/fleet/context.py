"""What every sandbox needs of the core around it."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import trio

from sandtop.core.events import EventLog
from sandtop.core.fleet.room import Space, space

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from sandtop.core.fleet.sandbox import Sandbox
    from sandtop.core.guest import GuestStore
    from sandtop.core.machine import Driver
    from sandtop.core.paths import Paths
    from sandtop.core.screens.screens import Screens
    from sandtop.core.settings import Settings
    from sandtop.core.store import Database
    from sandtop.core.templates import Templates

log = logging.getLogger(__name__)


def _one_a_processor() -> trio.CapacityLimiter:
    return trio.CapacityLimiter(max(2, len(os.sched_getaffinity(0))))


@dataclass(slots=True)
class Context:
    """Shared by all sandboxes of a core. A context manager, to be left when none of its tasks runs any more.

    Attributes:
        nursery: owns what accompanies their machines.
        driver: runs their machines.
        starting: held from a machine's launch until its agent is ready: more of them at once than the host has
            processors would only all be late.
        events: what happened to them.
        everyone: all of them, for what one may not do beside another.
        room: what the disk of the sandboxes had when it was looked at last; None when that cannot be known.
    """

    paths: Paths
    database: Database
    settings: Settings
    nursery: trio.Nursery
    driver: Driver
    guest: GuestStore
    templates: Templates
    screens: Screens
    starting: trio.CapacityLimiter = field(default_factory=_one_a_processor)
    room: Space | None = None
    events: EventLog = field(init=False)
    everyone: Callable[[], Collection[Sandbox]] = tuple

    def __post_init__(self) -> None:
        self.events = EventLog(self.paths.events)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.events.close()
        self.templates.close()

    def look_at_room(self) -> Space | None:
        """Look at the disk of the sandboxes now. Blocks as long as that disk does."""
        try:
            self.room = space(self.paths.sandboxes, self.settings.disk_reserve_bytes)
        except OSError as error:
            if self.room is not None:
                log.warning("the disk of the sandboxes cannot be asked for its room: %s", error)
            self.room = None
        return self.room
