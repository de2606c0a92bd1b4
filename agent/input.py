"""Writing what the core sends to a program's stdin or terminal."""

from __future__ import annotations

import os
import termios

from .loop import WRITE

TYPE_CHECKING = False  # see wire/frames.py
if TYPE_CHECKING:
    from typing import Final

    from .loop import Loop
    from .wire import Credit, Outbox, ReceiveWindow

BUFFER: Final = 256 * 1024
"""Bytes that are accepted, and acknowledged, before the program reads them."""
TYPED: Final = 1024
"""Bytes of one frame that may have been typed, and so have an echo."""


class InputPump:
    """Writes to ``fd``, which it owns, what comes through ``window``, and gives credit as the program reads.

    When the program has closed its stdin, or ended, all that comes is dropped, so that the sender does not wait for
    ever.
    """

    __slots__ = ("_blocked", "_buffer", "_fd", "_loop", "_outbox", "_terminal", "_window")

    def __init__(self, loop: Loop, outbox: Outbox, fd: int, window: ReceiveWindow, *, terminal: bool) -> None:
        self._loop = loop
        self._fd = fd
        self._window = window
        self._outbox = outbox
        self._terminal = terminal
        self._buffer = bytearray()
        self._blocked = False
        self.give_credit()

    def take(self, offset: int, data: bytes) -> None:
        """Take data from the core. Raises ProtocolError."""
        fresh = self._window.take(offset, data)
        if self._fd >= 0:
            self._buffer += fresh
            if not self._blocked:
                self._write(0)
        if self._terminal and len(data) <= TYPED:  # its credit goes with its echo, in one write to the port
            self._outbox.postpone_credit(self._credit())
        else:
            self.give_credit()

    def finish(self, offset: int) -> None:
        """The core says that no more will come. Raises ProtocolError."""
        self._window.finish(offset)
        if self._fd >= 0 and not self._blocked:
            self._write(0)
        self.give_credit()

    def give_credit(self) -> None:
        """Acknowledge what was accepted, and give credit for as much as there is room."""
        self._outbox.credit(self._credit())

    def _credit(self) -> Credit:
        return self._window.grant(self._window.received + BUFFER - len(self._buffer))

    def discard(self) -> None:
        """Nobody will read any more: drop what is there, and what comes."""
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
            return  # the terminal was hung up, or its buffer is full of lines that nobody reads

    def _close(self) -> None:
        if self._fd < 0:
            return
        if self._blocked:
            self._blocked = False
            self._loop.unwatch(self._fd)
        os.close(self._fd)
        self._fd = -1
