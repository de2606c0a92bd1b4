"""``core.stats``: what host and sandboxes use, before, now and from now on."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

import trio

from sandtop.core.contract.core import Stats
from sandtop.core.contract.core_events import Sample
from sandtop.core.contract.record import Nothing
from sandtop.core.daemon.dispatch import serves
from sandtop.core.daemon.selection import Selection
from sandtop.core.groups import unwrapped

if TYPE_CHECKING:
    from sandtop.core.contract.core_events import SandboxStats
    from sandtop.core.daemon.connection import Connection
    from sandtop.core.daemon.dispatch import Core

_AT_ONCE: Final = 500
"""Sandboxes in one message: some 250 KiB, and with their sessions more."""
_WITH_SESSIONS: Final = 50


@serves(Stats)
async def stats(core: Core, request: Stats, connection: Connection) -> Nothing:
    selection = Selection(core.fleet, request.sandboxes, request.labels)
    with unwrapped():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.until_gone)
            if request.history:
                await _send_history(core, request, selection, connection)
            async with core.fleet.watch.followed():
                await _send_samples(core, request, selection, connection)
            nursery.cancel_scope.cancel()
    return Nothing()


async def _send_history(core: Core, request: Stats, selection: Selection, connection: Connection) -> None:
    watch = core.fleet.watch
    await connection.tell(watch.host_history(request.history, request.step))
    for sandbox in selection.sandboxes():
        history = watch.history(sandbox, request.history, request.step)
        if history is not None:
            await connection.tell(history)
        await trio.lowlevel.checkpoint()


async def _send_samples(core: Core, request: Stats, selection: Selection, connection: Connection) -> None:
    watch = core.fleet.watch
    first = True
    while True:
        if first or request.sessions:
            await watch.ask(selection.sandboxes(), sessions=request.sessions)
        first = False
        found = [one for each in selection.sandboxes() if (one := watch.of(each)) is not None]
        await _send(connection, core, [_shown(one, sessions=request.sessions) for one in found], request)
        if not request.follow:
            return
        await watch.next()


async def _send(connection: Connection, core: Core, found: list[SandboxStats], request: Stats) -> None:
    at, host = core.fleet.watch.host()
    several = _WITH_SESSIONS if request.sessions else _AT_ONCE
    for begin in range(0, max(1, len(found)), several):
        more = begin + several < len(found)
        await connection.tell(Sample(at=at, host=host, sandboxes=found[begin : begin + several], more=more))


def _shown(stats: SandboxStats, *, sessions: bool) -> SandboxStats:
    return stats if sessions or stats.by_session is None else dataclasses.replace(stats, by_session=None)
