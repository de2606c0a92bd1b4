"""Giving the agent credit for output, also when time alone makes it due: behind a screen that fell silent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandtop.core.channel import AgentLink
    from sandtop.core.sessions.session import Session


class OutputCredit:
    """Of one sandbox. ``nursery`` owns the waiting; ``link`` says what leads to the agent."""

    def __init__(self, nursery: trio.Nursery, link: Callable[[], AgentLink | None]) -> None:
        self._nursery = nursery
        self._link = link
        self._waiting: set[str] = set()

    def give(self, session: Session) -> None:
        """Give the credit that is due."""
        link = self._link()
        if link is None or session.ended or session.gone:
            return
        credits = list(session.output.credits(anew=False))
        for credit in credits:
            link.outbox.credit(credit)
        if credits:
            link.flush()
        self.give_after_silence(session)

    def give_after_silence(self, session: Session) -> None:
        """When somebody holds the program back, see to it that silence ends that."""
        if session.output.held_back_until() is not None and session.row.id not in self._waiting:
            self._waiting.add(session.row.id)
            self._nursery.start_soon(self._give_later, session, name=f"credit of {session.row.id}")

    async def _give_later(self, session: Session) -> None:
        while not session.ended and (until := session.output.held_back_until()) is not None:
            await trio.sleep_until(until)
            self.give(session)
        self._waiting.discard(session.row.id)
