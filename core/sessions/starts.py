"""Asking the agent to run a session: in one message, or when that would be longer than a frame as data behind one."""

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
"""Bytes of a start, with its labels, that travels in one message: with its fields around it, it fits a frame wherever
it is shown. It is also all that agents took before there was another way."""
_MOST_LABELS: Final = 512 * 1024
_WORST: Final = 12
"""Bytes of JSON that a character may take."""
_KEPT: Final = 32 * 1024
"""Characters of a longer one's command line that are there to be shown."""


class Starts:
    """The starts of the sandbox ``name``."""

    def __init__(self, name: str, database: Database) -> None:
        self._name = name
        self._database = database
        self._long: dict[
            str, Mapping[str, object]
        ] = {}  # whole ones, by session, until the agent has answered
        self.takes_long = False
        """Whether the agent takes a start that is longer than a frame."""

    def check(self, row: SessionRow, *, connected: bool) -> None:
        """Before it is stored. Raises `InvalidRequest` for one that is too large for the agent of this sandbox."""
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
        """``row``, new or of an earlier life of the core; of a long one what is to be shown of it."""
        if _long_size(row) is None:
            return row
        if row.pid is None and row.record is None:
            self._long[row.id] = row.start
        return _shortened(row)

    def send(self, link: AgentLink, session: Session) -> None:
        """Ask the agent. The link stands."""
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
        """The agent has answered, or never will: what it was asked is not needed again."""
        if self._long.pop(session.row.id, None) is None:
            return
        if link is not None:
            link.outbox.remove(session.base + START_STREAM)
            for credit in session.output.credits(
                anew=True
            ):  # that which came before its start was for nobody
                link.outbox.credit(credit)
        try:
            self._database.shorten_session(session.row)
        except StorageError as error:
            log.info("%s: the long start of %s stays in the database: %s", self._name, session.row.id, error)


def _long_size(row: SessionRow) -> int | None:
    """Bytes of a start and its labels that do not travel in one message; None for one that does."""
    env = cast("Mapping[str, str]", row.start.get("env") or {})
    words = [*row.argv, *env, *env.values(), *row.labels, *row.labels.values()]
    if not row.start.get("builtin") and (sum(map(len, words)) + len(words)) * _WORST < MAX_START // 2:
        return None  # so most are, and there is no need to look closer
    size = len(json.dumps([dict(row.start), dict(row.labels)]))
    return size if size > MAX_START else None


def _shortened(row: SessionRow) -> SessionRow:
    """``row`` with the beginning of its command line, and without what is not shown."""
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
