"""Writes to the terminal in a thread of its own, so that a terminal that takes no output delays nobody else."""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

MOST: Final = 1 << 20
"""Bytes that may wait for the terminal; what is written beyond that is dropped."""
_PIECE: Final = 16 * 1024
"""The largest single write."""


class Writer(threading.Thread):
    """Writes to ``descriptor``; ``wake`` is an eventfd that wakes the thread. The caller closes both.

    ``hung_up`` is called when the terminal is gone; ``drained`` when the terminal has taken all that waited, if
    `wants_repaint` was set before. Both are called in this thread.
    """

    def __init__(
        self, descriptor: int, wake: int, hung_up: Callable[[], None], drained: Callable[[], None]
    ) -> None:
        super().__init__(name="output", daemon=True)
        self._descriptor = descriptor
        self._hung_up = hung_up
        self._drained = drained
        self._waiting: deque[bytes] = deque()
        self._put = 0
        self._taken = 0
        self._wake = wake
        self._finishing = False
        self._abandoned = False
        self._over = threading.Event()
        self.wants_repaint = False

    @property
    def backlog(self) -> int:
        """Bytes that the terminal has not taken yet."""
        return self._put - self._taken

    def write(self, text: str) -> None:
        """Queue ``text``, without waiting and without a lock; when too much waits already, drop all of it."""
        data = text.encode(errors="replace")
        if self._abandoned or not data or self.backlog + len(data) > MOST:
            return
        self._put += len(data)
        self._waiting.append(data)
        os.eventfd_write(self._wake, 1)

    def finish(self, seconds: float) -> bool:
        """Write what waits, and end; wait ``seconds`` at most. Whether the terminal took all of it."""
        self._finishing = True
        os.eventfd_write(self._wake, 1)
        self._over.wait(seconds)
        return self._over.is_set()

    def abandon(self, seconds: float) -> None:
        """End without writing what waits; wait ``seconds`` at most for a write that is under way."""
        self._abandoned = True
        os.eventfd_write(self._wake, 1)
        self._over.wait(seconds)

    def run(self) -> None:
        """Write until `finish` or `abandon`, or until the terminal is gone."""
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        rest = memoryview(b"")
        while not self._abandoned:
            if not rest and self._waiting:
                rest = memoryview(self._waiting.popleft())
            if not rest:
                if self.wants_repaint:
                    self.wants_repaint = False
                    self._drained()
                if self._finishing:
                    break
            # with nothing to write, poll still reports that the terminal is gone
            poll.register(self._descriptor, select.POLLOUT if rest else 0)
            ready = dict(poll.poll())
            if self._wake in ready:
                with suppress(BlockingIOError):
                    os.eventfd_read(self._wake)
            mask = ready.get(self._descriptor, 0)
            if mask & (select.POLLHUP | select.POLLERR | select.POLLNVAL):
                self._end()
                return
            if mask & select.POLLOUT and not self._abandoned:
                try:
                    count = os.write(self._descriptor, rest[:_PIECE])
                except BlockingIOError:
                    continue
                except OSError:
                    self._end()
                    return
                self._taken += count
                rest = rest[count:]
        self._over.set()

    def _end(self) -> None:
        """The terminal is gone: drop all that is written from now on."""
        self._abandoned = True
        self._over.set()
        self._hung_up()
