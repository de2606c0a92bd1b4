"""One fleet with something of everything, for the pictures of the console and for its benchmark."""

from __future__ import annotations

from tests.fakecore import NOW, FakeCore, FakeHost, FakeLoad, FakeSession, Raw, ended, sandbox, session

from sandtop.core.contract.core_events import Happening
from sandtop.core.contract.sandbox import ProcessInfo

_BUSY = (12.0, 18, 25, 22, 40, 65, 80, 74, 60, 66, 71, 90, 97, 99, 88, 93)
_CALM = (1.0, 0, 0, 2, 1, 0, 0, 0, 3, 1, 0, 0, 1, 1, 0, 0)
_LOADS = {
    "api-1": FakeLoad(_BUSY, 480),
    "api-2": FakeLoad(_CALM, 96),
    "builder": FakeLoad(tuple(reversed(_BUSY)), 210, processes=19, disk=700),
    "fuzz-07": FakeLoad(_CALM, 61),
    "notebook": FakeLoad(_CALM, 120),
    "review-318": FakeLoad(_CALM, 96),
    "scratch": FakeLoad(_CALM, 96),
}


def core(*more: FakeSession) -> FakeCore:
    """The core that knows it all, and ``more`` sessions."""
    fake = FakeCore(*sandboxes(), sessions=(*sessions(), *more))
    fake.loads = dict(_LOADS)
    fake.host = FakeHost(cpu=(180.0, 210, 260, 190, 240, 310, 330, 290, 260, 280))
    return fake


def sandboxes() -> list[Raw]:
    return [
        sandbox("api-1", pid=11, labels={"team": "core", "env": "ci"}, started_at=NOW - 7200),
        sandbox("api-2", pid=12, labels={"team": "core", "env": "ci"}, started_at=NOW - 7100),
        sandbox(
            "builder",
            pid=13,
            cpus=4,
            memory=2048,
            image="rust",
            labels={"team": "tools"},
            started_at=NOW - 940,
        ),
        sandbox(
            "crawler", "failed", reason="kernel panic - not syncing: out of memory", labels={"team": "data"}
        ),
        sandbox("fuzz-07", pid=14, labels={"sandtop.silence": "120"}, started_at=NOW - 86_400),
        sandbox("notebook", "paused", pid=15, image="python", started_at=NOW - 20_000),
        sandbox("old-db", "stopped", reason="host reboot", image="postgres"),
        sandbox("review-318", pid=12, labels={"pr": "318"}, started_at=NOW - 65),
        sandbox("scratch", "starting", pid=12, started_at=NOW - 2),
    ]


_COLOURS = {"INFO": "32", "WARN": "33", "ERROR": "31;1", "DEBUG": "2"}


def access_log(count: int) -> list[tuple[float, int, bytes]]:
    """A service's log: coloured levels, a stack trace on stderr now and then."""
    pieces: list[tuple[float, int, bytes]] = []
    for number in range(count):
        at = NOW - (count - number) * 1.7
        level = (
            "ERROR"
            if number % 17 == 9
            else "WARN"
            if number % 7 == 3
            else "DEBUG"
            if number % 5 == 1
            else "INFO"
        )
        took = number * 37 % 211
        line = f"\x1b[{_COLOURS[level]}m{level:<5}\x1b[0m GET /api/v1/things/{number} \x1b[1m{took} ms\x1b[0m"
        pieces.append((at, 1, line.encode() + b"\n"))
        if level == "ERROR":
            pieces.append((at, 2, f"Traceback: thing {number} is not there\n  in find(), line 88\n".encode()))
    return pieces


_SHELL = (
    b"\x1b]0;root@review-318: /src\x07\x1b[1;32mroot@review-318\x1b[0m:\x1b[1;34m/src\x1b[0m# ls\r\n"
    b"\x1b[1;34mcore\x1b[0m  \x1b[1;34mtests\x1b[0m  \x1b[32mbuild.sh\x1b[0m  README.md  \x1b[36mlatest\x1b[0m\r\n"
    b"\x1b[1;32mroot@review-318\x1b[0m:\x1b[1;34m/src\x1b[0m# pytest -q\r\n"
    b"\x1b[32m....\x1b[31mF\x1b[32m.....\x1b[0m                                [100%]\r\n"
    b"\x1b[31m===== FAILURES =====\x1b[0m\r\n\x1b[31m1 failed\x1b[0m, \x1b[32m9 passed\x1b[0m in 0.42s\r\n"
    b"\x1b[1;32mroot@review-318\x1b[0m:\x1b[1;34m/src\x1b[0m# "
)


_TRACEBACK = (
    b'Traceback (most recent call last):\n  File "/srv/work.py", line 88, in <module>\n    settle(order)\n'
    b"ValueError: order 4711 has no customer\n"
)


def sessions() -> tuple[FakeSession, ...]:
    serve = session("a1", "api-1", "./serve", "--port", "8080", started_at=NOW - 7000)
    serve.pieces = access_log(400)
    worker = session("a2", "api-1", "python3", "-m", "worker", started_at=NOW - 6900)
    worker.pieces = [(NOW - 100 + n, 1, f"job {n} done, {n * 13 % 50} left\n".encode()) for n in range(80)]
    shell = session("c3", "review-318", "/bin/bash", tty=True, started_at=NOW - 50, input_holder="you")
    shell.pieces = [(NOW, 1, _SHELL)]
    return (
        serve, worker, shell,
        session("c4", "builder", "./release.sh", tty=True, started_at=NOW - 60, waits="leader"),
        session("b4", "builder", "cargo", "build", "--release", started_at=NOW - 900),
        ended("d5", "api-2", "python3", "work.py", code=3, said=_TRACEBACK, started_at=NOW - 300, ended_at=NOW - 200),
        ended("e6", "api-1", "./migrate", started_at=NOW - 7100, ended_at=NOW - 7090),
        ended("f7", "api-1", "curl", "-sf", "localhost:8080/health", started_at=NOW - 60, ended_at=NOW - 59),
        session("97", "fuzz-07", "afl-fuzz", "-i", "seeds", "-o", "out", started_at=NOW - 86_000),
        ended("88", "old-db", "pg_dump", "-Fc", "app", started_at=NOW - 90_000, ended_at=NOW - 89_000),
    )  # fmt: skip


def page(fake: FakeCore) -> FakeCore:
    """``fake`` with what the page of ``api-1`` shows."""
    commands = (
        ("root", "S", 88.4, 402, "python3 -m worker", "a2"), ("root", "R", 4.1, 61, "./serve --port 8080", "a1"),
        ("www", "S", 0.0, 18, "nginx: worker process", "a1"), ("root", "S", 0.0, 9, "[sandtop-agent]", None),
    )  # fmt: skip
    fake.processes["api-1"] = [
        ProcessInfo(
            pid=100 + number, parent=1, user=user, session=(key * 16)[:16] if key else None, state=state, cpu=cpu,
            cpu_seconds=cpu * 70, memory=memory << 20, threads=2, command=command,
        )
        for number, (user, state, cpu, memory, command, key) in enumerate(commands)
    ]  # fmt: skip
    uuid = str(fake.of("api-1")["uuid"])
    happened = (
        (7200, "sandbox-started", "started from its template in 0.41 s"), (7100, "session-started", "./migrate"),
        (7090, "session-exited", "./migrate: exit 0"), (900, "memory-high", "94 % of 512 MiB"),
        (59, "session-exited", "curl -sf localhost:8080/health: exit 0"),
    )  # fmt: skip
    fake.happenings = [
        Happening(id=number, at=NOW - ago, kind=kind, sandbox="api-1", uuid=uuid, message=message)
        for number, (ago, kind, message) in enumerate(happened)
    ]
    printed = [
        f"[{0.1 * number:12.6f}] virtio_blk virtio{number}: 1/0/0 default/read/poll queues"
        for number in range(40)
    ]
    fake.consoles["api-1"] = "\n".join([*printed, "[    4.100000] sandtop-agent: ready"]).encode()
    return fake
