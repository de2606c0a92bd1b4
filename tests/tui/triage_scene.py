"""docs/triage-tasks.md as values, and the sandboxes that its tasks are about."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.fakecore import NOW, FakeCore, FakeLoad, FakeSession, ended, sandbox, session

from sandtop.core.contract.sandbox import ProcessInfo

PAGE: Final = Path(__file__).parents[2] / "docs" / "triage-tasks.md"
_NAMES: Final = {"⏎": "enter", "↑": "up", "esc": "escape", "pgup": "pageup"}


# the page


@dataclass(frozen=True)
class Task:
    """A line of the page: what is pressed before and now, key by key, and how many keys it says that these are."""

    number: int
    what: str
    before: tuple[str, ...]
    said_before: int
    now: tuple[tuple[str, ...], ...]
    said_now: int

    @property
    def keys(self) -> int:
        return sum(len(keys) for keys in self.now)


def words_of(cell: str) -> tuple[tuple[str, ...], ...]:
    """The keys in a cell of the page: of each key, or typed word, what is pressed."""
    text = cell.strip().strip("`").replace("\\|", "|")
    if text == "–":
        return ()
    if text.startswith("$ "):
        return (tuple(text[2:]), ("enter",))
    return tuple(
        tuple(typed) if typed else (_key(key),) for typed, key in re.findall(r'"([^"]*)"|(\S+)', text)
    )


def _key(shown: str) -> str:
    if len(shown) == 2 and shown[0] == "^":
        return f"ctrl+{shown[1]}"
    return _NAMES.get(shown, shown)


def read_page() -> list[Task]:
    found: list[Task] = []
    for line in PAGE.read_text().splitlines():
        cells = re.split(r"(?<!\\)\|", line)[1:-1]
        if len(cells) == 6 and cells[0].strip().isdigit():
            number, what, before, said_before, now, said_now = (cell.strip() for cell in cells)
            flat = tuple(key for keys in words_of(before) for key in keys)
            found.append(Task(int(number), what, flat, int(said_before), words_of(now), int(said_now)))
    return found


# the sandboxes


def fleet() -> FakeCore:
    web = {"team": "web"}
    stopped = [sandbox(name, "stopped") for name in ("old-db", "old-job-1", "old-job-2")]
    core = FakeCore(
        sandbox("api-1"), sandbox("api-2"), sandbox("builder", memory=2048),
        sandbox("crawler", "failed", reason="kernel panic - not syncing", changed_at=NOW - 600),
        sandbox("etl"), sandbox("fuzz-07", labels={"sandtop.silence": "120"}), *stopped,
        sandbox("release"), sandbox("review"), sandbox("tester"),
        *[sandbox(f"web-{number}", labels=web) for number in (1, 2, 3)],
        sessions=(*_failed(), *_running()),
    )  # fmt: skip
    core.loads = {
        "builder": FakeLoad((3.0,), 1960),
        "web-1": FakeLoad((2.0,), 300),
        "web-3": FakeLoad((99.0,) * 8, 120),
    }
    core.processes["web-3"] = [
        ProcessInfo(
            pid=pid, parent=1, user="root", session=None, state="R", cpu=cpu, cpu_seconds=cpu, memory=9 << 20,
            threads=1, command=command,
        )
        for pid, cpu, command in ((77, 98.0, "python3 spin.py"), (78, 0.1, "./serve"))
    ]  # fmt: skip
    return core


def _failed() -> list[FakeSession]:
    frames = [f'  File "work.py", line {number}, in step' for number in range(90)]
    trace = "\n".join(
        ["Traceback (most recent call last):", *frames, "ValueError: order 4711 has no customer\n"]
    )
    work = ended("a", "api-2", "python3", "work.py", code=3, said=trace.encode())
    work.pieces = [(NOW - 900, 1, b"order %d done\n" % number) for number in range(200)] + work.pieces
    work.raw["ended_at"] = NOW - 200
    build = ended("b", "builder", "cargo", "build", "--release")
    build.end(NOW - 1200, {"reason": "oom", "signal": 9, "memory_peak": 1900 << 20,
                           "cause": "1.9G at its peak"}, 137)  # fmt: skip
    load = ended("c", "etl", "./load.sh")
    load.end(NOW - 300, {"reason": "timeout", "signal": 9, "cause": "after its limit of 15 min"}, 124)
    tests = session("d", "tester", "pytest", "--pdb", tty=True)
    tests.pieces = [(NOW - 61, 1, b"=== FAILURES ===\r\nassert 41 == 42\r\n1 failed, 9 passed\r\n")]
    tests.end(NOW - 60, {"reason": "exited", "code": 1}, 1)
    old = ended("e", "web-1", "./migrate", code=2, said=b"lock timeout\n", started_at=NOW - 3000,
                ended_at=NOW - 2990, acknowledged=True)  # fmt: skip
    return [work, build, load, tests, old]


def _running() -> list[FakeSession]:
    api = session("11", "api-1", "./serve", started_at=NOW - 500)
    api.pieces = [(NOW - 400 + number, 1, _line(number).encode()) for number in range(180)]
    shells = [
        session(key, name, "/bin/bash", tty=True, started_at=NOW - 3000)
        for key, name in (("12", "api-1"), ("13", "review"))
    ]
    shells[0].pieces, shells[1].pieces = [(NOW - 2400, 1, b"$ ")], [(NOW - 50, 1, b"review $ ")]
    asks = session("14", "release", "./release.sh", tty=True, waits="leader")
    asks.pieces = [(NOW - 300, 1, b"release 1.4 now? [y/n] ")]
    fuzz = session("15", "fuzz-07", "afl-fuzz", started_at=NOW - 3000)
    fuzz.pieces = [(NOW - 900, 1, b"cycle 7 done\n")]
    web = [session(f"2{number}", f"web-{number}", "./serve", started_at=NOW - 400) for number in (1, 2, 3)]
    web[0].pieces = [
        (NOW - 90, 1, b"slow: 1200 ms\n"),
        (NOW - 80, 1, b"slow: 1300 ms\n"),
        (NOW - 9, 1, b"ok\n"),
    ]
    web[1].pieces = [(NOW - 70, 2, b"db: connection refused\n"), (NOW - 60, 1, b"GET /cart 200\n")]
    web[2].pieces = [(NOW - 40, 1, b"spinning\n")]
    return [shells[0], api, shells[1], asks, fuzz, *web]


def _line(number: int) -> str:
    return f"{number}: connection refused\n" if number % 3 == 0 else f"{number}: ok\n"
