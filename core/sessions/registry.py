"""The sessions of one sandbox, by id and by number."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandtop.core.sessions.reference import by_reference
from sandtop.core.sessions.session import Session

if TYPE_CHECKING:
    from pathlib import Path

    from sandtop.core.sessions.tty import TerminalObserver
    from sandtop.core.store import SessionRow


class SessionRegistry:
    """The sessions of the sandbox ``name``, whose logs are in ``logs`` and have at most ``cap`` bytes each.

    Attributes:
        by_id: every session, oldest first.
        running: those that have not ended, by number.
        last_number: the highest number that a session of this sandbox ever had.
        last_ended: the session that ended last, of those that are there.
    """

    def __init__(
        self, name: str, logs: Path, cap: int, last_number: int, observer: TerminalObserver | None
    ) -> None:
        self._name = name
        self._logs = logs
        self._cap = cap
        self._observer = observer
        self._failures: dict[str, Session] = {}
        self.by_id: dict[str, Session] = {}
        self.running: dict[int, Session] = {}
        self.last_number = last_number
        self.last_ended: Session | None = None

    @property
    def failures(self) -> list[Session]:
        """Those that ended badly and that nobody has acknowledged."""
        return list(self._failures.values())

    def add(self, row: SessionRow) -> Session:
        """A session from its row, new or stored by an earlier core."""
        session = Session(row, self._logs / row.id, self._cap, self._observer)
        self.by_id[row.id] = session
        self.judge(session)
        self.last_number = max(self.last_number, row.number)
        if not session.ended:
            self.running[row.number] = session
        else:
            self._ended_last(session)
        return session

    def _ended_last(self, session: Session) -> None:
        last = self.last_ended
        if last is None or (session.row.ended_at or 0.0) >= (last.row.ended_at or 0.0):
            self.last_ended = session

    def judge(self, session: Session) -> None:
        """Put ``session`` among the failures, or take it out, after it ended or was acknowledged."""
        if session.asks:
            self._failures[session.row.id] = session
        else:
            self._failures.pop(session.row.id, None)

    def ended(self, session: Session) -> None:
        """``session`` has ended, and that is stored."""
        self.running.pop(session.row.number, None)
        self.judge(session)
        self._ended_last(session)

    def get(self, reference: str) -> Session:
        """The session with this id, or the only one whose id begins with it. Raises `NotFound`, `InvalidRequest`."""
        return by_reference(self.by_id, reference, self._name)

    def remove(self, session: Session) -> None:
        """Forget one that has ended."""
        del self.by_id[session.row.id]
        self._failures.pop(session.row.id, None)
        if session is self.last_ended:
            ended = [one for one in self.by_id.values() if one.ended]
            self.last_ended = max(ended, key=lambda one: one.row.ended_at or 0.0, default=None)

    def clear(self) -> None:
        """Forget all."""
        self.by_id.clear()
        self.last_ended = None
        self.running.clear()
        self._failures.clear()
