"""The core's socket, in the hands of a client that keeps to nothing. No machine runs, and none can be built.

An input is what is sent on one connection after the other; `CUT` ends one. Each that asked for something must be
answered, never with a fault of the core's own, no turn of the loop may be long, and afterwards the core still answers.
"""

from __future__ import annotations

import logging
import os
import socket
import struct
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import trio
import trio.testing
from tests.core.daemon.requests import FIELDS, OPS, VALUES, some_fields
from tests.fuzz.loop import Turns
from tests.fuzz.target import Budget

from sandtop.agent.wire import MAX_PAYLOAD, Control, Credit, Data, Decoder, Eof, ProtocolError, encode
from sandtop.core.daemon.dispatch import Core
from sandtop.core.daemon.metrics import MetricsServer
from sandtop.core.daemon.server import Server
from sandtop.core.fleet import Context, Fleet
from sandtop.core.guest import GuestStore
from sandtop.core.machine.registry import driver_for
from sandtop.core.paths import Paths
from sandtop.core.screens.screens import Screens
from sandtop.core.sessions import SessionLog
from sandtop.core.settings import Settings
from sandtop.core.store import Database, SandboxConfig, SandboxRow, SessionRow
from sandtop.core.templates import Templates

if TYPE_CHECKING:
    import random
    from collections.abc import Generator

CUT: Final = b"\xff-CUT-\xff"
_MOST_CONNECTIONS: Final = 6
_LONGEST_TURN: Final = 0.15
"""Seconds of processor time for one turn of the loop: a request of a MiB of JSON takes a third of it."""
_PATIENCE: Final = 600.0
"""Seconds, of a clock that jumps, for an answer: a request may say that it waits for minutes."""
_REALLY: Final = 20.0
_HELLO: Final = encode(Control({"type": "hello", "version": 1, "package": "fuzz"}))
_BOX, _GONE = "11111111-0000-0000-0000-000000000001", "11111111-0000-0000-0000-000000000002"
_ENDED, _TTY, _RUNS, _RUNS_TTY = (letter * 16 for letter in "abcd")
_SESSIONS: Final = (_ENDED, _TTY, _RUNS, _RUNS_TTY, "a", "")
_LIKELY: Final[tuple[tuple[str, float, tuple[object, ...]], ...]] = (
    ("sandbox", 0.8, ("box", "box", _BOX, "gone", None)),
    ("name", 0.5, ("new", "base", "box")),
    ("session", 0.8, _SESSIONS),
    ("id", 0.8, ("e" * 16, _RUNS, _RUNS_TTY, _ENDED)),
    ("argv", 0.3, (["x"], ["x"] * 5000, ["\0"], [""], [1], "x")),
    ("terminal", 0.3, (True,)),
    ("rows", 0.3, (5, 0, 1 << 40)),
    ("columns", 0.6, (7,)),
    ("wait_for", 0.2, ("(a*)*b", "[", "x" * 5000, "(?P<" * 50, "a{1,99999}")),
    ("timeout", 0.5, (1,)),
)
"""Fields with what they may well say: how often, and one of what."""


def _request(rng: random.Random) -> bytes:
    op = rng.choice(OPS)
    fields = some_fields(rng, op)
    for name, chance, values in _LIKELY:
        if name in FIELDS.get(op, (name,)) and rng.random() < chance:
            fields[name] = rng.choice(values)
    return encode(Control({"type": "request", "op": op, **fields}))


def _later(rng: random.Random) -> bytes:
    """What a follower may send, and what it may not."""
    offset = rng.choice((0, 1, 5, 1 << 20, (1 << 63) - 1))
    match rng.randrange(6):
        case 0:
            return encode(Data(rng.randrange(4), offset, rng.randbytes(rng.choice((0, 1, 5000)))))
        case 1:
            return encode(rng.choice((Eof(0, offset), Credit(0, offset, offset), Eof(3, 0))))
        case 2:
            kind = rng.choice(("signal", "resize", "drawn", "x"))
            fields = {
                name: rng.choice(VALUES) for name in ("signal", "scope", "op_id", "rows", "columns", "offset")
            }
            return encode(Control({**fields, "type": kind}))
        case 3:
            kind, wanted = rng.choice((("signal", {"signal": 2}), ("resize", {"rows": 5, "columns": 5})))
            return encode(Control({**wanted, "type": kind})) * rng.choice((1, 50, 1000))
        case 4:
            return encode(Data(0, 0, b"")) * rng.choice((1, 3000))
        case _:
            return rng.choice(
                (_HELLO, _request(rng), rng.randbytes(50), struct.pack("!IBI", MAX_PAYLOAD, 1, 0))
            )


class _Watch(logging.Handler):
    """Faults that the core met by itself."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.faults: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.faults.append(logging.Formatter().format(record))


class _CoreSocket:
    budget: Final = Budget(cpu=1.5, cpu_per_kib=0.02, memory=96 << 20, hang=90.0)
    seeds: Final = tuple(
        _HELLO
        + encode(Control({"type": "request", "op": op, "sandbox": "box", "session": session}))
        + encode(Control({"type": "resize", "rows": 5, "columns": 5}))
        for op, session in (("session.follow", _RUNS), ("session.follow", _TTY), ("session.logs", _ENDED))
    )
    mutate: Final = True

    def generate(self, rng: random.Random) -> bytes:
        connections: list[bytes] = []
        for _ in range(rng.randrange(1, _MOST_CONNECTIONS)):
            parts = [_HELLO] if rng.random() < 0.95 else []
            parts.append(_request(rng))
            parts += [_later(rng) for _ in range(rng.choice((0, 0, 1, 6)))]
            connections.append(b"".join(parts))
        return CUT.join(connections)

    def run(self, data: bytes) -> None:
        turns, watch = Turns(), _Watch()
        with _without_tools(), _hearing(watch), tempfile.TemporaryDirectory(prefix="fuzz-") as temporary:
            clock = trio.testing.MockClock(autojump_threshold=0.02)
            trio.run(_serve, Path(temporary), data.split(CUT)[:_MOST_CONNECTIONS], turns, clock=clock)
        assert not watch.faults, "\n".join(watch.faults)
        turns.check(_LONGEST_TURN)


@contextmanager
def _without_tools() -> Generator[None]:
    """No program of the host's is found: nothing is built, and no machine starts."""
    before = os.environ["PATH"]
    os.environ["PATH"] = "/nonexistent"
    try:
        yield
    finally:
        os.environ["PATH"] = before


@contextmanager
def _hearing(watch: _Watch) -> Generator[None]:
    ours, disabled = logging.getLogger("sandtop"), logging.root.manager.disable
    logging.disable(logging.NOTSET)
    ours.addHandler(watch)
    ours.propagate = False
    try:
        yield
    finally:
        ours.propagate = True
        ours.removeHandler(watch)
        logging.disable(disabled)


def _prepare(paths: Paths, database: Database) -> None:
    config = SandboxConfig(env={"A": "b"})
    database.add_sandbox(SandboxRow(_BOX, "box", config, "running", "", 1.0, image_digest="d"))
    database.add_sandbox(
        SandboxRow(_GONE, "gone", config, "stopped", "", 1.0, removed_at=2.0, image_digest="d")
    )
    record = {"reason": "exited", "code": 0, "stdout": 3000, "stderr": 5}
    tty = {"rows": 24, "columns": 80}
    for number, (key, size, ended) in enumerate(
        ((_ENDED, None, True), (_TTY, tty, True), (_RUNS, None, False), (_RUNS_TTY, tty, False)), start=1
    ):
        start: dict[str, object] = {"argv": ["x"], "tty": size, "stdin": True}
        row = SessionRow(key, _BOX, number, start, "exited" if ended else "running", 1.0)
        if ended:
            row = SessionRow(key, _BOX, number, start, "exited", 1.0, ended_at=2.0, record=record)
        database.add_session(row)
        with SessionLog(paths.logs / _BOX / key) as log:
            log.extend(
                [(1, b"line\r\n" * 500), *([] if size else [(2, b"oops\n"), (1, b"more\n"), (2, b"x\n")])]
            )


async def _serve(folder: Path, connections: list[bytes], turns: Turns) -> None:
    paths = Paths(folder / "data", folder / "cache", folder / "config", folder / "run")
    for path in (paths.logs, paths.sandboxes, paths.images, paths.runtime):
        path.mkdir(parents=True)
    with Database(paths.database) as database, ExitStack() as until_all_ended:
        _prepare(paths, database)
        settings = Settings()
        async with trio.open_nursery() as nursery:
            guest, driver = GuestStore(paths), driver_for(paths)
            templates = Templates(paths, driver, nursery, settings.boot_seconds)
            context = Context(paths, database, settings, nursery, driver, guest, templates, Screens(nursery))
            fleet = Fleet(until_all_ended.enter_context(context))
            server = Server(
                Core(paths, fleet, guest, 0.0, trio.Event(), MetricsServer(paths, fleet, nursery)), nursery
            )
            trio.lowlevel.add_instrument(turns)
            for data in connections:
                await _converse(server, data)
            status = encode(Control({"type": "request", "op": "core.status"}))
            last = await _converse(server, _HELLO + status)
            assert last is not None
            assert last["type"] == "result"
            nursery.cancel_scope.cancel()


async def _converse(server: Server, data: bytes) -> dict[str, object] | None:
    """One connection; the core's last word on it."""
    ours, theirs = socket.socketpair()
    decoder, last = Decoder(), list[dict[str, object]]()
    async with (
        trio.SocketStream(trio.socket.from_stdlib_socket(ours)) as stream,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(server.serve, trio.SocketStream(trio.socket.from_stdlib_socket(theirs)))
        nursery.start_soon(_say, stream, data)
        while got := await _patiently(stream):
            last += [frame.message for frame in decoder.feed(got) if isinstance(frame, Control)]
    for message in last:
        assert message.get("code") != "core-failure", message
    if _asks(data):
        assert last, "no answer"
    return last[-1] if last else None


async def _say(stream: trio.SocketStream, data: bytes) -> None:
    try:
        await stream.send_all(data)
        await stream.send_eof()
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return


async def _patiently(stream: trio.SocketStream) -> bytes:
    """What comes next; empty at the end. The clock also jumps while the core waits for a thread of its own."""
    begun = time.monotonic()
    while time.monotonic() - begun < _REALLY:
        with trio.move_on_after(_PATIENCE):
            try:
                return bytes(await stream.receive_some(65536))
            except trio.BrokenResourceError:
                return b""
    raise AssertionError(f"no answer in {_PATIENCE:g} s of the core's clock, and {_REALLY:g} s of ours")


def _asks(data: bytes) -> bool:
    """Whether ``data`` begins with a hello, to which there is always an answer."""
    try:
        frames = Decoder().feed(data)
    except ProtocolError:
        return False
    return bool(frames) and isinstance(frames[0], Control) and frames[0].message["type"] == "hello"


TARGET: Final = _CoreSocket()
