"""The screen worker as a process: what the core asks of it, and what it answers."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from sandtop.agent.wire import Control, Data, Decoder, encode
from sandtop.core.screens.breadcrumb import Breadcrumb, CrashLoop
from sandtop.core.session_folder import MOST_BYTES
from sandtop.core.sessions.log import SessionLog

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

SECONDS = 30.0


class Core:
    """The other end of the worker's link."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._decoder = Decoder()
        self._blob = b""
        link.settimeout(SECONDS)

    def say(self, kind: str, number: int = 1, **fields: object) -> None:
        self._link.sendall(encode(Control({"type": kind, "n": number, **fields})))

    def open(self, folder: Path, end: int, number: int = 1, *, aside: bool = False) -> None:
        fields: dict[str, object] = {"rows": 24, "columns": 80, "sizes": [], "answered": None, "aside": aside}
        self.say("open", number, folder=str(folder), end=end, most_bytes=MOST_BYTES, **fields)

    def look(self, request: int, wait_for: str | None = None, number: int = 1) -> None:
        fields = {"scrollback": False, "ansi": False, "wait_for": wait_for, "final": False}
        self.say("look", number, req=request, **fields)

    def answered(self, request: int) -> Mapping[str, object]:
        """What it answers; TimeoutError when it does not."""
        while True:
            for frame in self._decoder.feed(self._link.recv(65536)):
                if isinstance(frame, Data):
                    self._blob += frame.data
                elif isinstance(frame, Control) and frame.message["type"] == "answer":
                    assert frame.message["req"] == request
                    blob, self._blob = self._blob, b""
                    seen: Mapping[str, object] = json.loads(blob)
                    return seen


@pytest.fixture
def core() -> Iterator[Core]:
    ours, theirs = socket.socketpair()
    with ours, theirs, Breadcrumb.new() as breadcrumb:
        worker = subprocess.Popen(
            [sys.executable, "-m", "sandtop.core.screens", str(breadcrumb.fd)],
            stdin=theirs.fileno(),
            pass_fds=(breadcrumb.fd,),
        )
        try:
            yield Core(ours)
            ours.close()
            assert worker.wait(SECONDS) == 0
        finally:
            worker.kill()
            worker.wait()


def test_what_is_just_being_drawn_is_found(tmp_path: Path, core: Core) -> None:
    with SessionLog(tmp_path / "log") as log:
        log.append(1, b"red\r\n$ ")
        end = log.end(1)
    core.open(tmp_path / "log", end)
    core.look(1, "^red$")
    core.answered(1)


def test_a_costly_screen_takes_nobody_elses_turn(tmp_path: Path, core: Core) -> None:
    """Clusters repeated over the whole screen, megabytes of them; another terminal answers meanwhile."""
    with SessionLog(tmp_path / "costly") as costly, SessionLog(tmp_path / "other") as other:
        piece = "\U0001f469\u200d\U0001f469\x1b[9999b".encode()
        costly.append(1, piece * ((4 << 20) // len(piece)))
        other.append(1, b"here")
        core.open(tmp_path / "costly", costly.end(1), 1)
        core.open(tmp_path / "other", other.end(1), 2)
        core.look(1, number=2)
        assert core.answered(1)["lines"] == ["here", *[""] * 23]


def test_a_screen_that_workers_died_of_is_set_aside(tmp_path: Path, core: Core) -> None:
    """It says so, what was written is left out, and it is there again; the checkpoint has it for the next worker."""
    with SessionLog(tmp_path / "log") as log:
        log.append(1, b"whatever it was")
        core.open(tmp_path / "log", log.end(1), aside=True)
        core.look(1)
        seen = core.answered(1)
        assert "left out output" in str(seen["lines"])
        assert "whatever" not in str(seen["lines"])
        assert seen["skipped"] == log.end(1)
        core.open(tmp_path / "log", log.end(1), 2)
        core.look(2, number=2)
        assert core.answered(2)["lines"] == seen["lines"]


def test_one_death_blames_nobody() -> None:
    crash_loop = CrashLoop()
    assert [crash_loop.died("a", 0), crash_loop.died("a", 5_000_000), crash_loop.died("b", 0)] == [False] * 3
    assert [crash_loop.died("b", 1000), crash_loop.died("", 0), crash_loop.died("b", 0)] == [False] * 3
    assert [crash_loop.died("b", 2000), crash_loop.died("b", 1000)] == [False, True]
    assert not crash_loop.died("b", 1000)
