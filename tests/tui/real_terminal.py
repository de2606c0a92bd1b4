"""A console on a real terminal, for tests that are the terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import sys
import termios
import time
from contextlib import suppress
from signal import SIGKILL
from typing import TYPE_CHECKING

from sandtop.core.terminal import Emulator

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable

ROWS, COLUMNS = 40, 120
PATIENCE = 30.0
PROMISED = 2.0
"""Seconds within which it ends, from docs/console.md."""
SLOW = 3.0
"""What a busy machine that runs other tests may add to that."""


class Terminal:
    """A console on a terminal of its own, which shows what it reads of it."""

    def __init__(self) -> None:
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            self.resize(0, ROWS, COLUMNS)
            os.environ["TERM"] = "xterm-256color"
            os.execv(sys.executable, [sys.executable, "-m", "sandtop"])
        self.shown = Emulator(COLUMNS, ROWS, 0)
        self.before = termios.tcgetattr(self.master)
        self.status: int | None = None

    @staticmethod
    def resize(descriptor: int, rows: int, columns: int) -> None:
        """Give the terminal of ``descriptor`` another size."""
        fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, seconds: float = 0.1) -> bool:
        """Show what has come within that time; False when nobody has the terminal open any more."""
        if not select.select([self.master], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self.master, 65536)
        except OSError:  # EIO
            return False
        self.shown.feed(data)
        return True

    def read_all(self) -> None:
        """Show all that comes until nobody has the terminal open any more."""
        deadline = time.monotonic() + PATIENCE
        while self.read():
            assert time.monotonic() < deadline, self.shown.text()

    def see(self, condition: Callable[[str], bool]) -> None:
        """Read until ``condition`` holds for the screen."""
        deadline = time.monotonic() + PATIENCE
        while not condition(self.shown.text()):
            assert time.monotonic() < deadline, self.shown.text()
            self.read()

    def press(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def fill(self) -> None:
        """Read nothing until it takes nothing more."""
        waiting = -1
        while waiting != (waiting := self._unread()):
            time.sleep(0.5)

    def _unread(self) -> int:
        return int(struct.unpack("i", fcntl.ioctl(self.master, termios.FIONREAD, b"\0" * 4))[0])

    def end(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def hang_up(self) -> None:
        os.close(self.master)
        self.master = -1

    def ended(self) -> int:
        """Wait for its end; its exit status. Fails when it takes too long."""
        deadline = time.monotonic() + PROMISED + SLOW
        while self.status is None:
            assert time.monotonic() < deadline, "it goes on and on"
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
            else:
                time.sleep(0.02)
        return self.status

    def close(self) -> None:
        if self.status is None:
            os.kill(self.pid, SIGKILL)
            os.waitpid(self.pid, 0)
        if self.master >= 0:
            with suppress(OSError):
                self.hang_up()
