"""A core that is not one: the client's protocol over a real socket, with programs of this host in place of a sandbox.

It can die at any moment, as the real one can, and come back with what it had stored. Tests that use it run against
the real core too, but for those that need it to misbehave.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from contextlib import suppress
from functools import partial
from typing import IO, TYPE_CHECKING, Any, Protocol

from sandtop.agent.wire import MAX_DATA, Control, Credit, Data, Decoder, Eof, Frame, encode
from sandtop.core.errors import InvalidRequest, NotFound, SandtopError, WrongState

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WINDOW = 64 * 1024

Message = dict[str, Any]


class Conn:
    """One client's connection. Scripts use `send`, `receive` and `cut`."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._decoder = Decoder()
        self._frames: list[Frame] = []
        self._lock = threading.Lock()
        self.crashed = False

    def send(self, *frames: Frame) -> None:
        with self._lock:
            self.sock.sendall(b"".join(encode(frame) for frame in frames))

    def message(self, kind: str, **fields: object) -> None:
        self.send(Control({"type": kind, **fields}))

    def receive(self) -> Frame:
        while not self._frames:
            data = self.sock.recv(65536)
            if not data:
                raise ConnectionResetError("the client is gone")
            self._frames += self._decoder.feed(data)
        return self._frames.pop(0)

    def cut(self) -> None:
        """End it as the death of a process does."""
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return


class Script(Protocol):
    def __call__(self, conn: Conn, request: Message) -> None: ...


class FakeSession:
    """A program of this host, its log, and what it took of stdin."""

    def __init__(self, request: Message, name: str) -> None:
        self.id: str = request["id"]
        self.sandbox = name
        self.request = request
        self.argv: list[str] = request.get("argv") or ["/bin/sh", "-c", request["script"]]
        self.log: dict[int, bytearray] = {1: bytearray(), 2: bytearray()}
        self.missing: dict[int, int] = {1: 0, 2: 0}
        self.news = threading.Condition()
        self.input = threading.Lock()
        """Of a connection that was cut there may be frames left, while the next one sends them again."""
        self.accepted = 0
        self.stdin_open = bool(request.get("stdin"))
        self.record: Message | None = None
        self.started_at = time.time()
        self.ended_at: float | None = None
        self.attached = 0
        self.timed_out = False
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        env = {"PATH": os.environ["PATH"], **self.request.get("env", {})}
        cwd = self.request.get("cwd") or "/"
        try:
            self.process = subprocess.Popen(
                self.argv,
                stdin=subprocess.PIPE if self.stdin_open else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=env,
                cwd=cwd,
                start_new_session=True,
            )
        except OSError as error:
            stage = "exec" if os.path.isdir(cwd) else "cwd"
            text = (
                f"{self.argv[0]}: not found"
                if stage == "exec"
                else f"the working directory {cwd} cannot be used"
            )
            self._end(reason="spawn", stage=stage, errno=error.errno, message=text)
            return
        threading.Thread(target=self._run, args=(self.process,)).start()

    def _run(self, process: subprocess.Popen[bytes]) -> None:
        readers = [
            threading.Thread(target=self._read, args=(pipe, number))
            for number, pipe in ((1, process.stdout), (2, process.stderr))
        ]
        for reader in readers:
            reader.start()
        try:
            process.wait(self.request.get("timeout"))
        except subprocess.TimeoutExpired:
            self.timed_out = True
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        with suppress(ProcessLookupError):  # here nothing is left behind
            os.killpg(process.pid, signal.SIGKILL)
        for reader in readers:
            reader.join()
        if process.stdin is not None:
            with suppress(BrokenPipeError):
                process.stdin.close()
        status = process.returncode
        if self.timed_out:
            self._end(reason="timeout", signal=9)
        elif status < 0:
            self._end(reason="signaled", signal=-status)
        else:
            self._end(reason="exited", code=status)

    def _read(self, pipe: IO[bytes] | None, number: int) -> None:
        assert pipe is not None
        while data := os.read(pipe.fileno(), 65536):
            with self.news:
                self.log[number] += data
                self.news.notify_all()
        pipe.close()

    def _end(self, **record: object) -> None:
        with self.news:
            self.record = {
                **record,
                "stdout": len(self.log[1]),
                "stderr": len(self.log[2]),
                "source": "agent",
                "duration_ms": 1,
            }
            self.ended_at = time.time()
            self.news.notify_all()

    def accept(self, frame: Frame) -> None:
        """Take input, each byte once; a gap is the client's mistake."""
        process = self.process
        assert process is not None
        assert process.stdin is not None
        if isinstance(frame, Data) and self.stdin_open:
            assert frame.offset <= self.accepted, "input bytes are missing"
            fresh = frame.data[self.accepted - frame.offset :]
            try:
                process.stdin.write(fresh)
                process.stdin.flush()
            except BrokenPipeError:
                self.stdin_open = False
            self.accepted += len(fresh)
        elif isinstance(frame, Eof) and self.stdin_open:
            assert frame.offset == self.accepted, "the end of input is not where it ends"
            self.stdin_open = False
            process.stdin.close()

    @property
    def exit_code(self) -> int | None:
        if self.record is None:
            return None
        reason, number = self.record["reason"], self.record.get("signal")
        if reason == "spawn":
            return 127 if self.record["stage"] == "exec" else 125
        return 124 if reason == "timeout" else 128 + number if number else self.record["code"]

    def view(self) -> Message:
        record = self.record or {}
        return {
            "id": self.id, "sandbox": self.sandbox, "argv": self.argv, "tty": False,
            "state": "running" if self.record is None else "exited", "exit_code": self.exit_code,
            "signal": record.get("signal"), "reason": record.get("reason"), "started_at": self.started_at,
            "ended_at": self.ended_at, "labels": self.request.get("labels", {}), "pid": self.pid,
            "stdout_bytes": len(self.log[1]), "stderr_bytes": len(self.log[2]), "stdin_bytes": self.accepted,
            "attached": self.attached, "input_holder": None, "record": self.record,
        }  # fmt: skip

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process else None


class FakeCore:
    """Listens at ``path`` with one sandbox, ``demo``. Sessions and requests outlive `crash`, as on disk."""

    def __init__(self, path: Path, home: Path) -> None:
        self.path = path
        self.home = home
        self.sessions: dict[str, FakeSession] = {}
        self.sandboxes: dict[str, Message] = {}
        self.requests: list[Message] = []
        self.results: dict[str, Message] = {}
        self.scripts: dict[str, Script] = {}
        self._connections: list[Conn] = []
        self._threads: list[threading.Thread] = []
        self._listener: socket.socket | None = None
        self.add_sandbox("demo")

    def add_sandbox(self, name: str) -> Message:
        self.sandboxes[name] = {
            "name": name, "uuid": f"uuid-{name}", "state": "running", "image": "base", "cpus": 1, "memory": 512,
            "disk": 1024, "network": "none", "accelerator": "tcg", "pid": os.getpid(), "reason": "",
            "created_at": time.time(), "started_at": time.time(), "labels": {}, "env": {}, "workdir": "/",
            "shell": "/bin/sh", "user": "root", "sessions": 0, "attention": None,
        }  # fmt: skip
        return self.sandboxes[name]

    # life

    def listen(self) -> None:
        self.path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(os.fspath(self.path))
        listener.listen(64)
        self._listener = listener
        self._start(self._accept, listener)

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            conn = Conn(sock)
            self._connections.append(conn)
            self._start(self._serve, conn)

    def crash(self) -> None:
        """Die: every connection breaks, nobody listens."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for conn in self._connections:
            conn.crashed = True
            conn.cut()
        self._connections.clear()
        for session in self.sessions.values():
            with session.news:
                session.news.notify_all()

    def kill(self) -> None:
        """Die, and come back as if a supervisor had seen to it."""
        self.crash()
        self.listen()

    def stop(self) -> None:
        """End everything that was started."""
        self.crash()
        for session in self.sessions.values():
            if session.process is not None and session.record is None:
                os.killpg(session.process.pid, signal.SIGKILL)
                with session.news:
                    session.news.wait_for(partial(_ended, session), 10)
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()

    # serving

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
        self.requests.append(message)
        conn.message("hello", version=1, package="0.1.0", pid=os.getpid())
        op = str(message["op"])
        if (script := self.scripts.get(op)) is not None:
            script(conn, message)
            return
        try:
            key = message.get("request_id")
            if key is None or key not in self.results:
                result = getattr(self, "op_" + op.replace(".", "_"))(conn, message)
                if key is not None:
                    self.results[key] = result
            else:
                result = self.results[key]
        except SandtopError as error:
            conn.send(Control({"type": "error", **error.to_wire()}))
            return
        if result is not None:
            conn.message("result", **result)

    def _sandbox(self, message: Message) -> Message:
        for sandbox in self.sandboxes.values():
            if message["sandbox"] in (sandbox["name"], sandbox["uuid"]):
                return sandbox
        raise NotFound(f"there is no sandbox {message['sandbox']}", hint="sandtop ls lists them")

    def op_core_status(self, conn: Conn, message: Message) -> Message:
        return {
            "pid": os.getpid(), "version": "0.1.0", "started_at": time.time(), "sandboxes": len(self.sandboxes),
            "running": 1, "socket": str(self.path), "home": str(self.home),
        }  # fmt: skip

    def op_sandbox_list(self, conn: Conn, message: Message) -> Message:
        return {"sandboxes": list(self.sandboxes.values())}

    def op_sandbox_inspect(self, conn: Conn, message: Message) -> Message:
        return {"sandbox": self._sandbox(message), "machine": None, "timings": {}}

    def op_sandbox_create(self, conn: Conn, message: Message) -> Message:
        if message["name"] in self.sandboxes:
            raise InvalidRequest("the name is taken")
        conn.message("progress", message="booting")
        return {"sandbox": self.add_sandbox(message["name"])}

    def op_sandbox_rm(self, conn: Conn, message: Message) -> Message:
        sandbox = self._sandbox(message)
        if sandbox["state"] == "running" and not message["force"]:
            raise WrongState(
                f"cannot remove {sandbox['name']}: it is running", hint="stop it first, or use --force"
            )
        del self.sandboxes[sandbox["name"]]
        return {}

    def op_sandbox_hold(self, conn: Conn, message: Message) -> None:
        self._sandbox(message)
        conn.message("held")
        conn.receive()

    def op_session_list(self, conn: Conn, message: Message) -> Message:
        return {"sessions": [session.view() for session in self.sessions.values()]}

    def op_session_signal(self, conn: Conn, message: Message) -> Message:
        session = self._session(message)
        if session.record is not None or session.process is None:
            raise WrongState(f"cannot signal session {session.id}: it has ended")
        os.killpg(session.process.pid, message["signal"])
        return {}

    def _session(self, message: Message) -> FakeSession:
        self._sandbox(message)
        wanted = message.get("session")
        if wanted is None and self.sessions:
            return list(self.sessions.values())[-1]
        for session in self.sessions.values():
            if wanted and session.id.startswith(wanted):
                return session
        raise NotFound(f"no session {wanted}")

    def op_session_exec(self, conn: Conn, message: Message) -> Message | None:
        sandbox = self._sandbox(message)
        if sandbox["state"] != "running":
            raise WrongState(f"cannot exec in {sandbox['name']}: it is {sandbox['state']}")
        session = self.sessions.get(message["id"])
        if session is None:
            session = self.sessions[message["id"]] = FakeSession(message, sandbox["name"])
        if message.get("detach"):
            return {"session": session.view()}
        return self._follow(conn, session, message)

    def op_session_follow(self, conn: Conn, message: Message) -> Message | None:
        return self._follow(conn, self._session(message), message)

    def op_session_logs(self, conn: Conn, message: Message) -> Message:
        session = self._session(message)
        with session.news:
            if message["follow"]:
                session.news.wait_for(lambda: session.record is not None or conn.crashed, 30)
            for stream, name in ((1, "stdout"), (2, "stderr")):
                if name in message["streams"]:
                    if message.get("timestamps"):
                        conn.message("time", at=1.5)
                    data = bytes(session.log[stream])
                    if (tail := message.get("tail")) is not None:
                        kept = b"".join(data.splitlines(keepends=True)[-tail:])
                        conn.send(Data(stream, len(data) - len(kept), kept))
                    else:
                        conn.send(Data(stream, 0, data))
        return {"session": session.view()}

    def _follow(self, conn: Conn, session: FakeSession, message: Message) -> Message | None:
        offsets = {1: int(message.get("stdout", 0)), 2: int(message.get("stderr", 0))}
        conn.message("started", session=session.id, pid=session.pid, tty=False)
        credited = -1
        self._start(self._take_input, conn, session, message.get("on_hangup") == "kill")
        if not session.request.get("stdin") or session.process is None:
            credited = session.accepted
        session.attached += 1
        try:
            while True:
                with session.news:
                    while (
                        not conn.crashed
                        and session.record is None
                        and all(len(session.log[n]) <= offsets[n] for n in offsets)
                        and session.accepted == credited
                    ):
                        session.news.wait()
                    if conn.crashed:
                        return None
                    pieces = {n: bytes(session.log[n][offsets[n] : offsets[n] + MAX_DATA]) for n in offsets}
                    ended = session.record is not None and not any(pieces.values())
                if session.accepted != credited:
                    credited = session.accepted
                    conn.send(Credit(0, credited, credited + WINDOW))
                for stream, data in pieces.items():
                    if data:
                        conn.send(Data(stream, offsets[stream], data))
                        offsets[stream] += len(data)
                if ended:
                    return {"record": session.record, "session": session.view()}
        finally:
            session.attached -= 1

    def _take_input(self, conn: Conn, session: FakeSession, kill: bool) -> None:
        try:
            while True:
                frame = conn.receive()
                with session.input:
                    session.accept(frame)  # and never waits for a client that does not read
                with session.news:
                    session.news.notify_all()
        except (OSError, ValueError):
            if kill and not conn.crashed and session.record is None:
                assert session.process is not None
                with suppress(ProcessLookupError):  # it ended at this moment
                    os.killpg(session.process.pid, signal.SIGKILL)


def _ended(session: FakeSession) -> bool:
    return session.record is not None
