"""Reading a program's output from its pipe or terminal into the stream that carries it to the core."""

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
"""Bytes of one read at the most. Each read costs a turn of the loop, however little it returns."""
_FLOOD: Final = 32 * 1024
"""A program counts as flooding once a read returned this many bytes."""
_CAPACITY: Final = 1 << 20
"""Capacity of the pipe of a program that floods, in bytes: as much as it writes while the agent sends, so that it need
not wait. The kernel takes memory, which counts as the session's, only for what is in the pipe (pipe(7))."""
_SMALL: Final = 16 * 1024
_BUSY: Final = 0.010
_GATHER: Final = 0.002
"""Seconds. A program that wrote fewer than `_SMALL` bytes, less than `_BUSY` after it wrote before, is not read for
`_GATHER`, so that what it writes meanwhile is read at once: waking the agent for each few kilobytes costs more than
reading them."""
_MORE: Final = 128 * 1024
"""The same for a program that floods, whose pipe has room for what it writes meanwhile."""
_TERMINAL_READ: Final = 4096
_TERMINAL_HOLDS: Final = 128 * 1024
"""Bytes; more than a terminal can hold (64 KiB in tty_buffer.c and 4 KiB in n_tty.c)."""


class OutputPump:
    """Reads ``fd``, which it owns, into ``stream``, as long as fewer than ``window`` bytes of it are unacknowledged.

    ``ended`` is called once, when all output was read.
    """

    __slots__ = (
        "_ended", "_fd", "_gathering", "_heir", "_last_read", "_left", "_loop", "_outbox", "_terminal", "_watched",
        "_wide", "_window", "_worthwhile", "stream",
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
        self._wide = (
            terminal  # whether the pipe was given its largest capacity; a terminal's cannot be changed
        )
        self._worthwhile = _SMALL  # bytes of a read that is as large as one waits for
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
            # only once there is room for a large read, which costs far less than many small ones
            self._resume()

    def finish(self, heir: Callable[[int], None] | None = None) -> None:
        """The program has ended: read what the pipe holds now, and not what other processes write to it later.

        After that ``heir`` is given the descriptor if others still have the pipe open; else the descriptor is closed.
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

    def look(self) -> None:
        """Read now, if there is something to read: an event for it would come later."""
        if not self._watched:
            return
        try:
            waits = _readable_bytes(self._fd)
        except OSError:  # EIO: a terminal that was hung up; the event for it comes
            return
        if waits:
            self._ready(0)

    def _ready(self, _events: int) -> None:
        total = room = 0
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
                break  # a pipe is empty now; a terminal gives no more than this at a time
        if not self.closed:
            self._adapt(total, emptied=total < room)
        self._outbox.wake(self.stream.number)

    def _adapt(self, total: int, *, emptied: bool) -> None:
        """Read less often and more at a time from a program that writes little at a time, or floods."""
        if emptied and 0 < total < self._worthwhile:
            self._gather()
        elif total >= _FLOOD and not self._wide:
            self._widen()

    def _widen(self) -> None:
        self._wide = True
        try:
            fcntl.fcntl(self._fd, fcntl.F_SETPIPE_SZ, _CAPACITY)
        except OSError:
            return  # the pipe was closed meanwhile, or memory is short: it keeps its capacity
        self._worthwhile = _MORE

    def _gather(self) -> None:
        """Do not read for a moment, in which a busy program writes more."""
        now = time.monotonic()
        if now - self._last_read < _BUSY:
            self._pause()
            self._gathering = self._loop.call_in(_GATHER, self._go_on)
        self._last_read = now

    def _go_on(self) -> None:
        self._gathering = None
        self._resume()

    def _drain(self, left: int) -> None:
        """Read ``left`` bytes, or fewer if the output ends, as far as there is room; then `credited` reads on."""
        # without waiting for an event, since the descriptor need not become readable again
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
        """Read once, into the stream. Returns None when there is nothing to read now, and nothing at the end."""
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
