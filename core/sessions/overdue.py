"""Output that an exit record speaks of and that does not come: the session ends without it."""

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
"""Seconds between two looks. Only those count in which the agent answered and had credit for what it owes: a machine
that is paused, or a log whose disk is full, is waited for."""
_SLOW: Final = 4096
"""Bytes a round, fewer than that …"""
_PATIENCE: Final = 10
"""… in so many rounds, and no more is waited for."""
_MOST: Final = 16 << 20
"""Bytes that an agent can owe at the most: it has read what it speaks of, and reads no more than a window ahead."""
_ANSWER: Final = 60.0


class Overdue:
    """Of one sandbox. ``nursery`` owns the waiting; ``link`` leads to the agent; ``settle`` ends what is complete."""

    def __init__(
        self, nursery: trio.Nursery, link: Callable[[], AgentLink | None], settle: Callable[[Session], None]
    ) -> None:
        self._nursery = nursery
        self._link = link
        self._settle = settle
        self._slow: dict[Session, int] = {}  # how many rounds brought next to nothing

    def watch(self, session: Session) -> None:
        """Its exit record came, and not all of its output: see to it that it ends."""
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
