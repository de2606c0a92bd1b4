"""All sessions of one sandbox, and what the agent says about them."""

from __future__ import annotations

import dataclasses
import logging
import time
from typing import TYPE_CHECKING, Final, cast

import trio

from sandtop.agent.wire import STREAMS_PER_SESSION, Credit, Data, ProtocolError
from sandtop.core.errors import StorageError
from sandtop.core.sessions import left
from sandtop.core.sessions.credit import OutputCredit
from sandtop.core.sessions.disconnects import Disconnects
from sandtop.core.sessions.overdue import Overdue
from sandtop.core.sessions.records import SessionExit, printable
from sandtop.core.sessions.reference import by_reference
from sandtop.core.sessions.reports import entries_of, pid_of, record_of
from sandtop.core.sessions.session import STDIN, Session
from sandtop.core.sessions.stall import Stall
from sandtop.core.sessions.starts import Starts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sandtop.core.channel import AgentLink
    from sandtop.core.sessions.tty import TerminalObserver
    from sandtop.core.settings import Settings
    from sandtop.core.store import Database, SessionRow

log = logging.getLogger(__name__)
_MOST_WARNINGS: Final = 8


class SessionManager:
    """The sessions of the sandbox ``uuid``, by id. The listener of its link while its machine runs.

    ``nursery`` owns what goes on when no machine is there: writing what a full disk refused, killing what a client
    left behind.
    """

    def __init__(
        self,
        uuid: str,
        name: str,
        database: Database,
        logs: Path,
        settings: Settings,
        nursery: trio.Nursery,
        screens: TerminalObserver | None = None,
    ) -> None:
        self._name = name
        self._database = database
        self._logs = logs
        self._settings = settings
        self._screens = screens
        self._sessions: dict[str, Session] = {}
        self._by_number: dict[int, Session] = {}
        self._failures: dict[str, Session] = {}
        self._touched: set[Session] = set()
        self._begun: set[Session] = set()  # those whose start is still to be stored
        self._link: AgentLink | None = None
        self._last_number = database.last_number(uuid)
        self._disconnects = Disconnects(name, nursery, lambda: self._link)
        self._starts = Starts(name, database)
        self._credit = OutputCredit(nursery, lambda: self._link)
        self._overdue = Overdue(nursery, lambda: self._link, self._settle)
        self._stall = Stall(name, nursery, self._store_again)
        self.warnings: list[str] = []
        """What of its identity the machine could not write, in the agent's words."""

    @property
    def stalled(self) -> str | None:
        """Why output or exit records wait to be stored; None when they do not."""
        return self._stall.why

    def _store_again(self) -> bool:
        """Try to store what waits; whether all of it is."""
        unstored = False
        for session in list(self._by_number.values()):
            if session.stalled or session.ending:
                session.store()
                self._settle(session)
                unstored |= session.stalled or (session.complete() is not None and not session.ended)
        if self._link is not None:
            self._link.flush()
        return not unstored

    def all(self) -> list[Session]:
        """Every session, oldest first."""
        return list(self._sessions.values())

    @property
    def running(self) -> int:
        return len(self._by_number)

    @property
    def open(self) -> list[Session]:
        """Those that have not ended, oldest first."""
        return list(self._by_number.values())

    @property
    def failures(self) -> list[Session]:
        """Those that ended badly, as nobody has said to have seen."""
        return list(self._failures.values())

    def _judge(self, session: Session) -> None:
        if session.asks:
            self._failures[session.row.id] = session
        else:
            self._failures.pop(session.row.id, None)

    def load(self, row: SessionRow) -> Session:
        """Take up a session from its row, new or from an earlier life of the core."""
        row = self._starts.loaded(row)
        session = Session(row, self._logs / row.id, self._settings.session_log_bytes, self._screens)
        self._sessions[row.id] = session
        self._judge(session)
        self._last_number = max(self._last_number, row.number)
        if not session.ended:
            self._by_number[row.number] = session
            if session.tty is not None and self._screens is not None:
                self._screens.opened(session, self)
        return session

    def find(self, key: str) -> Session | None:
        """The session with this very id."""
        return self._sessions.get(key)

    def get(self, reference: str) -> Session:
        """The session with this id, or the only one whose id begins with it. Raises `NotFound`, `InvalidRequest`."""
        return by_reference(self._sessions, reference, self._name)

    # starting and steering

    def attach_link(self, link: AgentLink | None) -> None:
        """The link to the agent, or None once the machine is gone."""
        self._link = link

    def next_number(self) -> int:
        """A session number that no session of this sandbox ever had."""
        return self._last_number + 1

    def start(self, row: SessionRow) -> Session:
        """Store ``row``, then ask the agent to run it.

        Raises `StorageError`, `AlreadyExists` for a known id, `InvalidRequest` for one that is too large.
        """
        connected = self._link is not None and self._link.connected
        self._starts.check(row, connected=connected)
        self._database.add_session(row)
        session = self.load(row)
        if self._link is not None and self._link.connected:
            for credit in session.credits(anew=True):
                self._link.outbox.credit(credit)
            self._starts.send(self._link, session)
            self._link.flush()
        return session

    def write_stdin(self, session: Session, offset: int, data: bytes) -> None:
        """Pass stdin on to the agent. Raises ProtocolError for a client that broke the rules."""
        if session.take_stdin(offset, data):
            self._flush_stdin(session)

    def close_stdin(self, session: Session, offset: int) -> None:
        """Pass the end of stdin on to the agent. Raises ProtocolError for a client that broke the rules."""
        if session.close_stdin(offset):
            self._flush_stdin(session)

    def _flush_stdin(self, session: Session) -> None:
        if self._link is not None:
            self._link.outbox.wake(session.base + STDIN)
            self._link.flush()

    def answer(self, session: Session, offset: int, data: bytes) -> bool:
        """Type what the screen worker answers; see `Session.answer`."""
        if not session.answer(offset, data):
            return False
        self._flush_stdin(session)
        return True

    # flow control of terminals

    def reached(self, session: Session, who: str, offset: int) -> None:
        """``who`` (see `sandtop.core.sessions.flow`) has drawn what was written before ``offset``."""
        if session.tty is not None and not session.ended:
            session.tty.flow.reached(who, offset, trio.current_time())
            self.give_credit(session)

    def give_credit(self, session: Session) -> None:
        """Give the agent the credit that is due."""
        self._credit.give(session)

    # what the agent says (Listener)

    def link_up(self, hello: Mapping[str, object]) -> None:
        """Reconcile: what the agent runs with what the store knows."""
        link = self._link
        assert link is not None
        self.take_warnings(hello.get("warnings"))
        self._starts.takes_long = hello.get("long_starts") is True
        known: set[str] = set()
        for entry in entries_of(hello.get("sessions")):
            key = str(entry.get("id"))[:64]
            session = self._sessions.get(key)
            if session is None or session.ended or session.row.number != entry.get("n"):
                # not ours any more: its record was stored, or its row removed
                self._let_go(link, key, running=entry.get("record") is None and session is None)
                continue
            known.add(key)
            self._take_entry(session, entry)
        for key in left.take_all(hello.get("left"), self._sessions):
            self._let_go(link, key, running=True)
        for session in list(self._by_number.values()):
            if session.gone:
                continue  # of an earlier machine: its record waits for the disk
            for credit in session.credits(anew=True):
                link.outbox.credit(credit)
            if session.row.id not in known:
                self._say_again(link, session)
        link.flush()

    def take_warnings(self, said: object) -> None:
        """What the agent says that it could not do when it took its identity on; bounded, and fit for a terminal."""
        lines = cast("list[object]", said)[:_MOST_WARNINGS] if isinstance(said, list) else []
        self.warnings = [printable(str(line)) for line in lines]

    def _say_again(self, link: AgentLink, session: Session) -> None:
        """The agent does not know a session that has not ended: its start was lost, or the agent began anew."""
        if session.row.pid is None and not session.ending:
            self._starts.send(link, session)
            self._touched.add(session)  # it may have ended with that
        else:
            session.cut_short("the machine does not know the session any more")
            self._touched.add(session)

    def _let_go(self, link: AgentLink, key: str, *, running: bool) -> None:
        if running:
            link.outbox.control(
                {"type": "signal", "id": key, "op": f"stray-{key}", "signal": 9, "scope": "all"}
            )
        link.outbox.control({"type": "release", "id": key})

    def _take_entry(self, session: Session, entry: Mapping[str, object]) -> None:
        pid = entry.get("pid")
        if pid is not None:
            self._started(session, pid)
        session.waits(entry.get("waiting", ""))
        record = entry.get("record")
        if record is not None:
            self._ending(session, record)

    def _started(self, session: Session, pid: object) -> bool:
        news = session.started(pid_of(pid), time.time())
        if news:
            self._starts.begun(session, self._link)
            self._begun.add(session)
            self._touched.add(session)
        return news

    def _ending(self, session: Session, record: object) -> None:
        session.set_ending(record_of(record))
        self._touched.add(session)

    def link_down(self, reason: str) -> None:
        """Keep what had come; all that was still on its way comes again on the next link."""
        while self.drained():
            pass

    def message(self, message: Mapping[str, object]) -> bool:
        kind, key = message["type"], message.get("id")
        if kind not in ("started", "exited", "refused", "left", "waiting"):
            raise ProtocolError(f"a message of type {str(kind)[:40]!r} from the agent")
        session = self._sessions.get(key) if isinstance(key, str) else None
        if session is not None and kind == "left" and session.ending and not session.gone:
            left.tell(session, left.processes(message.get("processes")))
        if session is None or session.ended or session.gone or kind == "left":
            return False  # a late word on a session that was released; for what is left there is no hurry
        if kind == "started":
            return self._started(session, message.get("pid"))
        if session.ending:
            return False
        if kind == "waiting":
            session.waits(message.get("who"))
            return False  # as for what is left
        if kind == "exited":
            self._ending(session, message.get("record"))
            left.tell(session, left.processes(message.get("left")))
        else:
            why = printable(str(message.get("message")))
            session.set_ending(SessionExit("spawn", stage="agent", message=f"the agent refused: {why}"))
            self._touched.add(session)
        return True

    def data(self, frame: Data) -> bool:
        session = self._by_number.get(frame.stream // STREAMS_PER_SESSION)
        if session is None or session.gone:
            return False  # the rest of a session that was ended here
        if not session.take(frame):
            return False
        self._touched.add(session)
        return True

    def stdin_credit(self, credit: Credit) -> bool:
        session = self._by_number.get(credit.stream // STREAMS_PER_SESSION)
        if session is None or session.gone or credit.stream % STREAMS_PER_SESSION != STDIN:
            return False
        before = session.stdin
        news = session.stdin_credit(credit)
        if session.stdin is not None and session.stdin is not before and self._link is not None:
            self._link.outbox.add(session.stdin)
        return news

    def drained(self) -> bool:
        """Store what came of one session, give credit, and end it when it is complete; whether others wait."""
        if self._touched:
            session = self._touched.pop()
            session.store()
            self._settle(session)
            if self._link is not None:
                self._link.flush()
        return bool(self._touched)

    def _settle(self, session: Session) -> None:
        begun = session in self._begun
        self._begun.discard(session)
        if session.ended:
            return
        if begun and not session.ending:  # one that has ended already is stored with its end
            self._store_start(session)
        if session.stalled:
            refusal = session.refusal
            self._stall.begin(
                f"the logs cannot be written: {refusal.strerror if refusal else 'unknown reason'}"
            )
        elif (record := session.complete()) is not None:
            self._finish(session, record)
        elif self._link is not None and not session.gone:
            for credit in session.credits(anew=False):
                self._link.outbox.credit(credit)
            if session.ending:
                self._overdue.watch(session)
            if session.tty is not None and self._screens is not None:
                self._screens.advanced(session.row.id)
                self._credit.give_after_silence(session)

    def _store_start(self, session: Session) -> None:
        try:
            self._database.update_session(session.row)
        except StorageError as error:
            # not worth a stall: a core that does not know the pid asks the agent
            log.warning("%s: the start of %s was not stored: %s", self._name, session.row.id, error)

    # ending

    def _finish(self, session: Session, record: SessionExit) -> None:
        """Store the end of a session, then let the agent forget it. On a full disk: later."""
        self._starts.begun(session, self._link)
        now = time.time()
        seen = now if session.ended_as_told(record) else session.row.acknowledged_at
        row = dataclasses.replace(
            session.row, state=record.state, ended_at=now, record=record.to_json(), acknowledged_at=seen
        )
        try:
            self._database.update_session(row)
        except StorageError as error:
            self._stall.begin(error.message)
            return
        session.end(row, record)
        self._judge(session)
        self._by_number.pop(row.number, None)
        if session.tty is not None and self._screens is not None:
            self._screens.ended(session.row.id)
        if self._link is not None:
            self._link.outbox.remove(session.base + STDIN)
            if not session.gone:
                self._link.send({"type": "release", "id": row.id})

    def machine_gone(self, why: str) -> None:
        """The machine ended: so does every session in it, as soon as what came of it is stored."""
        self._link = None
        left.take_all({}, self._sessions)
        self.warnings = []
        for session in list(self._by_number.values()):
            session.cut_short(why)
            session.store()
            self._settle(session)
        self._touched.clear()

    def stopping(self) -> None:
        """Somebody stops the machine: what ends with it asks for nobody."""
        for session in self._by_number.values():
            session.told_to_end()

    # clients that go away

    def disconnected(self, session: Session) -> None:
        """See `Disconnects.disconnected`."""
        self._disconnects.disconnected(session)

    def kill_abandoned(self, now: float) -> None:
        """See `Disconnects.kill_abandoned`."""
        self._disconnects.kill_abandoned(list(self._by_number.values()), now)

    # forgetting

    def drop(self) -> None:
        """The sandbox is no more, nor is what its sessions wrote: what waits to be stored need not be."""
        for session in self._by_number.values():
            if session.tty is not None and self._screens is not None:
                self._screens.ended(session.row.id)
        self._sessions.clear()
        self._by_number.clear()
        self._failures.clear()

    def acknowledge(self, session: Session) -> None:
        """Somebody has seen how a session ended, or that it waits at a prompt. Raises `StorageError`."""
        if not session.ended:
            session.prompt_seen = True
        elif session.row.acknowledged_at is None:
            row = dataclasses.replace(session.row, acknowledged_at=time.time())
            self._database.update_session(row)
            session.row = row
            self._judge(session)

    def remove(self, session: Session) -> None:
        """Forget an ended session and its log, and end what it left running. Raises `StorageError`."""
        session.log.clear()
        self._database.remove_session(session.row.id)
        del self._sessions[session.row.id]
        self._failures.pop(session.row.id, None)
        if session.left and self._link is not None:
            self._let_go(self._link, session.row.id, running=True)
            self._link.flush()
        self._disconnects.forget(session)
