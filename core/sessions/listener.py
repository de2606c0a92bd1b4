"""What the agent says of the sessions of a sandbox: checked, and passed to each."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, cast

from sandtop.agent.wire import STREAMS_PER_SESSION, Credit, Data, ProtocolError
from sandtop.core.sessions import left
from sandtop.core.sessions.input import STDIN
from sandtop.core.sessions.records import SessionExit, brief, printable
from sandtop.core.sessions.reports import entries_of, pid_of, record_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandtop.core.channel import AgentLink
    from sandtop.core.events import Teller
    from sandtop.core.files import FileServers
    from sandtop.core.sessions.recorder import Recorder
    from sandtop.core.sessions.registry import SessionRegistry
    from sandtop.core.sessions.session import Session
    from sandtop.core.sessions.starts import Starts

_MOST_WARNINGS: Final = 8
_MOST_FOLDERS: Final = 16
_MOST_TARGET: Final = 4096


class SessionListener:
    """Takes what an agent says of the sessions in ``registry``: a `sandtop.core.channel.Listener`.

    Attributes:
        unmounted: where folders of the host were mounted that are not there any more, as the agent says.
        output_bytes: how much output came of all sessions since the core started.
        warnings: what of its identity (name, hosts, machine-id) the guest could not write, in the agent's words.
    """

    def __init__(
        self,
        registry: SessionRegistry,
        recorder: Recorder,
        starts: Starts,
        link: Callable[[], AgentLink | None],
        tell: Teller,
        files: FileServers,
    ) -> None:
        self._registry = registry
        self._recorder = recorder
        self._starts = starts
        self._link = link
        self._tell = tell
        self._files = files
        self.warnings: list[str] = []
        self.unmounted: set[str] = set()
        self.output_bytes = 0

    # a link comes and goes

    def link_up(self, hello: Mapping[str, object]) -> None:
        """Compare what the agent runs with what the database knows, and make good what the break of a link lost."""
        link = self._link()
        assert link is not None
        self.take_warnings(hello.get("warnings"))
        self._take_folders(hello.get("folders"))
        self._starts.takes_long = hello.get("long_starts") is True
        known: set[str] = set()
        for entry in entries_of(hello.get("sessions")):
            key = str(entry.get("id"))[:64]
            session = self._registry.by_id.get(key)
            if session is None or session.ended or session.row.number != entry.get("n"):
                # not ours any more: its record was stored, or its row removed
                let_go(link, key, kill=entry.get("record") is None and session is None)
                continue
            known.add(key)
            self._take_entry(session, entry)
        for key in left.take_all(hello.get("left"), self._registry.by_id):
            let_go(link, key, kill=True)
        for session in list(self._registry.running.values()):
            if session.gone:
                continue  # of an earlier machine: its record waits for the disk
            for credit in session.output.credits(anew=True):
                link.outbox.credit(credit)
            if session.row.id not in known:
                self._unknown_to_agent(link, session)
        link.flush()

    def link_down(self, reason: str) -> None:
        """Store what had come. What was still on its way comes again on the next link."""
        self._files.broken(reason)
        while self.drained():
            pass

    def take_warnings(self, said: object) -> None:
        """Take `warnings` from the agent's message, bounded and fit for a terminal."""
        lines = cast("list[object]", said)[:_MOST_WARNINGS] if isinstance(said, list) else []
        self.warnings = [printable(str(line)) for line in lines]

    def _take_folders(self, said: object) -> None:
        entries = cast("list[object]", said)[:_MOST_FOLDERS] if isinstance(said, list) else []
        facts = [cast("Mapping[str, object]", entry) for entry in entries if isinstance(entry, dict)]
        self.unmounted = {
            str(fact.get("target"))[:_MOST_TARGET] for fact in facts if fact.get("mounted") is not True
        }

    def _take_entry(self, session: Session, entry: Mapping[str, object]) -> None:
        pid = entry.get("pid")
        if pid is not None:
            self._started(session, pid)
        if session.waits(entry.get("waiting", ""), entry.get("program")):
            self._recorder.changed(session)
        record = entry.get("record")
        if record is not None:
            self._ending(session, record)

    def _unknown_to_agent(self, link: AgentLink, session: Session) -> None:
        """The agent does not know a session that has not ended: its start was lost, or the agent is another one."""
        if session.row.pid is None and not session.ending:
            self._starts.send(link, session)
        else:
            session.cut_short("the machine does not know the session any more")
        self._recorder.touched(
            session
        )  # it may have ended: a start that the agent is too old for ends it, too

    # what the agent says

    def message(self, message: Mapping[str, object]) -> bool:
        kind, key = message["type"], message.get("id")
        if kind == "unmounted":
            return self._unmounted(message)
        if kind not in ("started", "exited", "refused", "left", "waiting"):
            raise ProtocolError(f"a message of type {str(kind)[:40]!r} from the agent")
        session = self._registry.by_id.get(key) if isinstance(key, str) else None
        if session is None:
            return self._of_nobody(kind, key, message)
        if kind == "left" and session.ending and not session.gone:
            left.tell(session, left.processes(message.get("processes")))
        if session.ended or session.gone or kind == "left":
            # the session was released meanwhile; and what is left running changes slowly: it need not be heard often
            return False
        if kind == "started":
            return self._started(session, message.get("pid"))
        if session.ending:
            return False
        if kind == "waiting":
            if session.waits(message.get("who"), message.get("program")):
                self._recorder.changed(session)
            return False  # changes slowly, as what is left does
        if kind == "exited":
            self._ending(session, message.get("record"))
            left.tell(session, left.processes(message.get("left")))
        else:
            why = printable(str(message.get("message")))
            session.set_ending(SessionExit("spawn", stage="agent", message=f"the agent refused: {why}"))
            self._recorder.touched(session)
        return True

    def _unmounted(self, message: Mapping[str, object]) -> bool:
        target = str(message.get("target"))[:_MOST_TARGET]
        if target in self.unmounted or len(self.unmounted) >= _MOST_FOLDERS:
            return False
        self.unmounted.add(target)
        return True

    def _of_nobody(self, kind: object, key: object, message: Mapping[str, object]) -> bool:
        """The agent's word on a session that is a file server, or that was removed."""
        if self._files.message(key, message):
            return True
        link = self._link()
        if kind == "exited" and link is not None:
            link.send({"type": "release", "id": key})
        return False

    def _started(self, session: Session, pid: object) -> bool:
        news = session.started(pid_of(pid), time.time())
        if news:
            self._recorder.begun(session)
            self._tell("session-started", brief(session.row.argv), session=session.row.id)
        return news

    def _ending(self, session: Session, record: object) -> None:
        session.set_ending(record_of(record))
        self._recorder.touched(session)

    def data(self, frame: Data) -> bool:
        session = self._registry.running.get(frame.stream // STREAMS_PER_SESSION)
        if session is None:
            return self._files.data(frame)  # false for the rest of a session that was ended here
        if session.gone:
            return False
        if not session.output.take(frame):
            return False
        self.output_bytes += len(frame.data)
        self._recorder.touched(session)
        return True

    def stdin_credit(self, credit: Credit) -> bool:
        session = self._registry.running.get(credit.stream // STREAMS_PER_SESSION)
        if session is None:
            return self._files.credited(credit.stream)
        if session.gone or credit.stream % STREAMS_PER_SESSION != STDIN:
            return False
        before = session.input.stream
        news = session.input.take_credit(credit)
        stream, link = session.input.stream, self._link()
        if stream is not None and stream is not before and link is not None:
            link.outbox.add(stream)
        return news

    def drained(self) -> bool:
        return self._recorder.store_next()


def let_go(link: AgentLink, key: str, *, kill: bool) -> None:
    """Have the agent forget the session ``key``; with ``kill`` it ends first what still runs in it."""
    if kill:
        link.outbox.control({"type": "signal", "id": key, "op": f"stray-{key}", "signal": 9, "scope": "all"})
    link.outbox.control({"type": "release", "id": key})
