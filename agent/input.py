"""From the core's stream into a program's stdin or terminal."""

from __future__ import annotations

import os
import termios

from .loop import WRITE

TYPE_CHECKING = False  # see wire/frames.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from .loop import Loop
    from .wire import Credit, ReceiveWindow

BUFFER: Final = 256 * 1024
"""Bytes accepted for a program that does not read them yet. What was accepted is acknowledged."""


class InputPump:
    """Writes what ``window`` takes to ``fd``, its own, and gives credit for more as room comes free.

    A program that closed its stdin, or ended, discards: the sender is not to wait for ever.
    """

    __slots__ = ("_blocked", "_buffer", "_fd", "_grant", "_loop", "_terminal", "_window")

    def __init__(
        self, loop: Loop, fd: int, window: ReceiveWindow, grant: Callable[[Credit], None], *, terminal: bool
    ) -> None:
        self._loop = loop
        self._fd = fd
        self._window = window
        self._grant = grant
        self._terminal = terminal
        self._buffer = bytearray()
        self._blocked = False
        self.give_credit()

    def take(self, offset: int, data: bytes) -> None:
        """Data from the core. Raises ProtocolError."""
        fresh = self._window.take(offset, data)
        if self._fd >= 0:
            self._buffer += fresh
            if not self._blocked:
                self._write(0)
        self.give_credit()

    def finish(self, offset: int) -> None:
        """The core says that no more will come. Raises ProtocolError."""
        self._window.finish(offset)
        if self._fd >= 0 and not self._blocked:
            self._write(0)
        self.give_credit()

    def give_credit(self) -> None:
        """Acknowledge what was accepted, and let the core send as much as there is room for."""
        self._grant(self._window.grant(self._window.received + BUFFER - len(self._buffer)))

    def discard(self) -> None:
        """Nobody will read any more."""
        self._buffer.clear()
        self._close()
        self.give_credit()

    def _write(self, _events: int) -> None:
        before = len(self._buffer)
        try:
            while self._buffer:
                count = os.write(self._fd, self._buffer)
                del self._buffer[:count]
        except BlockingIOError:
            self._wait()
        except OSError:  # EPIPE, or EIO of a terminal that was hung up
            self.discard()
        else:
            self._written()
        if before - len(self._buffer) >= BUFFER // 4:
            self.give_credit()

    def _wait(self) -> None:
        if not self._blocked:
            self._blocked = True
            self._loop.watch(self._fd, WRITE, self._write)

    def _written(self) -> None:
        if self._blocked:
            self._blocked = False
            self._loop.unwatch(self._fd)
            self.give_credit()
        if self._window.finished and self._fd >= 0:
            if self._terminal:
                self._type_end_of_file()
            self._close()

    def _type_end_of_file(self) -> None:
        try:
            attributes = termios.tcgetattr(self._fd)
            if attributes[3] & termios.ICANON:
                os.write(self._fd, attributes[6][termios.VEOF])
        except (OSError, termios.error):
            return  # hung up, or its buffer is full of lines that nobody reads

    def _close(self) -> None:
        if self._fd < 0:
            return
        if self._blocked:
            self._blocked = False
            self._loop.unwatch(self._fd)
        os.close(self._fd)
        self._fd = -1
