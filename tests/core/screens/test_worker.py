"""The screen worker in a thread: what the core asks of it, and what it answers."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import pytest

from sandtop.agent.protocol import Control, Decoder, encode
from sandtop.core.screens.worker import Worker
from sandtop.core.sessions.log import SessionLog

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECONDS = 10.0


class Core:
    """The other end of the worker's link."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._decoder = Decoder()
        link.settimeout(SECONDS)

    def say(self, kind: str, **fields: object) -> None:
        self._link.sendall(encode(Control({"type": kind, "n": 1, **fields})))

    def look(self, request: int, wait_for: str) -> None:
        self.say("look", req=request, scrollback=False, ansi=False, wait_for=wait_for, final=False)

    def answered(self, request: int) -> None:
        """Return once it has answered; TimeoutError when it does not."""
        while True:
            for frame in self._decoder.feed(self._link.recv(65536)):
                if isinstance(frame, Control) and frame.message["type"] == "answer":
                    assert frame.message["req"] == request
                    return


@pytest.fixture
def core() -> Iterator[Core]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        thread = threading.Thread(target=Worker(theirs).run)
        thread.start()
        yield Core(ours)
        ours.close()
        thread.join(SECONDS)
        assert not thread.is_alive()


def test_what_is_just_being_drawn_is_found(
    tmp_path: Path, core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "sandtop.core.screens.look._deadline", lambda: threading.Lock()
    )  # signals are the main thread's
    with SessionLog(tmp_path / "log") as log:
        log.append(1, b"red\r\n$ ")
        end = log.end(1)
    core.say("open", folder=str(tmp_path / "log"), rows=24, columns=80, sizes=[], answered=None, end=end)
    core.look(1, "^red$")
    core.answered(1)
