"""How many processes ended sessions left running, as an agent says: checked, for a guest's root may be behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from sandtop.agent.wire import ProtocolError
from sandtop.agent.wire.limits import MAX_PROCESSES, MAX_SESSIONS
from sandtop.core.sessions.reports import MOST

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sandtop.core.sessions.session import Session

KEPT: Final = MAX_SESSIONS
"""Ended sessions that are kept for what they left, whatever the settings say: an agent has no more."""


def processes(value: object) -> int:
    """The number that a message gives; none is 0. Raises ProtocolError."""
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_PROCESSES:
        raise ProtocolError(f"a session that left {value!r:.40} processes")
    return value


def tell(session: Session, count: int) -> None:
    """``session`` has left so many; whoever waits for news of it is woken."""
    if session.left != count:
        session.left = count
        session.notify()


def take_all(value: object, sessions: Mapping[str, Session]) -> list[str]:
    """Tell ``sessions`` what a hello says that each left; the ids that are none of theirs. Raises ProtocolError."""
    if value is None:  # an agent that lets nothing go on
        value = {}
    if not isinstance(value, dict):
        raise ProtocolError("a hello whose left is no object")
    if len(cast("dict[str, object]", value)) > MOST:
        raise ProtocolError("a hello of too many sessions that have left something")
    said = {key: processes(count) for key, count in cast("dict[str, object]", value).items()}
    for key, session in sessions.items():
        tell(session, said.pop(key, 0))
    return list(said)


def removable(ended: Iterable[Session]) -> list[Session]:
    """Those of ``ended``, oldest first, that may go: not the latest `KEPT` of those that left something running."""
    sessions = list(ended)
    kept = {session.row.id for session in [each for each in sessions if each.left][-KEPT:]}
    return [session for session in sessions if session.row.id not in kept]
