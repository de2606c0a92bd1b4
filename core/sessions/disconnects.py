"""Killing the sessions that must not outlive their clients, when a client disconnects."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import trio

from sandtop.core.errors import ChannelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sandtop.core.channel import AgentLink
    from sandtop.core.sessions.session import Session

log = logging.getLogger(__name__)
_KILL_AGAIN: Final = 2.0
"""Seconds between two attempts to kill a session."""
_KILL_DEADLINE: Final = 10.0
"""Seconds for the agent to answer one of them."""
_GRACE: Final = 20.0
"""Seconds that a client has to connect again after the core died, before it counts as gone."""


class Disconnects:
    """Kills sessions of the sandbox ``name``.

    ``link`` gives the link to the agent, None without a machine. ``nursery`` owns the tasks that kill, which go on for
    as long as the agent cannot be reached.
    """

    def __init__(self, name: str, nursery: trio.Nursery, link: Callable[[], AgentLink | None]) -> None:
        self._name = name
        self._nursery = nursery
        self._link = link
        self._left: dict[str, float] = {}
        self._killing: set[str] = set()

    def disconnected(self, session: Session) -> None:
        """The client of a session that must not outlive it is gone: kill all its processes, however long that takes."""
        if not session.ended and session.row.id not in self._killing:
            self._killing.add(session.row.id)
            session.abandoned()
            self._nursery.start_soon(self._kill, session, name=f"end of {session.row.id}")

    async def _kill(self, session: Session) -> None:
        key = session.row.id
        while not session.ending and not session.gone:
            link = self._link()
            if link is not None and link.connected:
                try:
                    await link.request(
                        {"type": "signal", "id": key, "signal": 9, "scope": "all"}, _KILL_DEADLINE
                    )
                except ChannelError as error:
                    log.info("%s: session %s is not killed yet: %s", self._name, key, error)
            await trio.sleep(_KILL_AGAIN)
        self._killing.discard(key)

    def kill_abandoned(self, sessions: Iterable[Session], now: float) -> None:
        """Kill those of ``sessions`` whose client has not come back since an earlier core died.

        To be called regularly, with trio's time as ``now``.
        """
        for session in sessions:
            if session.row.on_hangup != "kill" or session.attached:
                self._left.pop(session.row.id, None)
            elif now - self._left.setdefault(session.row.id, now) > _GRACE:
                self.disconnected(session)

    def forget(self, session: Session) -> None:
        """``session`` was removed."""
        self._left.pop(session.row.id, None)
