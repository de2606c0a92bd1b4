"""An agent for the core's end of the link: sans processes, on a real Unix socket, whose link can be cut anywhere.

What a virtio-serial port does to a link that is closed and opened again is done here too: the rest of what was being
sent comes out of it first, and what was on its way in is gone.
"""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

import trio
import trio.testing

from sandtop.agent.wire import (
    AGENT_PROTOCOL,
    START_STREAM,
    STREAMS_PER_SESSION,
    AgentHandshake,
    Control,
    Credit,
    Data,
    Decoder,
    Eof,
    Outbox,
    ReceiveWindow,
    SendStream,
    answer,
    control,
)
from sandtop.core.channel import AgentLink, UnixSocket
from sandtop.core.sessions import SessionManager
from sandtop.core.settings import Settings
from sandtop.core.store import Database, SandboxConfig, SandboxRow, SessionRow

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from pathlib import Path

    from sandtop.agent.wire import Frame
    from sandtop.core.channel import Transport

Message = dict[str, object]
TOKEN = "c0" * 16
UUID = "11111111-2222-3333-4444-555555555555"
ENDLESS = 1 << 60
STDIN_BUFFER = 64 * 1024


class Program:
    """A session as this agent has it: ``argv`` is what it writes, or nothing for one that echoes its stdin."""

    def __init__(self, number: int, key: str, argv: list[str], outbox: Outbox) -> None:
        self.number = number
        self.id = key
        self.out = SendStream(number * STREAMS_PER_SESSION + 1)
        self.err = SendStream(number * STREAMS_PER_SESSION + 2)
        self.stdin = ReceiveWindow(number * STREAMS_PER_SESSION)
        self.read = bytearray()
        self.record: Message | None = None
        outbox.add(self.out)
        outbox.add(self.err)
        if argv != ["cat"]:
            self.out.write(argv[0].encode())
            self.err.write(argv[0].encode()[::-1])
            self.end()

    def end(self) -> None:
        self.record = {"reason": "exited", "code": 7, "stdout": self.out.end, "stderr": self.err.end}

    def take(self, frame: Data | Eof) -> None:
        if isinstance(frame, Data):
            fresh = self.stdin.take(frame.offset, frame.data)
            self.read += fresh
            self.out.write(fresh)
        else:
            self.stdin.finish(frame.offset)
            if self.record is None:
                self.end()


def _never(_link: int) -> tuple[int, int]:
    return ENDLESS, ENDLESS


class ScriptedAgent:
    """Keeps its programs over any number of links.

    ``cut`` says, for the number of a link, after how many bytes to and from the core it is cut. Without
    ``long_starts`` it is one of an older release, to which a start is a message.
    """

    def __init__(
        self, cut: Callable[[int], tuple[int, int]] | None = None, *, long_starts: bool = False
    ) -> None:
        self.long_starts = long_starts
        self._coming: dict[int, tuple[Message, bytearray]] = {}
        self.programs: dict[str, Program] = {}
        self.started: list[str] = []
        self.released: list[str] = []
        self.operations: dict[str, int] = {}
        self.links = 0
        self._cut = cut or _never
        self._outbox = Outbox()
        self._unsent = b""

    async def serve(self, stream: trio.SocketStream) -> None:
        """One link."""
        self.links += 1
        sendable, receivable = self._cut(self.links)
        handshake, decoder = AgentHandshake(TOKEN.encode()), Decoder()
        pending = self._unsent
        linked = False
        while True:
            while sendable:
                if not pending:
                    pieces = self._outbox.pull() if linked else None
                    if pieces is None:
                        break
                    pending = b"".join(pieces)
                part = pending[:sendable]
                await stream.send_all(part)
                pending, sendable = pending[len(part) :], sendable - len(part)
            if not sendable or not receivable:
                break
            data = bytes(await stream.receive_some(min(receivable, 65536)))
            if not data:
                break
            receivable -= len(data)
            nonce, data = handshake.feed(data)
            if nonce is not None:
                linked, decoder = True, Decoder()
                self._outbox.restart()
                pending += answer(nonce)  # behind what the link before left in the port
            if linked:
                for frame in decoder.feed(data):
                    self._take(frame)
        self._unsent = pending[:100_000]

    def _take(self, frame: Frame) -> None:
        if isinstance(frame, Control):
            self._control(frame.message)
        elif isinstance(frame, Credit):
            self._own_up(frame)
            self._outbox.take_credit(frame)
        elif frame.stream % STREAMS_PER_SESSION == START_STREAM:
            assert isinstance(frame, Data)
            message, text = self._coming[frame.stream]
            assert frame.offset == len(text)
            text += frame.data
            if len(text) == message["bytes"]:
                del self._coming[frame.stream]
                self._start({**control(bytes(text)).message, **message})
        else:
            program = self._of(frame.stream)
            if program is not None:
                program.take(frame)
                self._outbox.wake(program.out.number)
                self._outbox.credit(program.stdin.grant(program.stdin.received + STDIN_BUFFER))
                self._tell_end(program)

    def _own_up(self, credit: Credit) -> None:
        """What a liar on an earlier link sent in a program's name, the core has: go on behind it."""
        program = self._of(credit.stream)
        if program is not None and program.record is None:
            for stream in (program.out, program.err):
                if stream.number == credit.stream and credit.acked > stream.end:
                    stream.write(bytes(credit.acked - stream.end))

    def _of(self, stream: int) -> Program | None:
        number = stream // STREAMS_PER_SESSION
        return next((each for each in self.programs.values() if each.number == number), None)

    def _control(self, message: Message) -> None:
        kind = message["type"]
        if kind == "hello":
            sessions: list[object] = [
                {"id": each.id, "n": each.number, "pid": 100 + each.number, "record": each.record}
                for each in self.programs.values()
            ]
            known: Message = {"long_starts": True} if self.long_starts else {}
            self._say(
                type="hello",
                version=AGENT_PROTOCOL,
                agent="scripted",
                configured=True,
                sessions=sessions,
                **known,
            )
            for program in self.programs.values():
                self._outbox.credit(program.stdin.grant(program.stdin.received + STDIN_BUFFER))
                self._tell_end(program)
        elif kind == "start" and "bytes" in message and message["id"] not in self.programs:
            assert self.long_starts
            stream = cast("int", message["n"]) * STREAMS_PER_SESSION + START_STREAM
            self._coming[stream] = message, bytearray()
            self._outbox.credit(Credit(stream, 0, cast("int", message["bytes"])))
        elif kind == "start":
            self._start(message)
        elif kind == "release":
            key = str(message["id"])
            if key in self.programs:
                released = self.programs.pop(key)
                self.released.append(key)
                self._outbox.remove(released.out.number)
                self._outbox.remove(released.err.number)
        elif kind == "ping":
            self._say(type="pong", seq=message["seq"])
        else:
            op = str(message["op"])
            self.operations[op] = self.operations.get(op, 0) + 1
            self._say(type="done", op=op, error=None)

    def _start(self, message: Message) -> None:
        key = str(message["id"])
        program = self.programs.get(key)
        if program is None:
            self.started.append(key)
            argv = cast("list[str]", message["argv"])
            program = self.programs[key] = Program(cast("int", message["n"]), key, argv, self._outbox)
            self._outbox.credit(program.stdin.grant(STDIN_BUFFER))
        self._say(type="started", id=key, pid=100 + program.number)
        self._tell_end(program)

    def _tell_end(self, program: Program) -> None:
        if program.record is not None:
            self._say(type="exited", id=program.id, record=program.record)

    def _say(self, **message: object) -> None:
        self._outbox.control(message)


class Core:
    """The rooms under test: a link with the sessions of one sandbox behind it."""

    def __init__(
        self,
        folder: Path,
        database: Database,
        nursery: trio.Nursery,
        settings: Settings,
        transport: Transport | None = None,
    ) -> None:
        self.database = database
        self.sessions = SessionManager(UUID, "box", database, folder / "logs", settings, nursery)
        for row in database.sessions():
            self.sessions.load(row)
        self.link = AgentLink(transport or UnixSocket(folder / "agent"), TOKEN, self.sessions.listener)
        self.sessions.attach_link(self.link)

    def start(self, key: str, *argv: str) -> None:
        """As ``session.exec`` does it."""
        start: dict[str, object] = {"argv": list(argv), "tty": None, "stdin": argv == ("cat",)}
        row = SessionRow(key, UUID, self.sessions.next_number(), start, "starting", 1.0)
        self.sessions.start(row)

    def output(self, key: str, stream: int = 1) -> bytes:
        log = self.sessions.get(key).log
        return log.read(stream, 0, 1 << 30)

    async def ended(self, key: str) -> None:
        session = self.sessions.get(key)
        while not session.ended:
            await session.wait_for_news()


async def shake_hands(stream: trio.SocketStream) -> bool:
    """Be an agent that answers the core's marker. False when the core went away before it."""
    handshake = AgentHandshake(TOKEN.encode())
    while got := bytes(await stream.receive_some(65536)):
        nonce, _ = handshake.feed(got)
        if nonce is not None:
            await stream.send_all(answer(nonce))
            return True
    return False


async def until(what: Callable[[], object]) -> None:
    """Look again and again, on a clock that jumps."""
    for _ in range(10_000):
        if what():
            return
        await trio.sleep(0.1)
    raise AssertionError("it did not come to that")


@asynccontextmanager
async def listening(
    folder: Path, serve: Callable[[trio.SocketStream], Awaitable[None]]
) -> AsyncGenerator[None]:
    """The machine's socket: one connection after the other."""
    path = folder / "agent"
    path.unlink(missing_ok=True)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    bound.bind(
        str(path)
    )  # here and not through trio, which does it in a thread: the clock would jump meanwhile
    bound.listen(1)
    listener = trio.socket.from_stdlib_socket(bound)

    async def accept() -> None:
        while True:
            connection, _ = await listener.accept()
            async with trio.SocketStream(connection) as stream:
                try:
                    await serve(stream)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    continue

    with listener:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(accept)
            yield
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def running_core(
    folder: Path,
    settings: Settings | None = None,
    boot_seconds: float | None = 10.0,
    transport: Transport | None = None,
) -> AsyncGenerator[Core]:
    """A core with its link, until the block ends: as after a kill, another one finds what this one stored."""
    with Database(folder / "db") as database:
        if not database.sandboxes():
            database.add_sandbox(SandboxRow(UUID, "box", SandboxConfig(), "running", "", 1.0))
        async with trio.open_nursery() as nursery:
            core = Core(folder, database, nursery, settings or Settings(), transport)
            nursery.start_soon(core.link.run, boot_seconds)
            yield core
            nursery.cancel_scope.cancel()


def run(main: Callable[[], Awaitable[None]], *, seconds: float = 3600) -> None:
    """Run ``main`` on a clock that jumps over every wait; at most ``seconds`` of that clock."""

    async def bounded() -> None:
        with trio.fail_after(seconds):
            await main()

    trio.run(bounded, clock=trio.testing.MockClock(autojump_threshold=0))
