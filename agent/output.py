"""From a program's pipe or terminal into the stream that carries it to the core."""

from __future__ import annotations

import fcntl
import os
import struct
import termios
import time

from .loop import READ

TYPE_CHECKING = False  # see wire/frames.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from .loop import Loop, Timer
    from .wire import Outbox, SendStream

_READ: Final = 256 * 1024
"""Bytes of one read at most: each costs a turn of the loop, whatever it brings."""
_FLOOD: Final = 32 * 1024
"""A read of this many bytes is of a program that floods."""
_CAPACITY: Final = 1 << 20
"""Bytes that a program that floods may write before it waits for the agent: as much as it writes while the agent sends.
The kernel takes memory, the session's, only for what is in the pipe (pipe(7))."""
_SMALL: Final = 16 * 1024
_BUSY: Final = 0.010
_GATHER: Final = 0.002
"""Seconds. A program whose last few bytes came less than `_BUSY` ago is left alone for `_GATHER`, and what it writes
meanwhile is read in one piece: to wake the agent for each few kilobytes costs more than to read them."""
_TERMINAL_READ: Final = 4096
_TERMINAL_HOLDS: Final = 128 * 1024
"""More than a terminal can hold at any moment (tty_buffer.c, n_tty.c: 64 KiB and 4 KiB)."""


class OutputPump:
    """Reads ``fd``, its own, into ``stream`` while less than ``window`` bytes of that are unacknowledged.

    ``ended`` is called once, when all was read that there will be.
    """

    __slots__ = (
        "_ended", "_fd", "_gathering", "_heir", "_last_read", "_left", "_loop", "_outbox", "_terminal", "_watched",
        "_wide", "_window", "stream",
    )  # fmt: skip

    def __init__(
        self,
        loop: Loop,
        outbox: Outbox,
        fd: int,
        stream: SendStream,
        window: int,
        ended: Callable[[], None],
        *,
        terminal: bool,
    ) -> None:
        self.stream = stream
        self._loop = loop
        self._outbox = outbox
        self._fd = fd
        self._window = window
        self._ended = ended
        self._terminal = terminal
        self._left: int | None = None  # bytes still to be read, once the program has ended
        self._watched = False
        self._wide = terminal  # whether the pipe holds as much as it may; a terminal has no such thing
        self._last_read = 0.0
        self._gathering: Timer | None = None
        self._heir: Callable[[int], None] | None = None
        outbox.add(stream)
        self._resume()

    @property
    def closed(self) -> bool:
        return self._fd < 0

    def credited(self) -> None:
        """The core acknowledged something: there may be room to read on."""
        if self.closed:
            return
        if self._left is not None:
            self._drain(self._left)
        elif self.stream.retained <= self._window // 2:
            # not for each few bytes of room: reading in large pieces costs far less
            self._resume()

    def finish(self, heir: Callable[[int], None] | None = None) -> None:
        """The program has ended: read what is there at this moment, whatever others may go on writing.

        ``heir`` gets the descriptor then, if it has not come to its end; else it is closed.
        """
        if not self.closed:
            self._heir = heir
            self._pause()
            self._loop.cancel(self._gathering)
            self._drain(_TERMINAL_HOLDS if self._terminal else _readable_bytes(self._fd))

    def _resume(self) -> None:
        if not self._watched and self._gathering is None:
            self._watched = True
            self._loop.watch(self._fd, READ, self._ready)

    def _pause(self) -> None:
        if self._watched:
            self._watched = False
            self._loop.unwatch(self._fd)

    def _ready(self, _events: int) -> None:
        total = 0
        while total < _READ:
            room = self._room - total
            if room <= 0:
                if not total:
                    self._pause()
                break
            data = self._read(room)
            if data is None:
                break
            if not data:
                self._close()
                break
            total += len(data)
            if not self._terminal or len(data) < _TERMINAL_READ // 2:
                break  # a terminal gives no more than this at a time; a pipe has given all that it holds
        if not self.closed:
            self._adapt(total)
        self._outbox.wake(self.stream.number)

    def _adapt(self, total: int) -> None:
        """Fewer and larger reads from a program that writes little at a time, or more than its pipe holds."""
        if 0 < total < _SMALL:
            self._gather()
        elif total >= _FLOOD and not self._wide:
            self._widen()

    def _widen(self) -> None:
        self._wide = True
        try:
            fcntl.fcntl(self._fd, fcntl.F_SETPIPE_SZ, _CAPACITY)
        except OSError:
            return  # closed meanwhile, or no memory: it stays as it is

    def _gather(self) -> None:
        """Let a busy program write more before the next read."""
        now = time.monotonic()
        if now - self._last_read < _BUSY:
            self._pause()
            self._gathering = self._loop.call_in(_GATHER, self._go_on)
        self._last_read = now

    def _go_on(self) -> None:
        self._gathering = None
        self._resume()

    def _drain(self, left: int) -> None:
        """Read ``left`` bytes, or all that there are, as far as there is room; `credited` goes on from there."""
        # without waiting for the descriptor: it need not become readable once more
        while left and (room := self._room) > 0:
            data = self._read(min(room, left))
            if data:
                left -= len(data)
                continue
            left = 0
            if data is not None:
                self._heir = None
        self._left = left
        if not left:
            self._close()
        self._outbox.wake(self.stream.number)

    @property
    def _room(self) -> int:
        return min(_READ, self._window - self.stream.retained)

    def _read(self, size: int) -> bytes | None:
        """Read a piece into the stream. None when nothing is there now, empty when nothing ever will be."""
        try:
            data = os.read(self._fd, size)
        except BlockingIOError:
            return None
        except OSError:  # EIO: a terminal that was hung up
            return b""
        if data:
            self.stream.write(data)
        return data

    def _close(self) -> None:
        self._pause()
        fd, self._fd = self._fd, -1
        if self._heir is not None:
            self._heir(fd)
        else:
            os.close(fd)
        self._ended()


def _readable_bytes(fd: int) -> int:
    """How many bytes a pipe holds."""
    (count,) = struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, bytes(4)))
    return int(count)
