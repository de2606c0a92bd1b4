"""Output for the terminal, written by a thread of its own. Whoever hands it something never waits and takes no lock."""

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


class Writer(threading.Thread):
    """Writes to ``descriptor``; ``wake`` is an eventfd. Both stay its caller's.

    ``hung_up`` reads_keys of the terminal's death; ``drained`` that all was taken, if `wants_repaint` was set before.
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
        """Have ``text`` written, all of it or, when too much waits already, nothing."""
        data = text.encode(errors="replace")
        if self._abandoned or not data or self.backlog + len(data) > MOST:
            return
        self._put += len(data)
        self._waiting.append(data)
        os.eventfd_write(self._wake, 1)

    def finish(self, seconds: float) -> bool:
        """Write what waits, in ``seconds`` at most; whether all of it was taken."""
        self._finishing = True
        os.eventfd_write(self._wake, 1)
        self._over.wait(seconds)
        return self._over.is_set()

    def abandon(self, seconds: float) -> None:
        """Write no more; waits ``seconds`` at most for a piece that is being written."""
        self._abandoned = True
        os.eventfd_write(self._wake, 1)
        self._over.wait(seconds)

    def run(self) -> None:
        """Write until finished or abandoned, or until there is no terminal any more."""
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
            # without anything to write it is still told of the terminal's death
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
        """There is no terminal any more: what is written goes nowhere."""
        self._abandoned = True
        self._over.set()
        self._hung_up()
