"""From a program's pipe or terminal into the stream that carries it to the core."""

from __future__ import annotations

import fcntl
import os
import struct
import termios

from .loop import READ

TYPE_CHECKING = False  # see _frames
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from .loop import Loop
    from .protocol import Credit, Outbox, SendStream

PIECE: Final = 32 * 1024 - 18
"""Bytes of one read: with its header and trailer a frame of 32 KiB, which virtio_console takes in one buffer."""
_PIECES_A_TURN: Final = 4
_TERMINAL_HOLDS: Final = 128 * 1024
"""More than a terminal can hold at any moment (tty_buffer.c, n_tty.c: 64 KiB and 4 KiB)."""


class OutputPump:
    """Reads ``fd``, its own, into ``stream`` while less than ``window`` bytes of that are unacknowledged.

    ``ended`` is called once, when all was read that there will be.
    """

    __slots__ = (
        "_ended", "_fd", "_left", "_loop", "_outbox", "_terminal", "_watched", "_window", "stream",
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
        outbox.add(stream)
        self._resume()

    @property
    def closed(self) -> bool:
        return self._fd < 0

    def credited(self, credit: Credit) -> None:
        """The core acknowledged something: there may be room to read on."""
        # not for each few bytes of room: reading in whole pieces costs far less
        if not self.closed and self.stream.retained <= max(self._window - PIECE, self._window // 2):
            self._resume()

    def finish(self) -> None:
        """The program has ended: read what is there at this moment, whatever others may go on writing."""
        if self.closed:
            return
        self._left = _TERMINAL_HOLDS if self._terminal else _readable_bytes(self._fd)
        self._resume()
        self._read(0)

    def _resume(self) -> None:
        if not self._watched:
            self._watched = True
            self._loop.watch(self._fd, READ, self._read)

    def _pause(self) -> None:
        if self._watched:
            self._watched = False
            self._loop.unwatch(self._fd)

    def _read(self, _events: int) -> None:
        stream = self.stream
        for _ in range(_PIECES_A_TURN):
            room = min(PIECE, self._window - stream.retained)
            if room <= 0:
                self._pause()
                break
            if self._left is not None:
                room = min(room, self._left)
                if room == 0:
                    self._close()
                    break
            try:
                data = os.read(self._fd, room)
            except BlockingIOError:
                if self._left is not None:
                    self._close()
                break
            except OSError:  # EIO: a terminal that was hung up
                data = b""
            if not data:
                self._close()
                break
            stream.write(data)
            if self._left is not None:
                self._left -= len(data)
        self._outbox.wake(stream.number)

    def _close(self) -> None:
        self._pause()
        os.close(self._fd)
        self._fd = -1
        self._ended()


def _readable_bytes(fd: int) -> int:
    """How many bytes a pipe holds."""
    (count,) = struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, bytes(4)))
    return int(count)
