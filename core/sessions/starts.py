"""Asking the agent to start a session: in one message or, when that would be longer than a frame, in a stream."""

from __future__ import annotations

import dataclasses
import json
import logging
from typing import TYPE_CHECKING, Final, cast

from sandtop.agent.wire import MAX_DATA, START_STREAM, SendStream
from sandtop.core.errors import InvalidRequest, StorageError
from sandtop.core.sessions.records import SessionExit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandtop.core.channel import AgentLink
    from sandtop.core.sessions.session import Session
    from sandtop.core.store import Database, SessionRow

log = logging.getLogger(__name__)
MAX_START: Final = 768 * 1024
"""Bytes of the longest start, with its labels, that is sent in one message. That leaves room in a frame for what else
a message holds that shows the session. Agents that do not know long starts take no more either."""
_MOST_LABELS: Final = 512 * 1024
_WORST: Final = 12
"""Bytes of JSON that one character may take: an escaped surrogate pair."""
_KEPT: Final = 32 * 1024
"""Characters that are kept of the command line of a longer start, to be shown."""


class Starts:
    """Sends the starts of the sandbox ``name``.

    Attributes:
        takes_long: whether the agent takes a start that is longer than a frame.
    """

    def __init__(self, name: str, database: Database) -> None:
        self._name = name
        self._database = database
        # the whole of each long start, by its session's id, until the agent has answered it
        self._long: dict[str, Mapping[str, object]] = {}
        self.takes_long = False

    def check(self, row: SessionRow, *, connected: bool) -> None:
        """Raises `InvalidRequest` when ``row``, which is not stored yet, is too large for the agent of this sandbox.

        ``connected`` says whether the agent has told what it takes.
        """
        size = _long_size(row)
        if size is None:
            return
        labels = len(json.dumps(dict(row.labels)))
        if labels > _MOST_LABELS:
            raise InvalidRequest(
                f"labels take {labels:,} bytes, more than {_MOST_LABELS:,}", sandbox=self._name
            )
        if connected and not self.takes_long:
            raise InvalidRequest(
                f"arguments, environment and labels are {size:,} bytes, and the agent of {self._name}, which is of an"
                f" older sandtop, takes {MAX_START:,}",
                sandbox=self._name,
                hint=f"sandtop restart {self._name} gives it a new one",
            )

    def loaded(self, row: SessionRow) -> SessionRow:
        """``row`` as the core keeps it in memory: of a long start only what is to be shown."""
        if _long_size(row) is None:
            return row
        if row.pid is None and row.record is None:
            self._long[row.id] = row.start
        return _shortened(row)

    def send(self, link: AgentLink, session: Session) -> None:
        """Ask the agent at the other end of ``link``, which is connected, to start ``session``."""
        row = session.row
        start = self._long.get(row.id)
        if start is None:
            link.send({"type": "start", "id": row.id, "n": row.number, **row.start})
        elif self.takes_long:
            text = json.dumps({"type": "start", **start}).encode("ascii")
            stream = SendStream(session.base + START_STREAM)
            for at in range(0, len(text), MAX_DATA):
                stream.write(text[at : at + MAX_DATA])
            link.outbox.add(stream)
            link.send({"type": "start", "id": row.id, "n": row.number, "bytes": len(text)})
        else:
            why = "its agent is of an older sandtop, which does not take so many arguments"
            session.set_ending(SessionExit("spawn", stage="agent", message=why, source="core"))

    def begun(self, session: Session, link: AgentLink | None) -> None:
        """The agent has answered, or never will: the whole of a long start is not needed any more."""
        if self._long.pop(session.row.id, None) is None:
            return
        if link is not None:
            link.outbox.remove(session.base + START_STREAM)
            # the agent dropped the credit that it read before the start, as it did not know the session
            for credit in session.output.credits(anew=True):
                link.outbox.credit(credit)
        try:
            self._database.shorten_session(session.row)
        except StorageError as error:
            log.info("%s: the long start of %s stays in the database: %s", self._name, session.row.id, error)


def _long_size(row: SessionRow) -> int | None:
    """The length in bytes of a start with its labels that is too long for one message; None when it is not."""
    env = cast("Mapping[str, str]", row.start.get("env") or {})
    words = [*row.argv, *env, *env.values(), *row.labels, *row.labels.values()]
    if not row.start.get("builtin") and (sum(map(len, words)) + len(words)) * _WORST < MAX_START // 2:
        return None  # most are this short, and need not be measured exactly
    size = len(json.dumps([dict(row.start), dict(row.labels)]))
    return size if size > MAX_START else None


def _shortened(row: SessionRow) -> SessionRow:
    """``row`` with only the beginning of its command line, and without environment and script, which are not shown."""
    kept: list[str] = []
    left = _KEPT
    for word in row.argv:
        if len(word) >= left:
            kept.append(f"{word[: max(0, left - 1)]}…")
            break
        kept.append(word)
        left -= len(word) + 1
    start: dict[str, object] = {
        **row.start,
        "argv": kept,
        "argv_length": row.argv_length,
        "env": {},
        "builtin": None,
    }
    return dataclasses.replace(row, start=start)
