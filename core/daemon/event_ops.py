"""``core.events``: what happened, and what happens."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, Final

import trio

from sandtop.core.contract.core import Events
from sandtop.core.contract.core_events import Happened
from sandtop.core.contract.record import Nothing
from sandtop.core.daemon.dispatch import serves
from sandtop.core.daemon.selection import Selection
from sandtop.core.errors import NotFound
from sandtop.core.groups import unwrapped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandtop.core.daemon.connection import Connection
    from sandtop.core.daemon.dispatch import Core

    Event = dict[str, Any]

_AT_ONCE: Final = 256
"""Events in one message: some 100 KiB."""


@serves(Events)
async def events(core: Core, request: Events, connection: Connection) -> Nothing:
    kept = core.fleet.events
    wanted = Wanted(core, request)
    reached, last = request.after or 0, kept.last
    found = await trio.to_thread.run_sync(kept.stored, reached)
    if not request.follow and request.after is None:
        wanted.check(found)
    # not the last of now: what happened after the thread had looked has still to be told
    reached = found[-1]["id"] if found else max(reached, last)
    found = wanted.of(found)
    if request.limit is not None:
        found = found[max(0, len(found) - request.limit) :]
    await _send(connection, found)
    if not request.follow:
        return Nothing()
    with unwrapped():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.until_gone)
            with trio.move_on_after(wanted.seconds_left):
                while True:
                    news = kept.recent(reached)
                    if news is None:  # more came than memory holds while this client read
                        news = await trio.to_thread.run_sync(kept.stored, reached)
                    if news:
                        reached = news[-1]["id"]
                        await _send(connection, wanted.of(news))
                    else:
                        await kept.wait()
            nursery.cancel_scope.cancel()
    return Nothing()


async def _send(connection: Connection, found: Sequence[Event]) -> None:
    for at in range(0, len(found), _AT_ONCE):
        await connection.message(Happened.kind, {"events": [*found[at : at + _AT_ONCE]]})


class Wanted:
    """Which events a request asks for."""

    def __init__(self, core: Core, request: Events) -> None:
        self._selection = Selection(core.fleet, request.sandboxes, request.labels, history=True)
        self._kinds = None if request.kinds is None else frozenset(request.kinds)
        self._since = request.since or 0.0
        self._until = request.until

    @property
    def seconds_left(self) -> float:
        """Seconds until nothing that happens is asked for any more."""
        return math.inf if self._until is None else max(0.0, self._until - time.time())

    def check(self, events: Sequence[Event]) -> None:
        """Raises `NotFound` for a name that nothing has, and of which ``events``, all that are kept, do not tell."""
        if self._selection.unknown:
            told = {event[name] for event in events for name in ("sandbox", "uuid")}
            for name in self._selection.unknown:
                if name not in told:
                    raise NotFound(
                        f"no sandbox named {name[:80]}, and no event of one",
                        sandbox=name[:80],
                        hint="sandtop ls lists them",
                    )

    def of(self, events: Sequence[Event]) -> list[Event]:
        """Those of ``events`` that the request asks for, in order."""
        return [event for event in events if self._has(event)]

    def _has(self, event: Event) -> bool:
        at = event["at"]
        if at < self._since or (self._until is not None and at > self._until):
            return False
        if self._kinds is not None and event["kind"] not in self._kinds:
            return False
        return self._selection.has(event["uuid"], event["sandbox"])
