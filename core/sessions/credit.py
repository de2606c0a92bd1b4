"""Giving the agent credit for output, at once or as soon as a slow screen no longer has to be waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandtop.core.channel import AgentLink
    from sandtop.core.sessions.session import Session


class OutputCredit:
    """Gives credit for the output of one sandbox's sessions.

    ``link`` gives the link to the agent, None without a machine. ``nursery`` owns the tasks that wait.
    """

    def __init__(self, nursery: trio.Nursery, link: Callable[[], AgentLink | None]) -> None:
        self._nursery = nursery
        self._link = link
        self._waiting: set[str] = set()

    def give(self, session: Session) -> None:
        """Send the credit that ``session`` is due now; what a slow screen withholds is sent later."""
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
        """If a slow screen withholds credit, see to it that the rest is sent when that screen has been silent too long.

        Nothing else may happen until then: a program without credit writes nothing, and a client that is frozen or
        gone does not say what it has drawn.
        """
        if session.output.held_back_until() is not None and session.row.id not in self._waiting:
            self._waiting.add(session.row.id)
            self._nursery.start_soon(self._give_later, session, name=f"credit of {session.row.id}")

    async def _give_later(self, session: Session) -> None:
        while not session.ended and (until := session.output.held_back_until()) is not None:
            await trio.sleep_until(until)
            self.give(session)
        self._waiting.discard(session.row.id)
