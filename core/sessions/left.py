"""How many processes ended sessions left running. The agent says so, and is checked: a guest's root can forge it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from sandtop.agent.wire import ProtocolError
from sandtop.agent.wire.limits import MAX_PROCESSES, MAX_SESSIONS
from sandtop.core.sessions.reports import MOST

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sandtop.core.sessions.session import Session

KEPT: Final = MAX_SESSIONS
"""Ended sessions that are kept, whatever the settings say, while they have processes running. No agent has more."""


def processes(value: object) -> int:
    """``value`` as a number of processes; None counts as 0. Raises ProtocolError."""
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_PROCESSES:
        raise ProtocolError(f"a session that left {value!r:.40} processes")
    return value


def tell(session: Session, count: int) -> None:
    """Set how many processes ``session`` left running, and wake its followers when that is news."""
    if session.left != count:
        session.left = count
        session.notify()


def take_all(value: object, sessions: Mapping[str, Session]) -> list[str]:
    """Set for all ``sessions`` what each left running, from the ``left`` of a hello. Raises ProtocolError.

    Returns the ids in it that are none of ``sessions``.
    """
    if value is None:  # an older agent, which leaves nothing running
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
    """Those of ``ended``, oldest first, that may be removed: all but the latest `KEPT` that have processes running."""
    sessions = list(ended)
    kept = {session.row.id for session in [each for each in sessions if each.left][-KEPT:]}
    return [session for session in sessions if session.row.id not in kept]
