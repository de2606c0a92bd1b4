"""Writing to a descriptor that others share, without ever waiting in the write itself.

``poll`` calls a terminal writable as soon as there is room for one byte (tty(4), ``n_tty_poll``), and a write of more
then waits for its reader: a terminal that was stopped keeps whoever writes. ``O_NONBLOCK`` on the description that we
were given would be everybody's who shares it, the shell's too; so we open one of our own.
"""

from __future__ import annotations

import os
import select
import time


class SharedOutput:
    """``fd`` to write to, on an open file description of our own where that can be had.

    Attributes:
        fd: the descriptor to poll.
        own: whether it is one of our own.
    """

    __slots__ = ("fd", "own")

    def __init__(self, fd: int) -> None:
        self.own = False
        self.fd = fd
        try:
            self.fd = os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
            self.own = True
        except OSError:
            return  # not our user's terminal (after su), a socket, or no /proc

    def write(self, data: bytes | memoryview) -> int:
        """Write what there is room for now; how many bytes that was. Raises OSError but for a lack of room."""
        if self.own:
            return _try(self.fd, data)
        # for no longer than the write takes: the others on this description do not expect it
        os.set_blocking(self.fd, False)
        try:
            return _try(self.fd, data)
        finally:
            os.set_blocking(self.fd, True)

    def write_within(self, data: bytes, seconds: float) -> bool:
        """Write all of ``data`` unless that takes longer than ``seconds``; whether all was written. Raises OSError."""
        view, until = memoryview(data), time.monotonic() + seconds
        waiter = select.poll()
        waiter.register(self.fd, select.POLLOUT)
        while view:
            view = view[self.write(view) :]
            left = until - time.monotonic()
            if view and (left <= 0 or not waiter.poll(left * 1000)):
                return False
        return True

    def discard(self) -> None:
        """Drop what a terminal has not taken of what was written to it."""
        import termios

        try:
            termios.tcflush(self.fd, termios.TCOFLUSH)
        except termios.error as error:
            raise OSError(*error.args) from error

    def close(self) -> None:
        """Close the description of our own; the descriptor that was given stays open."""
        if self.own:
            os.close(self.fd)
            self.own = False


def _try(fd: int, data: bytes | memoryview) -> int:
    try:
        return os.write(fd, data)
    except BlockingIOError:
        return 0
