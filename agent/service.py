"""The agent's side of the messages in ``docs/protocol.md``: takes what a core sends, and answers."""

from __future__ import annotations

import os
import signal
from collections import OrderedDict

from . import measure
from .arriving import Arrivals
from .connections import Connections
from .defaults import Defaults
from .folders import Folders
from .machine import Identity
from .operations import OperationFailed, Operations
from .session import Session
from .start import Start, window_size
from .trust import trusted
from .wire import (
    AGENT_PROTOCOL,
    START_STREAM,
    STREAMS_PER_SESSION,
    Control,
    Credit,
    Data,
    ProtocolError,
    values,
)
from .wire.limits import FIRST_CONNECTION, MAX_GRACE_MS, MAX_SESSIONS
from .wire.streams import LATER, SOON
from .wire.values import InvalidMessage

TYPE_CHECKING = False  # see wire/frames.py
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Final

    from .egress.wayout import WayOut
    from .machine import Machine
    from .session import Host
    from .shutdown import Shutdown
    from .wire import Eof, Frame

    Message = dict[str, object]

AGENT: Final = "1"
"""The agent's version in its hello. People may read it; the core decides by `AGENT_PROTOCOL`."""
_REMEMBERED: Final = 1024
"""Ids of released sessions that are remembered in case the core repeats a start."""


class Service:
    """Takes what comes over the port (a `Peer`), runs sessions, and answers. ``timings`` goes into its hello."""

    def __init__(
        self,
        host: Host,
        machine: Machine,
        shutdown: Shutdown,
        log: Callable[[str], None],
        timings: dict[str, int],
        way_out: WayOut | None = None,
    ) -> None:
        self.sessions: dict[int, Session] = {}
        self.drop: Callable[[str], None] = self.link_ended
        """Ends the link, with a reason: `Port.drop`, once there is a port."""
        self.mounted: Callable[[], None] = lambda: None  # with a port, `Port.be_patient`
        self._host = host
        self._machine = machine
        self._shutdown = shutdown
        self._log = log
        self._timings = timings
        self._by_id: dict[str, Session] = {}
        self._forgotten: OrderedDict[str, None] = OrderedDict()
        self._defaults: Defaults | None = None
        self._warnings: list[str] = []
        self._greeted = False
        host.left.changed = self._left_changed
        host.waits = self._waits
        self._operations = Operations(
            {
                "configure": self._configure,
                "signal": self._signal,
                "resize": self._resize,
                "shutdown": self._turn_off,
                "mount-folder": self._mount_folder,
            },
            self._send,
        )
        self._arrivals = Arrivals(host.outbox.credit, self._start, self._operations.carry_out)
        self._connections = Connections(host.loop, host.outbox, self._send)
        self._egress = None if way_out is None else way_out.begin(host.loop, self._connections, self._send)
        self._folders = Folders(host, self._send)
        self._messages: dict[str, Callable[[Message], None]] = {
            "hello": self._hello,
            "ping": self._ping,
            "top": self._top,
            "start": self._start,
            "release": self._release,
            "connect": self._connections.connect,
            "disconnect": self._connections.disconnect,
        }
        if self._egress is not None:
            self._messages["resolved"] = self._egress.resolved

    # the port's peer

    def link_began(self) -> None:
        """A core began a link, and will send its hello."""
        self._clear()

    def link_ended(self, reason: str) -> None:
        """Nothing is sent until the next link. Streams keep what they hold."""
        self._clear()
        if reason:
            self._log(f"the link to the core was dropped: {reason}")

    def _clear(self) -> None:
        self._greeted = False
        self._end_servers()
        self._arrivals.clear()
        self._connections.clear()
        if self._egress is not None:
            self._egress.clear()
        self._host.outbox.restart()

    def _end_servers(self) -> None:
        """No core has a use for servers that another link began: let them end, so that they leave nothing half written.

        The next core kills those that have not.
        """
        for session in self.sessions.values():
            if session.serves and session.input is not None:
                session.input.discard()

    def frame(self, frame: Frame) -> None:
        """One frame from the core. Raises ProtocolError."""
        if isinstance(frame, Control):
            self._control(frame.message)
        elif not self._greeted:
            raise ProtocolError("a stream before hello")
        elif frame.stream >= FIRST_CONNECTION:
            self._connections.take(frame)
        elif isinstance(frame, Credit):
            self._host.outbox.take_credit(frame)
            session = self.sessions.get(frame.stream // STREAMS_PER_SESSION)
            if session is not None:
                session.credited(frame)
        else:
            self._stdin(frame)

    def _stdin(self, frame: Data | Eof) -> None:
        if isinstance(frame, Data) and frame.stream % STREAMS_PER_SESSION == START_STREAM:
            try:
                self._arrivals.take(frame)
            except InvalidMessage as error:
                raise ProtocolError(f"'start': {error}") from error
            return
        session = self.sessions.get(frame.stream // STREAMS_PER_SESSION)
        if session is None or session.input is None or frame.stream % STREAMS_PER_SESSION:
            return  # for a session that never ran, or was released
        if isinstance(frame, Data):
            session.take_input(frame.offset, frame.data)
        else:
            session.input.finish(frame.offset)

    def _control(self, message: Message) -> None:
        kind = str(message["type"])
        if not self._greeted and kind != "hello":
            raise ProtocolError(f"'{kind}' before hello")
        if kind in self._messages:
            try:
                self._messages[kind](message)
            except InvalidMessage as error:
                raise ProtocolError(f"'{kind}': {error}") from error
        elif kind in self._operations and not self._arrivals.postpone(message):
            self._operations.carry_out(message)
        # a message that only newer agents know is ignored: the core sees this agent's version in its hello

    def _send(self, message: Message) -> bool:
        """Send a message, if there is a core; whether there is one."""
        self._put(self._host.outbox.control, message)
        return self._greeted

    def _put(self, queue: Callable[..., None], *message: object) -> None:
        if self._greeted:
            try:
                queue(*message)
            except ProtocolError as error:
                self.drop(str(error))

    # messages

    def _hello(self, message: Message) -> None:
        values.integer(message, "version", 1)
        self._greeted = True
        sessions: list[object] = [
            {
                "id": session.id,
                "n": session.number,
                "pid": session.pid,
                "record": session.record,
                "waiting": session.waiting.who if session.waiting is not None else "",
                "program": session.waiting.program if session.waiting is not None else "",
            }
            for session in self.sessions.values()
        ]
        self._send(
            {
                "type": "hello",
                "version": AGENT_PROTOCOL,
                "agent": AGENT,
                "configured": self._defaults is not None,
                "timings": self._timings,
                "warnings": self._warnings,
                "long_starts": True,
                "measures": True,
                "files": True,
                "layers": True,
                "merges": True,
                "connects": True,
                "egress": self._egress is not None,
                "mounts": True,
                "sessions": sessions,
                "left": self._host.left.all(),
                "folders": self._folders.all(),
            }
        )
        for session in self.sessions.values():
            if session.input is not None:
                session.input.give_credit()
            if session.record is not None:
                self._say_exited(session)

    def _ping(self, message: Message) -> None:
        answer: Message = {"type": "pong", "seq": message.get("seq")}
        if (wanted := message.get("usage")) is not None:
            sessions = self.sessions.values() if wanted == "sessions" else None
            answer["usage"] = measure.usage(self._host.cgroups, sessions)
        self._send(answer)

    def _top(self, message: Message) -> None:
        groups: list[tuple[str | None, Iterable[int]]] = [(None, (os.getpid(),))]
        groups += [(one.id, one.cgroup.pids()) for one in self.sessions.values() if one.cgroup is not None]
        groups += [(key, left.pids()) for key, left in self._host.left.each()]
        self._send({"type": "processes", "seq": message.get("seq"), **measure.processes(groups)})

    def _start(self, message: Message) -> None:
        key = values.text(message, "id")
        session = self._by_id.get(key)
        if session is None:
            try:
                if "bytes" in message:
                    self._check_room()
                    self._arrivals.expect(message)
                    return
                session = self._new_session(key, message)
            except (InvalidMessage, OperationFailed) as error:
                self._send({"type": "refused", "id": key, "message": str(error)})
                return
            session.run()
        if session.pid is not None:
            self._say_started(session)
        if session.record is not None:
            self._say_exited(session)

    def _say_started(self, session: Session) -> None:
        message: Message = {"type": "started", "id": session.id, "pid": session.pid}
        self._put(self._host.outbox.postpone, message, SOON if session.awaited else LATER)

    def _new_session(self, key: str, message: Message) -> Session:
        if self._defaults is None:
            raise OperationFailed("invalid", "the sandbox is not configured yet")
        if self._shutdown.begun:
            raise OperationFailed("invalid", "the sandbox is shutting down")
        if key in self._forgotten:
            raise OperationFailed("invalid", "this session has ended and was released")
        self._check_room()
        start = Start(message)
        if start.number in self.sessions:
            raise OperationFailed("invalid", f"there is another session number {start.number}")
        session = Session(start, self._defaults, self._host, self._session_ended)
        self.sessions[session.number] = session
        self._by_id[key] = session
        return session

    def _check_room(self) -> None:
        left = self._host.left.all()
        held = len(self.sessions) + len(self._arrivals) + sum(each not in self._by_id for each in left)
        if held >= MAX_SESSIONS:
            which = f", of which {len(left)} ended and left processes running" if left else ""
            raise OperationFailed("invalid", f"there are {MAX_SESSIONS} sessions already{which}")

    def _session_ended(self, session: Session) -> None:
        # the end of one that never ran is told by the code that started it
        if session.pid is not None:
            self._say_exited(session)
            self._host.loop.settle()  # the core waits for this; what else follows an end does not

    def _say_exited(self, session: Session) -> None:
        left = self._host.left.processes(session.id)
        self._send({"type": "exited", "id": session.id, "record": session.record, "left": left})

    def _left_changed(self, key: str, processes: int) -> None:
        self._send({"type": "left", "id": key, "processes": processes})

    def _waits(self, key: str, who: str, program: str) -> None:
        self._send({"type": "waiting", "id": key, "who": who, "program": program})

    def _release(self, message: Message) -> None:
        session = self._by_id.get(values.text(message, "id"))
        if session is None or session.record is None:
            return
        session.forget()
        del self._by_id[session.id], self.sessions[session.number]
        self._forgotten[session.id] = None
        if len(self._forgotten) > _REMEMBERED:
            self._forgotten.popitem(last=False)

    # operations

    def _configure(self, message: Message) -> Message:
        defaults, identity, certificate = Defaults(message), Identity(message), trusted(message)
        warnings = self._machine.identify(identity)
        if certificate is not None:
            warnings += self._machine.trust(certificate)
        if identity.hostname is not None:
            self._warnings = warnings
        elif self._defaults is not None:  # without an identity the machine keeps the one that it has
            defaults.hostname = self._defaults.hostname
        self._defaults = defaults
        return {"warnings": self._warnings}

    def _signal(self, message: Message) -> None:
        number = values.integer(message, "signal", 1, signal.NSIG - 1)
        scope = values.text(message, "scope")
        if scope not in ("leader", "group", "all"):
            raise InvalidMessage("scope must be leader, group or all")
        left = self._host.left.get(values.text(message, "id")) if scope == "all" else None
        if left is not None:
            left.signal(number)
        else:
            self._running(message).signal(number, scope)

    def _resize(self, message: Message) -> None:
        session, size = self._running(message), window_size(message)
        if session.terminal is None:
            raise OperationFailed("not-a-tty", "the session has no terminal")
        session.terminal.resize(size)

    def _running(self, message: Message) -> Session:
        session = self._by_id.get(values.text(message, "id"))
        if session is None:
            raise OperationFailed("no-such-session", "there is no such session")
        if not session.running:
            raise OperationFailed("ended", "the session has ended")
        return session

    def _mount_folder(self, message: Message) -> None:
        if self._defaults is None:
            raise OperationFailed("invalid", "the sandbox is not configured yet")
        self._folders.mount(message, self._defaults.user)
        self.mounted()

    def _turn_off(self, message: Message) -> None:
        self._shutdown.begin(values.integer(message, "grace_ms", 0, MAX_GRACE_MS), lambda: not self.sessions)
