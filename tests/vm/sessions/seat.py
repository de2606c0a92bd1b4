"""A person at a terminal: ``sandtop`` on a pty, what its screen shows, and what is typed there."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from typing import TYPE_CHECKING, Self

from tests.settings import SLOWER

from sandtop.core.terminal import Emulator

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from .conftest import Home

PATIENCE = 60.0 * SLOWER
"""Seconds for anything on the screen to come: emulated guests on a busy host are slow."""


class Seat:
    """``python -m sandtop ARGUMENTS`` on a terminal of ``size`` (rows, columns). A context: leaving it kills it.

    With ``script`` a Python program instead.

    Attributes:
        screen: what the terminal shows, also after the program's end.
    """

    def __init__(
        self, home: Home, *arguments: str, size: tuple[int, int] = (24, 80), script: str | None = None
    ) -> None:
        self._master, self._slave = os.openpty()
        os.set_blocking(self._master, False)
        self.screen = Emulator(size[1], size[0])
        self._set_size(size)
        self._usual = termios.tcgetattr(self._slave)
        self._process = subprocess.Popen(
            [sys.executable, *(("-m", "sandtop") if script is None else ("-c", script)), *arguments],
            env={**home.environment, "TERM": "xterm-256color"},
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._master)
        os.close(self._slave)

    @property
    def pid(self) -> int:
        return self._process.pid

    def restored(self) -> bool:
        """Whether the terminal's own modes are what they were."""
        return termios.tcgetattr(self._slave) == self._usual

    def _set_size(self, size: tuple[int, int]) -> None:
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))

    def resize(self, rows: int, columns: int) -> None:
        """As a window manager does; the terminal is nobody's controlling terminal here, so that we tell it."""
        self._set_size((rows, columns))
        self.screen.resize(columns, rows)
        self.signal(signal.SIGWINCH)

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def type(self, data: bytes) -> None:
        """Type ``data``, however slowly it is taken."""
        while data:
            select.select([], [self._master], [], PATIENCE)
            data = data[os.write(self._master, data) :]
            self._look(0)

    def _look(self, seconds: float) -> bool:
        """Take what came; whether anything did."""
        if not select.select([self._master], [], [], seconds)[0]:
            return False
        self.screen.feed(os.read(self._master, 65536))
        replies = self.screen.take_replies()
        if replies:
            os.write(self._master, replies)
        return True

    def until(self, what: str | Callable[[], object], seconds: float = PATIENCE) -> float:
        """Wait until a text is on the screen or in its scrollback, or something is true; how long that took.

        Nobody waits for a text of a program that has ended.
        """
        begun = time.monotonic()
        while not (what in self.text if isinstance(what, str) else what()):
            left = begun + seconds - time.monotonic()
            assert left > 0, f"not within {seconds} s: {what}; on the screen:\n{self.text}"
            over = self._process.poll() is not None
            if not self._look(min(left, 0.1)) and over and isinstance(what, str):
                assert what in self.text, f"it has ended; on the screen:\n{self.text}"
        return time.monotonic() - begun

    @property
    def text(self) -> str:
        return f"{self.screen.scrollback_text()}\n{self.screen.text()}"

    def ended(self, seconds: float = PATIENCE) -> int:
        """The exit status, with all that was written on the screen."""
        self.until(lambda: self._process.poll() is not None, seconds)
        while self._look(0):
            pass
        return self._process.returncode
