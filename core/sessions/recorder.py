"""Storing what came of sessions: output to their logs, starts and exit records to the database.

Only what is stored is acknowledged to the agent. What a full disk refuses is kept and tried again.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from typing import TYPE_CHECKING

from sandtop.core.errors import StorageError
from sandtop.core.phrases import ending
from sandtop.core.sessions.credit import OutputCredit
from sandtop.core.sessions.input import STDIN
from sandtop.core.sessions.overdue import Overdue
from sandtop.core.sessions.records import brief
from sandtop.core.sessions.storage_retry import StorageRetry

if TYPE_CHECKING:
    from collections.abc import Callable

    import trio

    from sandtop.core.channel import AgentLink
    from sandtop.core.events import Teller
    from sandtop.core.sessions.records import SessionExit
    from sandtop.core.sessions.registry import SessionRegistry
    from sandtop.core.sessions.session import Session
    from sandtop.core.sessions.starts import Starts
    from sandtop.core.sessions.tty import TerminalObserver
    from sandtop.core.store import Database

log = logging.getLogger(__name__)


class Recorder:
    """Stores what comes of the sessions in ``registry``, of the sandbox ``name``.

    ``link`` gives the link to the agent, None without a machine. ``nursery`` owns what goes on by itself: trying a
    full disk again, waiting for output that is overdue, giving credit later.

    Attributes:
        credit: gives the agent credit for output.
    """

    def __init__(
        self,
        name: str,
        registry: SessionRegistry,
        database: Database,
        starts: Starts,
        observer: TerminalObserver | None,
        nursery: trio.Nursery,
        link: Callable[[], AgentLink | None],
        tell: Teller,
    ) -> None:
        self._name = name
        self._registry = registry
        self._database = database
        self._starts = starts
        self._observer = observer
        self._link = link
        self._tell = tell
        self._touched: set[Session] = set()
        self._changed: set[Session] = set()
        self._overdue = Overdue(nursery, link, self.settle)
        self._retry = StorageRetry(name, nursery, self._store_again)
        self.credit = OutputCredit(nursery, link)

    @property
    def stalled(self) -> str | None:
        """Why output or exit records wait to be stored; None when they do not."""
        return self._retry.why

    def touched(self, session: Session) -> None:
        """Something came of ``session``, which `store_next` is to store."""
        self._touched.add(session)

    def begun(self, session: Session) -> None:
        """``session`` started, which `store_next` is to store."""
        self._starts.begun(session, self._link())
        self.changed(session)

    def changed(self, session: Session) -> None:
        """The row of ``session`` changed, which `store_next` is to store."""
        self._changed.add(session)
        self._touched.add(session)

    def store_next(self) -> bool:
        """Store what came of one session, give credit, and end it when it is complete; whether others wait."""
        if self._touched:
            self.store(self._touched.pop())
            if (link := self._link()) is not None:
                link.flush()
        return bool(self._touched)

    def store(self, session: Session) -> None:
        """Write the output of ``session`` that came, then `settle`."""
        session.output.store()
        self.settle(session)

    def forget_touched(self) -> None:
        """Everything that came was stored, or need not be."""
        self._touched.clear()

    def settle(self, session: Session) -> None:
        """After its output was written: end ``session`` if it is complete, else give credit for more."""
        changed = session in self._changed
        self._changed.discard(session)
        if session.ended:
            return
        if changed and not session.ending:  # one that has ended already is stored with its end
            self._store_row(session)
        if session.output.stalled:
            refusal = session.output.refusal
            self._retry.begin(
                f"the logs cannot be written: {refusal.strerror if refusal else 'unknown reason'}"
            )
        elif (record := session.complete()) is not None:
            self._finish(session, record)
        elif (link := self._link()) is not None and not session.gone:
            for credit in session.output.credits(anew=False):
                link.outbox.credit(credit)
            if session.ending:
                self._overdue.watch(session)
            if session.tty is not None and self._observer is not None:
                self._observer.advanced(session.row.id)
                self.credit.give_after_silence(session)

    def _store_again(self) -> bool:
        """Try to store what a full disk refused; whether all of it is stored."""
        unstored = False
        for session in list(self._registry.running.values()):
            if session.output.stalled or session.ending:
                self.store(session)
                unstored |= session.output.stalled or (session.complete() is not None and not session.ended)
        if (link := self._link()) is not None:
            link.flush()
        return not unstored

    def _store_row(self, session: Session) -> None:
        try:
            self._database.update_session(session.row)
        except StorageError as error:
            # not tried again: a core that does not know the pid, or that nobody waits any more, asks the agent
            log.warning("%s: what changed of %s was not stored: %s", self._name, session.row.id, error)

    def _finish(self, session: Session, record: SessionExit) -> None:
        """Store the end of a session, then let the agent forget it. On a full disk: later."""
        link = self._link()
        self._starts.begun(session, link)
        record, now = session.with_cause(record), time.time()
        seen = now if session.ended_as_told(record) else session.row.acknowledged_at
        row = dataclasses.replace(
            session.row, state=record.state, ended_at=now, record=record.to_json(), acknowledged_at=seen
        )
        try:
            self._database.update_session(row)
        except StorageError as error:
            self._retry.begin(error.message)
            return
        session.end(row, record)
        self._registry.ended(session)
        self._tell_end(session, record)
        if session.tty is not None and self._observer is not None:
            self._observer.ended(session.row.id)
        if link is not None:
            link.outbox.remove(session.base + STDIN)
            if not session.gone:
                link.send({"type": "release", "id": row.id})

    def _tell_end(self, session: Session, record: SessionExit) -> None:
        command, key, kept = brief(session.row.argv), session.row.id, record.to_json()
        if record.reason == "oom":
            self._tell("oom", f"ran out of memory: {command}", session=key, record=kept)
        how = ending(record.reason, record.exit_status, record.signal)
        why = f" ({record.cause})" if record.cause else ""
        self._tell("session-exited", f"{how}: {command}{why}", session=key, record=kept)
