"""What an agent reports of its sessions, checked: a guest's root can forge it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from sandtop.agent.wire import ProtocolError
from sandtop.agent.wire.limits import MAX_PROCESSES, MAX_SESSIONS
from sandtop.core.sessions.records import SessionExit, printable

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST: Final = 2 * MAX_SESSIONS
"""Sessions in a hello: twice what an agent can have. A longer list would cost the core time, as it answers each."""


def pid_of(said: object) -> int:
    """``said`` as a pid. Raises ProtocolError for nonsense."""
    if not isinstance(said, int) or isinstance(said, bool) or not 0 < said <= MAX_PROCESSES:
        raise ProtocolError(f"a session with the pid {said!r:.40}")
    return said


def record_of(said: object) -> SessionExit:
    """``said`` as an exit record. Nonsense gives the reason ``unknown``, so that the session ends all the same."""
    try:
        if not isinstance(said, dict):
            raise ProtocolError("an exit without a record")
        return SessionExit.from_agent(cast("Mapping[str, object]", said))
    except ProtocolError as error:
        why = printable(f"the agent's word on it makes no sense: {error}")
        return SessionExit("unknown", message=why, source="core")


def entries_of(said: object) -> list[dict[str, object]]:
    """The sessions that a hello lists. Raises ProtocolError for nonsense."""
    if not isinstance(said, list):
        raise ProtocolError("a hello without a list of sessions")
    entries = cast("list[object]", said)
    if len(entries) > MOST:
        raise ProtocolError(f"a hello of {len(entries)} sessions")
    if not all(isinstance(entry, dict) for entry in entries):
        raise ProtocolError("a hello whose sessions are not objects")
    return cast("list[dict[str, object]]", entries)
