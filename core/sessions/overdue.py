"""Ending a session without the output that its exit record counts, when the agent never sends that."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import trio

from sandtop.core.errors import ChannelError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandtop.core.channel import AgentLink
    from sandtop.core.sessions.session import Session

log = logging.getLogger(__name__)
_ROUND: Final = 1.0
"""Seconds of a round. Rounds in which the agent did not answer, or had no credit for what it owes, do not count: a
machine that is paused, or a log whose disk is full, is waited for."""
_SLOW: Final = 4096
"""A round is slow when fewer bytes than this came in it …"""
_PATIENCE: Final = 10
"""… and after so many slow rounds the session ends without the rest."""
_MOST: Final = 16 << 20
"""Bytes that an honest agent can owe: it counts only what it has read, and reads no more than a window ahead."""
_ANSWER: Final = 60.0
"""Seconds for the agent to answer a ping."""


class Overdue:
    """Watches the sessions of one sandbox whose exit record has come before all their output.

    ``link`` gives the link to the agent, None without a machine. ``settle`` ends a session that is complete.
    ``nursery`` owns the task that watches.
    """

    def __init__(
        self, nursery: trio.Nursery, link: Callable[[], AgentLink | None], settle: Callable[[Session], None]
    ) -> None:
        self._nursery = nursery
        self._link = link
        self._settle = settle
        self._slow: dict[Session, int] = {}  # the number of slow rounds of each

    def watch(self, session: Session) -> None:
        """The exit record of ``session`` has come, but not all of its output: see to it that it ends."""
        if session in self._slow:
            return
        if not self._slow:
            self._nursery.start_soon(self._watch, name="output that is owed")
        self._slow[session] = 0

    async def _watch(self) -> None:
        while self._slow:
            before = {session: session.owed[0] for session in self._slow}
            await trio.sleep(_ROUND)
            answered = await self._answered()
            for session in list(self._slow):
                owed, may_come = session.owed
                if session.ended or session.gone or not owed:
                    del self._slow[session]
                elif answered and may_come and session in before:
                    self._judge(session, owed, before[session] - owed)

    def _judge(self, session: Session, owed: int, came: int) -> None:
        self._slow[session] += came < _SLOW
        if owed > _MOST or self._slow[session] >= _PATIENCE:
            log.warning("session %s ends without %d bytes that its agent spoke of", session.row.id, owed)
            del self._slow[session]
            session.give_up_rest()
            self._settle(session)

    async def _answered(self) -> bool:
        link = self._link()
        if link is None or not link.connected:
            return False
        try:
            await link.ping(_ANSWER)
        except ChannelError:
            return False
        return True
