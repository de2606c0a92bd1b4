"""The operator's own terminal, a real pty: put back whatever it was shown, and whatever state it is in."""

from __future__ import annotations

import array
import fcntl
import os
import select
import signal
import subprocess
import sys
import termios
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from sandtop.core.client.session.nonblocking import SharedOutput
from sandtop.core.client.session.tty import unique_question
from sandtop.core.terminal import Emulator

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

PROGRAM = """
import os, sys
from sandtop.core.client.session.tty import OwnTerminal
with OwnTerminal() as terminal:
    os.write(1, b"<" + terminal.passed(eval(sys.argv[1])) + b">")
    {during}
"""
ASKS = b"\x1b[c\x1b[6n\x1b]11;?\x07\x1b[?1003h\x1bPq"


class Line:
    """A pseudo terminal, with a program on it. ``own`` makes it that program's controlling terminal."""

    def __init__(self, *arguments: str, own: bool = False) -> None:
        self.master, self.slave = os.openpty()
        self.usual = termios.tcgetattr(self.slave)
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            env={**os.environ, "TERM": "xterm"},
            stdin=self.slave,
            stdout=self.slave,
            stderr=subprocess.PIPE,
            start_new_session=not own,
            preexec_fn=_controlling if own else None,
        )
        self.seen = b""

    def read(self, seconds: float = 0.05) -> None:
        if select.select([self.master], [], [], seconds)[0]:
            self.seen += os.read(self.master, 65536)

    def until(self, ready: Callable[[], object]) -> None:
        """Read until something is true; pytest's own time limit finds what never comes."""
        while not ready():
            self.read()

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def typed(self) -> int:
        """Bytes that whoever reads next from the terminal would take as typed."""
        raw = termios.tcgetattr(self.slave)
        raw[3] &= ~termios.ICANON
        termios.tcsetattr(self.slave, termios.TCSANOW, raw)
        count = array.array("i", [0])
        fcntl.ioctl(self.slave, termios.FIONREAD, count)
        termios.tcsetattr(self.slave, termios.TCSANOW, self.usual)
        return count[0]

    @property
    def restored(self) -> bool:
        return termios.tcgetattr(self.slave) == self.usual


def _controlling() -> None:
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@contextmanager
def line(*arguments: str, own: bool = False) -> Generator[Line]:
    found = Line(*arguments, own=own)
    try:
        yield found
    finally:
        found.process.kill()
        found.process.communicate()
        os.close(found.master)
        os.close(found.slave)


def program(data: bytes, during: str = "pass") -> tuple[str, ...]:
    return "-c", PROGRAM.format(during=during), repr(data)


def test_what_the_terminal_has_yet_to_answer_is_not_typed() -> None:
    """The program's own question for the identity is answered first: that is not the end of the answers."""
    with line(*program(ASKS)) as terminal:
        terminal.until(lambda: terminal.seen.endswith(b"\x1b[c"))
        number = terminal.seen.partition(b"$p")[0].rpartition(b"\x1b[?")[2]
        os.write(terminal.master, b"\x1b[?62;22c")
        os.write(terminal.master, b"\x1b[1;1R\x1b]11;rgb:0/0/0\x07")
        assert not terminal.ended
        os.write(terminal.master, b"\x1b[?%s;0$y\x1b[?62;22c" % number)
        terminal.until(lambda: terminal.ended)
        assert terminal.process.returncode == 0
        assert terminal.typed() == 0
        assert terminal.restored
        emulator = Emulator()
        emulator.feed(terminal.seen + b"shell")
        assert emulator.modes.mouse == ""
        assert emulator.text().startswith("<>shell")


def test_a_terminal_that_answers_nothing_is_left_all_the_same() -> None:
    with line(*program(ASKS)) as terminal:
        terminal.until(lambda: terminal.ended)
        assert terminal.process.returncode == 0
        assert terminal.restored


def test_where_nothing_was_asked_no_question_is_put_and_what_was_typed_stays() -> None:
    with line(*program(b"\x1b[31mplain\x1b[m")) as terminal:
        os.write(terminal.master, b"ls")
        terminal.until(lambda: terminal.ended)
        terminal.read()
        assert b"$p" not in terminal.seen
        assert b"\x1b[?1003l" in terminal.seen
        assert terminal.typed() == 2


FLOOD = "os.set_blocking(1, False)\n    try:\n        while True: os.write(1, b'x' * 4096)\n    except OSError: pass"


@pytest.mark.slow
def test_a_terminal_that_takes_nothing_does_not_keep_us_and_is_put_back_when_it_does() -> None:
    with line(*program(ASKS, FLOOD)) as terminal:
        terminal.process.wait(30)
        assert terminal.process.returncode == 0
        assert terminal.restored
        for _ in range(40):
            terminal.read()
        assert b"\x1b[?1003l" in terminal.seen


def test_a_terminal_that_is_gone_is_no_accident() -> None:
    with line(*program(ASKS, "os.read(0, 1)"), own=True) as terminal:
        terminal.process.send_signal(signal.SIGCONT)
        terminal.until(lambda: b"<" in terminal.seen)
        os.close(terminal.master)
        terminal.master = os.open(os.devnull, os.O_RDONLY)
        assert terminal.process.wait(30) in (0, -signal.SIGHUP)


def test_a_terminal_that_is_anothers_meanwhile_is_not_touched() -> None:
    """In the background, after the shell has taken it back: to change it would stop us for ever (SIGTTOU)."""
    during = (
        "import fcntl, signal, struct, subprocess, termios\n"
        "    signal.signal(signal.SIGTTOU, signal.SIG_IGN)\n"
        "    other = subprocess.Popen(['sleep', '60'], process_group=0)\n"
        "    fcntl.ioctl(0, termios.TIOCSPGRP, struct.pack('i', other.pid))\n"
        "    signal.signal(signal.SIGTTOU, signal.SIG_DFL)\n"
    )
    script = PROGRAM.format(during=during) + "other.kill()\n"
    with line("-c", script, repr(ASKS), own=True) as terminal:
        terminal.until(lambda: terminal.ended)
        assert terminal.process.returncode == 0
        terminal.read()
        assert b"\x1b[?1003l" not in terminal.seen


def test_a_write_never_waits() -> None:
    master, slave = os.openpty()
    output = SharedOutput(slave)
    assert output.own
    assert os.get_blocking(slave)
    written = 0
    while count := output.write(b"x" * 65536):
        written += count
    assert written < 1 << 20
    assert not output.write_within(b"x" * 65536, 0.01)
    output.discard()
    assert output.write_within(b"y" * 100, 5)
    output.close()
    assert os.get_blocking(slave)
    os.close(slave)
    left = b""
    while data := _read(master):
        left += data
    assert left.endswith(b"xy" + b"y" * 99)
    assert len(left) < written  # what the terminal had taken already is its own
    os.close(master)


def _read(master: int) -> bytes:
    try:
        return os.read(master, 65536)
    except OSError:  # EIO: the last who had it open is gone
        return b""


def test_a_write_where_no_description_of_our_own_is_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    """After su the terminal is another user's, and cannot be opened: the shared one is as before afterwards."""

    def refuse(*_: object) -> int:
        raise PermissionError

    master, slave = os.openpty()
    with monkeypatch.context() as patch:
        patch.setattr("os.open", refuse)
        output = SharedOutput(slave)
    assert not output.own
    while output.write(b"x" * 65536):
        assert os.get_blocking(slave)
    assert os.get_blocking(slave)
    output.close()
    os.close(master)
    os.close(slave)


def test_the_question_is_one_that_no_program_asks() -> None:
    questions = {unique_question() for _ in range(50)}
    assert len(questions) > 40
    begun = time.monotonic()
    assert all(int(question[3:8]) >= 20000 for question, _ in questions)
    assert time.monotonic() - begun < 60
