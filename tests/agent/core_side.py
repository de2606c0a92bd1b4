"""A core for the tests: the other end of an agent's link, blocking, with a deadline on every wait."""

from __future__ import annotations

import fcntl
import secrets
import select
import struct
import termios
import time
from typing import TYPE_CHECKING, cast

from tests.settings import SLOWER

from sandtop.agent.wire import (
    STREAMS_PER_SESSION,
    Control,
    Credit,
    Data,
    Decoder,
    Eof,
    HostHandshake,
    Intake,
    Outbox,
    ProtocolError,
    ReceiveWindow,
    SendStream,
    encode,
    marker,
)
from sandtop.agent.wire.limits import FIRST_CONNECTION

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

    from sandtop.agent.wire import Frame

Message = dict[str, object]

DEADLINE = 30.0 * SLOWER
WINDOW = 1 << 20
TOKEN = "5a" * 16
CONFIGURE: Message = {
    "type": "configure",
    "hostname": "testbox",
    "machine_id": "0123456789abcdef0123456789abcdef",
    "env": {"FROM_SANDBOX": "yes"},
    "workdir": "/tmp",
    "shell": "/bin/sh",
    "user": None,
    "entropy": "c2VlZCBmb3IgdGhlIHRlc3Rz",
    "clock_ns": None,
    "window": WINDOW,
    "tty_window": 64 << 10,
}


class Run:
    """A session as this core sees it.

    Attributes:
        out: what came on stdout (or the terminal) and stderr.
        left: how many processes it left running, as the agent said last.
        waiting: who waited for somebody to type, each time that this changed.
        programs: the command lines that were in the terminal's foreground, one after the other.
        frozen: while set, output is neither acknowledged nor given more credit.
    """

    def __init__(self, number: int, key: str) -> None:
        self.number = number
        self.id = key
        self.pid: int | None = None
        self.record: Message | None = None
        self.refused: str | None = None
        self.left = 0
        self.waiting: list[str] = []
        self.programs: list[str] = []
        self.out = {1: bytearray(), 2: bytearray()}
        self.windows = {stream: ReceiveWindow(self.base + stream) for stream in (1, 2)}
        self.stdin = SendStream(self.base)
        self.frozen = False

    @property
    def base(self) -> int:
        return self.number * STREAMS_PER_SESSION

    @property
    def stdout(self) -> bytes:
        return bytes(self.out[1])

    @property
    def stderr(self) -> bytes:
        return bytes(self.out[2])

    @property
    def ended(self) -> bool:
        """Whether the record and all the output that it speaks of are here."""
        return self.record is not None and all(
            len(self.out[stream]) == self.record[name] for stream, name in ((1, "stdout"), (2, "stderr"))
        )


class Pipe:
    """A TCP connection into the guest as this core sees it.

    Attributes:
        address: where it was made to, once it stands.
        failure: the agent's ``disconnected``, once it came.
        data: what has come.
        frozen: while set, nothing is taken of what has come.
    """

    def __init__(self, number: int, window: int) -> None:
        self.number = number
        self.address: str | None = None
        self.failure: Message | None = None
        self.data = bytearray()
        self.frozen = False
        self.send = SendStream(number)
        self.intake = Intake(number, window)

    @property
    def ended(self) -> bool:
        """Whether the program has ended its side, and all that it sent was taken."""
        return self.intake.ended


class CoreSide:
    """Speaks with an agent over ``sock``."""

    def __init__(self, sock: socket.socket, token: str = TOKEN) -> None:
        self.sock = sock
        self.token = token
        self.outbox = Outbox()
        self.runs: dict[str, Run] = {}
        self.pipes: dict[int, Pipe] = {}
        self.answers: dict[str, Message] = {}
        self.hellos: list[Message] = []
        self.exits: list[str] = []
        self.done: Message = {}
        self._decoder = Decoder()
        self._next = 1
        self._touched: set[Run] = set()
        sock.setblocking(False)

    # the link

    def link(self, deadline: float = DEADLINE) -> Message:
        """Begin a link (again); the agent's hello."""
        nonce = secrets.token_hex(16)
        self._decoder = Decoder()
        self.outbox.restart()
        self.send_raw(marker(self.token, nonce))
        handshake = HostHandshake(nonce)
        end = time.monotonic() + deadline
        while (first := handshake.feed(self._receive(end))) is None:
            pass
        self.outbox.control({"type": "hello", "version": 1, "core": "tests"})
        for run in self.runs.values():
            self.give_credit(run)
        known = len(self.hellos)
        self._take(first)
        self.wait(lambda: len(self.hellos) > known, max(0.1, end - time.monotonic()))
        return self.hellos[-1]

    def send_raw(self, data: bytes) -> None:
        end = time.monotonic() + DEADLINE
        while data:
            if not select.select([], [self.sock], [], end - time.monotonic())[1]:
                raise TimeoutError("the agent takes no bytes")
            data = data[self.sock.send(data) :]

    def _receive(self, end: float) -> bytes:
        while not select.select([self.sock], [], [], max(0.0, end - time.monotonic()))[0]:
            raise TimeoutError("the agent says nothing")
        data = self.sock.recv(1 << 18)
        if not data:
            raise ConnectionError("the agent's end was closed")
        return data

    def wait(self, condition: Callable[[], bool], deadline: float = DEADLINE) -> None:
        """Serve the link until ``condition``. Raises TimeoutError."""
        end = time.monotonic() + deadline
        pending = b""
        while not condition():
            while not pending and (pieces := self.outbox.pull()) is not None:
                pending = b"".join(pieces)
                try:
                    pending = pending[self.sock.send(pending) :]
                except BlockingIOError:
                    break
            if condition():  # what it waits for may be that something was sent
                break
            timeout = end - time.monotonic()
            if timeout <= 0:
                raise TimeoutError("the condition was not met in time")
            readable, writable, _ = select.select([self.sock], [self.sock] if pending else [], [], timeout)
            if writable:
                pending = pending[self.sock.send(pending) :]
            if readable:
                self._take(self._receive(end))
        if pending:
            self.send_raw(pending)

    def serve(self, seconds: float) -> None:
        """Serve the link for a while."""
        try:
            self.wait(lambda: False, seconds)
        except TimeoutError:
            return

    def _take(self, data: bytes) -> None:
        for frame in self._decoder.feed(data):
            self._frame(frame)
        for run in self._touched:
            self.give_credit(run)
        self._touched.clear()

    def _frame(self, frame: Frame) -> None:
        if isinstance(frame, Control):
            self._message(frame.message)
        elif frame.stream >= FIRST_CONNECTION:
            self._pipe_frame(frame)
        elif isinstance(frame, Credit):
            self.outbox.take_credit(frame)  # or it was on its way when the session was released
        elif isinstance(frame, Data):
            number, stream = divmod(frame.stream, STREAMS_PER_SESSION)
            run = next(run for run in self.runs.values() if run.number == number)
            run.out[stream] += run.windows[stream].take(frame.offset, frame.data)
            self._touched.add(run)
        else:
            raise ProtocolError("the agent sends no eof")

    def _pipe_frame(self, frame: Data | Credit | Eof) -> None:
        pipe = self.pipes.get(frame.stream)
        if isinstance(frame, Credit):
            self.outbox.take_credit(frame)
        elif pipe is None:
            return
        elif isinstance(frame, Eof):
            self.outbox.credit(pipe.intake.finish(frame.offset))
        else:
            pipe.intake.take(frame.offset, frame.data)
            self.drain(pipe, frozen=pipe.frozen)

    def drain(self, pipe: Pipe, *, frozen: bool = False) -> None:
        """Take what has come of a connection, from now on."""
        pipe.frozen = frozen
        while not frozen and pipe.intake.size:
            piece = bytes(pipe.intake.first)
            pipe.data += piece
            if (credit := pipe.intake.drop(len(piece))) is not None:
                self.outbox.credit(credit)

    def _message(self, message: Message) -> None:
        kind = message["type"]
        if kind in ("connected", "disconnected"):
            pipe = self.pipes.get(cast("int", message["n"]))
            if pipe is not None and kind == "connected":
                pipe.address = str(message["address"])
            elif pipe is not None:
                pipe.failure = message
                self.outbox.remove(pipe.number)
            return
        if kind == "hello":
            self.hellos.append(message)
        elif kind == "pong":
            self.answers[str(message["seq"])] = message
        elif kind == "done":
            self.answers[str(message["op"])] = message
        elif (run := self.runs.get(str(message["id"]))) is not None:  # or it is of a core before this one
            if kind == "started":
                run.pid = cast("int", message["pid"])
            elif kind == "refused":
                run.refused = str(message["message"])
            elif kind == "exited":
                run.record = cast("Message", message["record"])
                run.left = cast("int", message["left"])
                self.exits.append(run.id)
            elif kind == "left":
                run.left = cast("int", message["processes"])
            elif kind == "waiting":
                who, program = cast("str", message["who"]), cast("str", message["program"])
                if who != (run.waiting[-1] if run.waiting else ""):
                    run.waiting.append(who)
                if program and program != (run.programs[-1] if run.programs else ""):
                    run.programs.append(program)

    def give_credit(self, run: Run) -> None:
        """Acknowledge its output and let more come."""
        if not run.frozen:
            for window in run.windows.values():
                self.outbox.credit(window.grant(window.received + WINDOW))

    def lose(self, count: int) -> None:
        """Let bytes of the agent's vanish, as they do on a port whose host side was closed."""
        select.select([self.sock], [], [], DEADLINE)
        assert self.sock.recv(count)

    def stall(self) -> None:
        """Read nothing until all that is on its way to us is full."""
        end, before = time.monotonic() + DEADLINE, 0
        while True:
            time.sleep(0.02)  # nobody says when the other side can write no more
            (held,) = struct.unpack("i", fcntl.ioctl(self.sock, termios.FIONREAD, bytes(4)))
            if held == before >= 64 << 10:
                return
            assert time.monotonic() < end, f"only {held} bytes came"
            before = held

    def flush(self) -> None:
        """Send all that is queued."""
        while (pieces := self.outbox.pull()) is not None:
            self.send_raw(b"".join(pieces))

    def until_gone(self, deadline: float = DEADLINE) -> None:
        """Serve until the agent's end is closed."""
        try:
            self.wait(lambda: False, deadline)
        except ConnectionError:
            return

    def take_over(self, other: CoreSide) -> None:
        """Know the sessions of a core before this one."""
        self.runs = other.runs
        self.outbox = other.outbox
        self._next = other._next

    def skip_numbers(self, first: int) -> None:
        """Sessions of cores before this one had the numbers below ``first``."""
        self._next = first

    # what a core does

    def send(self, message: Mapping[str, object]) -> None:
        """Queue a message."""
        self.outbox.control(dict(message))

    def send_now(self, frame: Frame) -> None:
        """Send a frame past the queue."""
        self.send_raw(encode(frame))

    def ping(self, deadline: float = DEADLINE) -> float:
        """Seconds until the pong."""
        key = secrets.token_hex(8)
        begun = time.monotonic()
        self.send({"type": "ping", "seq": key})
        self.wait(lambda: key in self.answers, deadline)
        return time.monotonic() - begun

    def operate(self, kind: str, **fields: object) -> Message | None:
        """Ask for an operation; the error of its ``done``."""
        key = secrets.token_hex(8)
        self.send({"type": kind, "op": key, **fields})
        self.wait(lambda: key in self.answers)
        self.done = self.answers[key]
        return cast("Message | None", self.done["error"])

    def configure(self, **fields: object) -> Message | None:
        return self.operate("configure", **{**CONFIGURE, **fields, "type": "configure"})

    def new_run(self) -> Run:
        """A session that nobody was asked to start yet."""
        run = Run(self._next, secrets.token_hex(8))
        self._next += 1
        self.runs[run.id] = run
        self.outbox.add(run.stdin)
        return run

    def start(self, *argv: str, **fields: object) -> Run:
        """Send a ``start`` and give credit for its output."""
        run = self.new_run()
        run.frozen = bool(fields.pop("frozen", False))
        self.send({"type": "start", "id": run.id, "n": run.number, "argv": list(argv), **fields})
        self.give_credit(run)
        return run

    def run(self, *argv: str, **fields: object) -> Run:
        """Start a program and serve until it has ended."""
        run = self.start(*argv, **fields)
        self.finish(run)
        return run

    def shell(self, script: str, **fields: object) -> Run:
        return self.run("/bin/sh", "-c", script, **fields)

    def finish(self, run: Run, deadline: float = DEADLINE) -> None:
        """Serve until the session has ended, or was refused; then release it."""
        self.wait(lambda: run.ended or run.refused is not None, deadline)
        self.release(run)

    def release(self, run: Run) -> None:
        self.send({"type": "release", "id": run.id})
        self.outbox.remove(run.base)

    def connect(self, port: int, *, window: int = WINDOW, timeout_ms: int = 20_000) -> Pipe:
        """Ask for a connection to ``port`` in the guest."""
        pipe = Pipe(FIRST_CONNECTION + len(self.pipes), window)
        self.pipes[pipe.number] = pipe
        self.outbox.add(pipe.send)
        self.send({"type": "connect", "n": pipe.number, "port": port, "timeout_ms": timeout_ms})
        self.outbox.credit(pipe.intake.begin())
        return pipe

    def connected(self, port: int, **fields: int) -> Pipe:
        """A connection that stands."""
        pipe = self.connect(port, **fields)
        self.wait(lambda: pipe.address is not None or pipe.failure is not None)
        assert pipe.failure is None, pipe.failure
        return pipe

    def put(self, pipe: Pipe, data: bytes, *, end: bool = False) -> None:
        """Send ``data`` on a connection, and with ``end`` that there is no more."""
        pipe.send.write(data)
        if end:
            pipe.send.close()
        self.outbox.wake(pipe.number)

    def disconnect(self, pipe: Pipe) -> None:
        """Reset a connection."""
        self.send({"type": "disconnect", "n": pipe.number})
        self.outbox.remove(pipe.number)

    def end_left(self, run: Run) -> None:
        """Kill what an ended session left running."""
        if run.left:
            assert self.operate("signal", id=run.id, signal=9, scope="all") is None
            self.wait(lambda: run.left == 0)

    def write(self, run: Run, data: bytes) -> None:
        """Queue stdin."""
        run.stdin.write(data)
        self.outbox.wake(run.base)

    def close(self, run: Run) -> None:
        """Queue the end of stdin."""
        run.stdin.close()
        self.outbox.wake(run.base)

    def thaw(self, run: Run) -> None:
        """Go on acknowledging."""
        run.frozen = False
        self.give_credit(run)
