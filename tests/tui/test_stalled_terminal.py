"""The console on real terminals that are gone, or take nothing: it ends when told to, and shows all when it can."""

from __future__ import annotations

import os
import signal
import termios
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from tests.fakecore import NOW, FakeCore, FakeSession, sandbox, session

from .real_terminal import PATIENCE, PROMISED, Terminal

if TYPE_CHECKING:
    from collections.abc import Generator

pytestmark = pytest.mark.slow  # real terminals, and each has to be filled first


def flooding(lines: int = 100_000) -> FakeSession:
    """A shell that has seconds of output to show."""
    one = session("t", "web", "sh", tty=True)
    line = b"\x1b[3%dma line that is long enough, number %d\x1b[0m and what follows it\r\n"
    one.pieces = [(NOW, 1, b"".join(line % (n % 8, n) for n in range(lines)))]
    return one


@contextmanager
def stepped_in(one: FakeSession) -> Generator[tuple[Terminal, FakeCore]]:
    """A console in the terminal of a session, with its keyboard."""
    with FakeCore(sandbox("web"), sessions=(one,)) as core:
        terminal = Terminal()
        try:
            terminal.see(lambda text: "● running" in text)
            terminal.press(b"\r")
            terminal.see(lambda text: "SESSION" in text)
            terminal.press(b"a")
            terminal.see(lambda text: "^] detach" in text)
            yield terminal, core
        finally:
            terminal.close()


def left(core: FakeCore) -> bool:
    """Whether nobody follows any session, so that its keyboard is free; the session goes on."""
    deadline = time.monotonic() + PROMISED
    while core.following and time.monotonic() < deadline:
        time.sleep(0.02)
    return not core.following and not core.session("t").ended


@pytest.mark.timeout(240)
def test_a_terminal_that_dies_in_a_flood_ends_the_console() -> None:
    for moment in (0, 2, 5):
        with stepped_in(flooding()) as (terminal, core):
            terminal.see(lambda text: "long enough" in text)
            rest = time.monotonic() + 0.1 + 0.15 * moment
            while time.monotonic() < rest:
                terminal.read(0.01)
            assert core.following
            terminal.hang_up()
            assert terminal.ended() == 128 + signal.SIGHUP
            assert left(core)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_terminal_that_takes_nothing_holds_up_no_end(number: signal.Signals) -> None:
    with stepped_in(flooding()) as (terminal, core):
        terminal.fill()
        terminal.end(number)
        assert terminal.ended() == 128 + number
        assert left(core)
        terminal.read_all()  # whoever looks again finds it in order
        assert not terminal.shown.modes.alternate_screen
        assert not terminal.shown.modes.mouse
        assert terminal.shown.cursor.visible
        assert termios.tcgetattr(terminal.master)[:4] == terminal.before[:4]


def test_a_terminal_that_stops_holds_up_no_end_of_an_idle_console() -> None:
    one = session("t", "web", "sh", tty=True)
    with stepped_in(one) as (terminal, core):
        termios.tcflow(terminal.master, termios.TCIOFF)  # as ctrl-s does in a terminal that knows it
        core.emit("t", b"unseen\r\n" * 20_000)
        terminal.end(signal.SIGTERM)
        assert terminal.ended() == 128 + signal.SIGTERM
        assert left(core)


@pytest.mark.timeout(120)
def test_keys_are_taken_while_nothing_is_shown_and_all_of_it_is_shown_again() -> None:
    one = flooding(20_000)
    one.pieces = [*one.pieces[:1], (NOW, 1, b"\x1b[2J\x1b[Hthat was all\r\n")]
    with stepped_in(one) as (terminal, core):
        terminal.fill()
        terminal.press(b"typed unseen")
        deadline = time.monotonic() + PATIENCE
        while bytes(one.typed) != b"typed unseen":
            assert time.monotonic() < deadline, one.typed
            time.sleep(0.05)
        terminal.see(
            lambda text: "that was all" in text and "long enough" not in text and "^] detach" in text
        )
        terminal.press(b"\x1d")
        terminal.see(lambda text: "detached from" in text)
        terminal.press(b"\x11")
        terminal.read_all()
        assert terminal.ended() == 0
        assert not terminal.shown.modes.alternate_screen
        assert left(core)


@pytest.mark.timeout(120)
def test_a_thread_that_waits_for_ever_holds_up_no_end(tmp_path_factory: pytest.TempPathFactory) -> None:
    fifo = tmp_path_factory.mktemp("fifo") / "nobody-reads"
    os.mkfifo(fifo)
    one = session("t", "web", "true")
    one.pieces = [(NOW, 1, b"hello\n")]
    with FakeCore(sandbox("web"), sessions=(one,)) as core:
        terminal = Terminal()
        try:
            terminal.see(lambda text: "● running" in text)
            terminal.press(b"l")
            terminal.see(lambda text: "hello" in text)
            terminal.press(b"\x13")
            terminal.see(lambda text: "Save all" in text)
            terminal.press(b"\x15" + str(fifo).encode() + b"\r")
            terminal.see(lambda text: "saving" in text)
            terminal.end(signal.SIGTERM)
            assert terminal.ended() == 128 + signal.SIGTERM
            assert core.requests
        finally:
            terminal.close()
