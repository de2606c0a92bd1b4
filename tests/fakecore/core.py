"""`FakeCore`: its life, its connections, and what it answers."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from sandtop import __version__
from sandtop.agent.wire import LONG, LONG_STREAM, Control, Data, control
from sandtop.core.contract import find as find_operation
from sandtop.core.contract.codec import decode_request
from sandtop.core.contract.record import Change, Record
from sandtop.core.errors import CoreFailure, NotFound, SandtopError
from sandtop.core.paths import find

from .link import Conn, Message, Script
from .operations import HANDLERS
from .program import Program
from .state import NOW, FakeSession, Raw, sandbox_info, session
from .watching import FakeHost, FakeLoad

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from sandtop.core.contract.core_events import Happening
    from sandtop.core.contract.net import Egress
    from sandtop.core.contract.sandbox import ProcessInfo, SandboxInfo
    from sandtop.core.contract.session import SessionExec

T = TypeVar("T")


class FakeCore:
    """Runs in threads of its own while it is entered. What it knows outlives `die`, as on a disk.

    Attributes:
        path: where it listens.
        sandboxes: by name.
        sessions: by id.
        images: their names.
        loads, processes, egress, consoles: what sandboxes use, what runs in them, what they connected to and what their
            kernels printed, by name.
        host: what the host has.
        happenings: what happened.
        programs: sessions run programs of this host; else what is typed into one is all that it writes.
        requests: every one so far, as it came.
        results: of those that are done once, by their id.
        scripts: what tests do in its place, by operation.
        refusals: by operation, the error that it is answered with.
        following: the requests of those who follow a session now.
        silent: it takes requests and answers none; `speak` ends it.
        news: whoever changes something holds this, and tells.
    """

    def __init__(
        self,
        *sandboxes: Raw,
        sessions: tuple[FakeSession, ...] = (),
        programs: bool = False,
        clock: Callable[[], float] = lambda: NOW,
    ) -> None:
        self.sandboxes = {str(raw["name"]): raw for raw in sandboxes}
        self.sessions = {one.id: one for one in sessions}
        self.images = ["base"]
        self.loads: dict[str, FakeLoad] = {}
        self.host = FakeHost()
        self.happenings: list[Happening] = []
        self.processes: dict[str, list[ProcessInfo]] = {}
        self.egress: dict[str, list[Egress]] = {}
        self.consoles: dict[str, bytes] = {}
        self.path = Path()
        self.programs = programs
        self.clock = clock
        self.requests: list[Message] = []
        self.results: dict[str, Record] = {}
        self.scripts: dict[str, Script] = {}
        self.refusals: dict[str, Raw] = {}
        self.following: list[Message] = []
        self.silent = False
        self.news = threading.Condition()
        self._connections: list[Conn] = []
        self._threads: list[threading.Thread] = []
        self._listener: socket.socket | None = None

    # its life

    def __enter__(self) -> Self:
        self.path = find().core_socket
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.come_back()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.die()
        for one in list(self.sessions.values()):
            self.end_program(one)
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive(), thread
        self.path.unlink(missing_ok=True)

    def die(self) -> None:
        """As after ``kill -9``: every connection breaks, nobody listens."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        with self.news:
            for conn in self._connections:
                conn.crashed = True
                conn.cut()
            self._connections.clear()
            self.news.notify_all()

    def come_back(self) -> None:
        self.path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(os.fspath(self.path))
        listener.listen(64)
        self._listener = listener
        self.start(self._accept, listener)

    def kill(self) -> None:
        """Die, and come back as if a supervisor had seen to it."""
        self.die()
        self.come_back()

    def start(self, target: Callable[..., object], *arguments: object) -> None:
        """A thread that has ended when the core was left."""
        thread = threading.Thread(target=target, args=arguments)
        self._threads.append(thread)
        thread.start()

    # from the test

    def change(self, do: Callable[[], T]) -> T:
        """Change something; those who follow see it."""
        with self.news:
            result = do()
            self.news.notify_all()
        return result

    def speak(self) -> None:
        """Answer all that was asked in silence."""

        def do() -> None:
            self.silent = False

        self.change(do)

    def write(self, one: FakeSession, stream: int, data: bytes) -> None:
        self.change(lambda: one.pieces.append((self.clock(), stream, data)))

    def emit(self, key: str, data: bytes, stream: int = 1) -> None:
        """The session whose id begins with ``key`` writes."""
        self.write(self.session(key), stream, data)

    def end(self, key: str, code: int = 0) -> None:
        """The session whose id begins with ``key`` exits."""
        one = self.session(key)
        self.change(lambda: one.end(self.clock(), {"reason": "exited", "code": code}, code))

    def of(self, name: str) -> Raw:
        """The sandbox ``name``, as it is listed."""
        return self.sandboxes[name]

    def session(self, key: str) -> FakeSession:
        return next(one for name, one in self.sessions.items() if name.startswith(key))

    def asked(self, op: str) -> list[Message]:
        """The requests for ``op`` so far."""
        return [request for request in self.requests if request["op"] == op]

    # connections

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            conn = Conn(sock)
            self._connections.append(conn)
            self.start(self._serve, conn)

    def _serve(self, conn: Conn) -> None:
        with conn.sock:
            try:
                self._converse(conn)
            except OSError:
                return

    def _converse(self, conn: Conn) -> None:
        hello, request = conn.receive(), conn.receive()
        assert isinstance(hello, Control)
        assert hello.message["type"] == "hello"
        assert isinstance(request, Control)
        message: Message = request.message
        conn.message("hello", version=1, package=__version__, pid=os.getpid())
        if message["op"] == LONG:
            message = self._receive_long(conn, message["bytes"])
        self.requests.append(message)
        op = str(message["op"])
        with self.news:
            self.news.wait_for(lambda: not self.silent or conn.crashed)
        if (script := self.scripts.get(op)) is not None:
            script(conn, message)
            return
        if (refusal := self.refusals.get(op)) is not None:
            conn.message("error", **refusal)
            return
        try:
            result = self.answer(conn, message)
        except SandtopError as error:
            conn.message("error", **error.to_wire())
        except Exception as error:
            # the client is told as a real core tells it; what was wrong is the test's to see
            conn.message("error", **CoreFailure(f"the fake core failed: {error!r}").to_wire())
            raise
        else:
            if result is not None:
                conn.result(result)

    def _receive_long(self, conn: Conn, size: int) -> Message:
        text = b""
        while len(text) < size:
            piece = conn.receive()
            assert isinstance(piece, Data)
            assert (piece.stream, piece.offset) == (LONG_STREAM, len(text))
            text += piece.data
        return control(text).message

    def answer(self, conn: Conn, message: Message) -> Record | None:
        """The result of ``message``, carried out, or of the first of its kind; None when nobody is there to take it."""
        kind = find_operation(str(message["op"]))
        assert kind is not None, message["op"]
        request = decode_request(kind, message)
        key = cast("Change[Record]", request).request_id if isinstance(request, Change) else None
        if key is not None and key in self.results:
            return self.results[key]
        handler: Callable[[FakeCore, Conn, Any], Record | None] | None = HANDLERS.get(kind)
        if handler is None:
            raise CoreFailure(f"the fake core does not do {kind.op}: see tests/fakecore/operations.py")
        result = handler(self, conn, request)
        if key is not None and result is not None:
            self.results[key] = result
        return result

    # what it knows

    def find_sandbox(self, reference: str | None) -> Raw:
        """By name or uuid. Raises `NotFound`."""
        for raw in self.sandboxes.values():
            if reference in (raw["name"], raw["uuid"]):
                return raw
        raise NotFound(f"there is no sandbox {reference}", hint="sandtop ls lists them")

    def find_session(self, name: str | None, reference: str | None) -> FakeSession:
        """By the beginning of its id; without it the latest of the sandbox. Raises `NotFound`."""
        of = self.find_sandbox(name)["name"] if name is not None else None
        its = [one for one in self.sessions.values() if of in (None, one.raw["sandbox"])]
        for one in its[-1:] if reference is None else its:
            if reference is None or (reference and one.id.startswith(reference)):
                return one
        raise NotFound(f"no session {reference}")

    def info(self, raw: Raw) -> SandboxInfo:
        return sandbox_info(raw, self.sessions.values(), self.clock())

    def begin(self, raw: Raw, request: SessionExec) -> FakeSession:
        """Start a session in the sandbox ``raw``."""
        argv = request.argv or [str(raw["shell"]), "-c", request.script or ""]
        if request.builtin is not None:
            raise CoreFailure("the fake core copies no files")
        one = session("", str(raw["name"]), *argv, tty=request.tty is not None, started_at=self.clock())
        one.raw |= {"id": request.id, "labels": request.labels or {}}
        self.change(lambda: self.sessions.update({request.id: one}))
        if self.programs:
            one.input_open = request.stdin
            one.program = Program(self, one, request, argv)
            self.change(lambda: one.raw.update(pid=one.program.pid if one.program else None))
        else:
            one.echo = request.tty is not None
        return one

    def end_program(self, one: FakeSession) -> None:
        """Return when nothing of it runs any more."""
        if one.program is not None and not one.ended:
            one.program.signal(9)
            with self.news:
                assert self.news.wait_for(lambda: one.ended, 10)
