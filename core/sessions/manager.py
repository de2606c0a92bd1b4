"""The session manager: what can be done with the sessions of one sandbox."""

from __future__ import annotations

import dataclasses
import time
from itertools import takewhile
from typing import TYPE_CHECKING

import trio

from sandtop.core.events import Teller
from sandtop.core.files import FileServers
from sandtop.core.sessions import left
from sandtop.core.sessions.disconnects import Disconnects
from sandtop.core.sessions.input import STDIN
from sandtop.core.sessions.listener import SessionListener, let_go
from sandtop.core.sessions.recorder import Recorder
from sandtop.core.sessions.registry import SessionRegistry
from sandtop.core.sessions.starts import Starts

if TYPE_CHECKING:
    from pathlib import Path

    from sandtop.core.channel import AgentLink
    from sandtop.core.sessions.session import Session
    from sandtop.core.sessions.tty import TerminalObserver
    from sandtop.core.settings import Settings
    from sandtop.core.store import Database, SessionRow


class SessionManager:
    """The sessions of the sandbox ``uuid``, whether its machine runs or not.

    ``nursery`` owns what goes on when no machine is there, such as writing what a full disk refused. ``observer`` is
    told what happens to terminals, and ``tell`` adds to the events.

    Attributes:
        listener: takes what the agent says; for the sandbox's link, while its machine runs.
        files: the file servers, which are sessions that are nobody's.
    """

    def __init__(
        self,
        uuid: str,
        name: str,
        database: Database,
        logs: Path,
        settings: Settings,
        nursery: trio.Nursery,
        observer: TerminalObserver | None = None,
        tell: Teller | None = None,
    ) -> None:
        self._database = database
        self._observer = observer
        self._link: AgentLink | None = None

        def link() -> AgentLink | None:
            return self._link

        cap = settings.session_log_bytes
        self._registry = SessionRegistry(name, logs, cap, database.last_number(uuid), observer)
        self._starts = Starts(name, database)
        self._tell = tell or Teller(None, name, uuid)
        self._recorder = Recorder(
            name, self._registry, database, self._starts, observer, nursery, link, self._tell
        )
        self._disconnects = Disconnects(name, nursery, link)
        self.files = FileServers(name, link, nursery)
        self.listener = SessionListener(
            self._registry, self._recorder, self._starts, link, self._tell, self.files
        )

    # which there are

    @property
    def stalled(self) -> str | None:
        """Why output or exit records wait to be stored; None when they do not."""
        return self._recorder.stalled

    @property
    def warnings(self) -> list[str]:
        """See `SessionListener.warnings`; empty without a machine."""
        return self.listener.warnings

    def all(self) -> list[Session]:
        """Every session, oldest first."""
        return list(self._registry.by_id.values())

    @property
    def running(self) -> int:
        """How many have not ended."""
        return len(self._registry.running)

    @property
    def open(self) -> list[Session]:
        """Those that have not ended, oldest first."""
        return list(self._registry.running.values())

    @property
    def last_ended(self) -> Session | None:
        """The one that ended last."""
        return self._registry.last_ended

    @property
    def failures(self) -> list[Session]:
        """Those that ended badly and that nobody has acknowledged."""
        return self._registry.failures

    def find(self, key: str) -> Session | None:
        """The session with this very id."""
        return self._registry.by_id.get(key)

    def get(self, reference: str) -> Session:
        """The session with this id, or the only one whose id begins with it. Raises `NotFound`, `InvalidRequest`."""
        return self._registry.get(reference)

    def since(self, number: int) -> list[Session]:
        """Those with a higher number than that, newest first."""
        return list(takewhile(lambda each: each.row.number > number, reversed(self._registry.by_id.values())))

    def next_number(self) -> int:
        """A session number that no session of this sandbox ever had."""
        return self._registry.last_number + 1

    # starting

    def load(self, row: SessionRow) -> Session:
        """Take up a session from its row, new or stored by an earlier core."""
        session = self._registry.add(self._starts.loaded(row))
        if not session.ended and session.tty is not None and self._observer is not None:
            self._observer.opened(session, self)
        return session

    def start(self, row: SessionRow) -> Session:
        """Store ``row``, then ask the agent to run it.

        Raises `StorageError`, `AlreadyExists` for a known id, `InvalidRequest` for one that is too large.
        """
        connected = self._link is not None and self._link.connected
        self._starts.check(row, connected=connected)
        self._database.add_session(row)
        session = self.load(row)
        if self._link is not None and self._link.connected:
            for credit in session.output.credits(anew=True):
                self._link.outbox.credit(credit)
            self._starts.send(self._link, session)
            self._link.flush()
        return session

    # input

    def write_stdin(self, session: Session, offset: int, data: bytes) -> None:
        """Pass stdin on to the agent. Raises ProtocolError for a client that broke the rules."""
        if session.input.write(offset, data):
            self._flush_stdin(session)

    def close_stdin(self, session: Session, offset: int) -> None:
        """Pass the end of stdin on to the agent. Raises ProtocolError for a client that broke the rules."""
        if session.input.close(offset):
            self._flush_stdin(session)

    def answer(self, session: Session, offset: int, data: bytes) -> bool:
        """Type what the screen worker answers; see `SessionInput.answer`."""
        if not session.input.answer(offset, data):
            return False
        self._flush_stdin(session)
        return True

    def _flush_stdin(self, session: Session) -> None:
        if self._link is not None:
            self._link.outbox.wake(session.base + STDIN)
            self._link.flush()

    # flow control of terminals

    def reached(self, session: Session, who: str, offset: int) -> None:
        """``who`` (see `sandtop.core.sessions.flow`) has drawn what was written before ``offset``."""
        if session.tty is not None and not session.ended:
            session.tty.flow.reached(who, offset, trio.current_time())
            self.give_credit(session)

    def give_credit(self, session: Session) -> None:
        """Give the agent the credit that is due."""
        self._recorder.credit.give(session)

    # the machine

    def attach_link(self, link: AgentLink | None) -> None:
        """``link`` leads to the agent of the machine that runs; None once it is gone."""
        self._link = link

    def stopping(self) -> None:
        """Somebody stops the machine: sessions that end with it need nobody's attention."""
        for session in self._registry.running.values():
            session.told_to_end()

    def machine_gone(self, why: str) -> None:
        """The machine ended: so does every session in it, as soon as what came of it is stored."""
        self.files.broken(why)
        self._link = None
        left.take_all({}, self._registry.by_id)
        self.listener.take_warnings(None)
        for session in list(self._registry.running.values()):
            session.cut_short(why)
            self._recorder.store(session)
        self._recorder.forget_touched()

    # clients that go away

    def disconnected(self, session: Session) -> None:
        """See `Disconnects.disconnected`."""
        self._disconnects.disconnected(session)

    def kill_abandoned(self, now: float) -> None:
        """See `Disconnects.kill_abandoned`."""
        self._disconnects.kill_abandoned(self.open, now)

    # acknowledging and forgetting

    def acknowledge(self, session: Session, *, undo: bool = False) -> None:
        """Somebody has seen how a session ended, or that it waits at a prompt; with ``undo`` it asks again.

        Raises `StorageError`.
        """
        if not session.ended:
            row = dataclasses.replace(session.row, prompt_seen="" if undo else session.waiting)
            self._database.update_session(row)
            session.row = row
        elif (session.row.acknowledged_at is None) != undo:
            row = dataclasses.replace(session.row, acknowledged_at=None if undo else time.time())
            self._database.update_session(row)
            session.row = row
            self._registry.judge(session)
            self._tell("acknowledged", "taken back" if undo else "", session=row.id)

    def remove(self, session: Session) -> None:
        """Forget an ended session and its log, and end what it left running. Raises `StorageError`."""
        session.log.clear()
        self._database.remove_session(session.row.id)
        self._registry.remove(session)
        self._tell("session-removed", session=session.row.id)
        if session.left and self._link is not None:
            let_go(self._link, session.row.id, kill=True)
            self._link.flush()
        self._disconnects.forget(session)

    def drop(self) -> None:
        """The sandbox is removed, and the logs with it: nothing that waits to be stored need be."""
        for session in self._registry.running.values():
            if session.tty is not None and self._observer is not None:
                self._observer.ended(session.row.id)
        self._registry.clear()
