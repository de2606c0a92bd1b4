"""All sessions of one sandbox, and what the agent says about them."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Final, cast

import trio

from sandtop.agent.protocol import STREAMS_PER_SESSION, Credit, Data, ProtocolError, SendStream
from sandtop.core.errors import InvalidRequest, NotFound, StorageError
from sandtop.core.sessions.records import ExitRecord
from sandtop.core.sessions.session import STDIN, InputHolder, Session

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sandtop.core.channel import AgentLink
    from sandtop.core.settings import Settings
    from sandtop.core.store import Database, SessionRow

_RETRY: Final = 0.5
"""Seconds between attempts to write to a disk that was full."""


class SandboxSessions:
    """The sessions of the sandbox ``uuid``, by id. The listener of its link while its machine runs."""

    def __init__(
        self,
        uuid: str,
        name: str,
        database: Database,
        logs: Path,
        settings: Settings,
    ) -> None:
        self._uuid = uuid
        self._name = name
        self._database = database
        self._logs = logs
        self._settings = settings
        self._sessions: dict[str, Session] = {}
        self._by_number: dict[int, Session] = {}
        self._touched: set[Session] = set()
        self._link: AgentLink | None = None
        self._last_number = 0
        self.disk_full = trio.Event()
        self.stalled = False

    def all(self) -> list[Session]:
        """Every session, oldest first."""
        return list(self._sessions.values())

    @property
    def running(self) -> int:
        return sum(not session.ended for session in self._sessions.values())

    def load(self, row: SessionRow) -> Session:
        """Take up a session from its row, new or from an earlier life of the core."""
        session = Session(row, self._logs / row.id, self._settings.session_log_bytes)
        self._sessions[row.id] = session
        self._last_number = max(self._last_number, row.number)
        if not session.ended:
            self._by_number[row.number] = session
        return session

    def get(self, reference: str) -> Session:
        """The session with this id, or the only one whose id begins with it. Raises `NotFound`, `InvalidRequest`."""
        if (found := self._sessions.get(reference)) is not None:
            return found
        matches = (
            [session for key, session in self._sessions.items() if key.startswith(reference)]
            if reference
            else []
        )
        if len(matches) > 1:
            raise InvalidRequest(
                f"{len(matches)} sessions of {self._name} begin with {reference}",
                sandbox=self._name,
                hint="give more of the id",
            )
        if not matches:
            raise NotFound(
                f"no session {reference} in {self._name}",
                sandbox=self._name,
                hint=f"sandtop sessions {self._name} lists them",
            )
        return matches[0]

    # starting and steering

    def attach_link(self, link: AgentLink | None) -> None:
        """The link to the agent, or None once the machine is gone."""
        self._link = link

    def next_number(self) -> int:
        """A session number that no session of this sandbox has."""
        return self._last_number + 1

    def start(self, row: SessionRow) -> Session:
        """Store ``row``, then ask the agent to run it. Raises `StorageError`, and `AlreadyExists` for a known id."""
        self._database.add_session(row)
        session = self.load(row)
        self._register(session)
        self._say_start(session)
        return session

    def _register(self, session: Session) -> None:
        """Tell the agent how much output the core takes."""
        if self._link is not None and self._link.connected:
            for credit in session.credits(anew=True):
                self._link.outbox.credit(credit)
            self._link.flush()

    def _say_start(self, session: Session) -> None:
        if self._link is not None:
            self._link.send(
                {"type": "start", "id": session.row.id, "n": session.row.number, **session.row.start}
            )

    def write_stdin(self, session: Session, offset: int, data: bytes) -> None:
        """Pass stdin on to the agent."""
        if session.take_stdin(offset, data):
            self._flush_stdin(session)

    def close_stdin(self, session: Session, offset: int) -> None:
        """Pass the end of stdin on to the agent."""
        if session.close_stdin(offset):
            self._flush_stdin(session)

    def _flush_stdin(self, session: Session) -> None:
        if self._link is not None:
            self._link.outbox.wake(session.base + STDIN)
            self._link.flush()

    def hold_input(self, session: Session, holder: InputHolder) -> None:
        session.hold_input(holder)

    # what the agent says (Listener)

    def link_up(self, hello: Mapping[str, object]) -> None:
        """Reconcile: what the agent runs with what the store knows."""
        link = self._link
        assert link is not None
        known: set[str] = set()
        for entry in _entries(hello.get("sessions")):
            key = str(entry.get("id"))
            session = self._sessions.get(key)
            if session is None or session.ended or session.row.number != entry.get("n"):
                # not ours any more: its record was stored, or its row removed
                self._let_go(link, key, running=entry.get("record") is None and session is None)
                continue
            known.add(key)
            self._take_entry(session, entry)
        for session in list(self._by_number.values()):
            for credit in session.credits(anew=True):
                link.outbox.credit(credit)
            if session.row.id not in known:
                self._say_again(session)
        link.flush()

    def _say_again(self, session: Session) -> None:
        """The agent does not know a session that has not ended: its start was lost, or the agent began anew."""
        if session.row.pid is None:
            assert self._link is not None
            self._link.outbox.control(
                {"type": "start", "id": session.row.id, "n": session.row.number, **session.row.start}
            )
        else:
            self._finish(session, session.cut_short("the machine does not know the session any more"))

    def _let_go(self, link: AgentLink, key: str, *, running: bool) -> None:
        if running:
            link.outbox.control(
                {"type": "signal", "id": key, "op": f"stray-{key}", "signal": 9, "scope": "all"}
            )
        link.outbox.control({"type": "release", "id": key})

    def _take_entry(self, session: Session, entry: Mapping[str, object]) -> None:
        pid = entry.get("pid")
        if isinstance(pid, int):
            session.started(pid, time.time())
        record = entry.get("record")
        if isinstance(record, dict):
            session.set_ending(ExitRecord.from_json(cast("Mapping[str, object]", record)))
            self._touched.add(session)

    def link_down(self, reason: str) -> None:
        """Nothing to do: all that was on its way comes again on the next link."""

    def message(self, message: Mapping[str, object]) -> None:
        kind, key = message["type"], message.get("id")
        session = self._sessions.get(key) if isinstance(key, str) else None
        if session is None or session.ended:
            return  # a late word on a session that was released
        if kind == "started":
            pid = message.get("pid")
            if not isinstance(pid, int):
                raise ProtocolError("a start without a pid")
            session.started(pid, time.time())
        elif kind == "exited":
            record = message.get("record")
            if not isinstance(record, dict):
                raise ProtocolError("an exit without a record")
            session.set_ending(ExitRecord.from_json(cast("Mapping[str, object]", record)))
            self._touched.add(session)
        elif kind == "refused":
            text = str(message.get("message"))[:500]
            self._finish(session, ExitRecord("spawn", stage="agent", message=f"the agent refused: {text}"))
        else:
            raise ProtocolError(f"a message of type {str(kind)[:40]!r} from the agent")

    def data(self, frame: Data) -> None:
        session = self._by_number.get(frame.stream // STREAMS_PER_SESSION)
        if session is not None:  # else the rest of a session that was ended here
            session.take(frame)
            self._touched.add(session)

    def stdin_credit(self, credit: Credit) -> None:
        session = self._by_number.get(credit.stream // STREAMS_PER_SESSION)
        if session is None or credit.stream % STREAMS_PER_SESSION != STDIN:
            return
        if session.stdin is None:
            session.stdin = SendStream(credit.stream, credit.acked)
            session.stdin.credit(credit.acked, credit.limit)
            if self._link is not None:
                self._link.outbox.add(session.stdin)
        if session.input_holder is not None:
            session.input_holder.credit(Credit(STDIN, session.stdin.acked, session.stdin.limit))

    def drained(self) -> None:
        """Give credit, and end what is complete, once for all that one read brought."""
        if not self._touched:
            return
        for session in self._touched:
            self._settle(session)
        self._touched.clear()
        if self._link is not None:
            self._link.flush()

    def _settle(self, session: Session) -> None:
        if session.stalled:
            self.stalled = True
            self.disk_full.set()
        elif (record := session.complete()) is not None:
            self._finish(session, record)
        elif self._link is not None and not session.ended:
            for credit in session.credits(anew=False):
                self._link.outbox.credit(credit)

    # ending

    def _finish(self, session: Session, record: ExitRecord) -> None:
        """Store the end of a session, then let the agent forget it. On a full disk: later, see `retry`."""
        row = dataclasses.replace(
            session.row, state=record.state, ended_at=time.time(), record=record.to_json()
        )
        try:
            self._database.update_session(row)
        except StorageError:
            session.set_ending(record)
            self.stalled = True
            self.disk_full.set()
            return
        session.end(row, record)
        self._by_number.pop(row.number, None)
        if self._link is not None:
            self._link.outbox.remove(session.base + STDIN)
            self._link.send({"type": "release", "id": row.id})

    def machine_gone(self, why: str) -> None:
        """The machine ended: so did every session in it."""
        self._link = None
        for session in list(self._by_number.values()):
            self._finish(session, session.cut_short(why))

    async def keep_storing(self) -> None:
        """Write what a full disk refused, as soon as there is room; run it beside the link."""
        while True:
            await self.disk_full.wait()
            self.disk_full = trio.Event()
            while self.stalled:
                await trio.sleep(_RETRY)
                self.stalled = False
                for session in list(self._by_number.values()):
                    if not session.store():
                        self.stalled = True
                    else:
                        self._settle(session)
                if self._link is not None:
                    self._link.flush()

    # retention

    def retire(self) -> None:
        """Remove what is beyond the settings: the oldest ended sessions, then the oldest of the other logs."""
        ended = [session for session in self._sessions.values() if session.ended and not session.attached]
        surplus = max(len(ended) - self._settings.sessions_kept, 0)
        for session in ended[:surplus]:
            self.remove(session)
        stored = 0
        for session in reversed(ended[surplus:]):
            stored += session.log.stored
            if stored > self._settings.sandbox_log_bytes:
                session.log.clear()

    def remove(self, session: Session) -> None:
        """Forget an ended session and its log."""
        self._database.remove_session(session.row.id)
        session.log.clear()
        del self._sessions[session.row.id]


def _entries(value: object) -> list[dict[str, object]]:
    if not isinstance(value, list):
        raise ProtocolError("a hello without a list of sessions")
    entries = cast("list[object]", value)
    if not all(isinstance(entry, dict) for entry in entries):
        raise ProtocolError("a hello whose sessions are not objects")
    return cast("list[dict[str, object]]", entries)
