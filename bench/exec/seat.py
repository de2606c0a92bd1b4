"""A terminal for the bench: a program on a pty, and what it writes, drawn no faster than a real terminal would."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import subprocess
import termios
import time
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_KEPT: Final = 256 * 1024
_PATIENCE: Final = 60.0


class Terminal:
    """``command`` on a pty of 24 rows and 80 columns; leaving the context kills it.

    ``speed`` bounds, in bytes a second, how fast it draws.

    Attributes:
        drawn: bytes that it has written.
    """

    def __init__(self, command: list[str], speed: float = float("inf")) -> None:
        self._master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        env = {**os.environ, "TERM": "xterm-256color"}
        self._process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=env, start_new_session=True
        )
        os.close(slave)
        self._speed = speed
        self._busy_until = 0.0
        self._text = b""
        self.drawn = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._master)

    def type(self, data: bytes) -> None:
        """Press keys; what was on the screen before does not count for `until` any more."""
        self._text = b""
        os.write(self._master, data)

    def _draw(self, seconds: float) -> None:
        pause = self._busy_until - time.monotonic()
        if pause > 0:
            time.sleep(pause)
        if select.select([self._master], [], [], seconds)[0]:
            data = os.read(self._master, 65536)
            self.drawn += len(data)
            self._text = (self._text + data)[-_KEPT:]
            self._busy_until = time.monotonic() + len(data) / self._speed

    def until(self, done: bytes | Callable[[bytes], bool]) -> float:
        """Draw until this was written since the last keys, or ``done`` says so; the seconds that took."""
        begun = time.monotonic()
        while not (done in self._text if isinstance(done, bytes) else done(self._text)):
            if time.monotonic() > begun + _PATIENCE:
                raise TimeoutError(f"not within {_PATIENCE:g} s: {done!r}; last was {self._text[-200:]!r}")
            self._draw(0.1)
        return time.monotonic() - begun

    def draw_for(self, seconds: float) -> None:
        """Draw what comes for so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._draw(end - time.monotonic())
