"""The console ends when it is told to, whatever holds it up: a terminal that takes nothing, a thread that waits.

A signal's handler runs between any two steps of the main thread, also while that holds a lock. So it only writes to a
pipe; a thread of its own reads there, asks the console to leave, and ends the process when that takes too long. The
core takes a client's keyboard back and leaves its sessions alone when its connection closes, however that comes about.
"""

from __future__ import annotations

import os
import select
import signal
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE: Final = 1.2
"""Seconds that the console has for an orderly end once it was told to end, or lost its terminal."""
LEAVING: Final = 5.0
"""Seconds that it has when somebody leaves."""
_SIGNALS: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


class Shutdown(threading.Thread):
    """Watches over the end.

    Attributes:
        leave: asks the console to end with a status; called in this thread.
        restore: puts the terminal in order as far as it takes that without waiting; called in this thread.
    """

    def __init__(self) -> None:
        super().__init__(name="shutdown", daemon=True)
        self.leave: Callable[[int], None] | None = None
        self.restore: Callable[[], None] | None = None
        self._told, self._teller = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def watch(self) -> None:
        """Begin, and take over the signals that end a process. To be called in the main thread."""
        self.start()
        for number in _SIGNALS:
            signal.signal(number, lambda number, _frame: self.tell(128 + number))

    def tell(self, status: int) -> None:
        """The console is to end with ``status`` (128 + N for a signal); from any thread and any handler."""
        with suppress(BlockingIOError):  # it was told often enough
            os.write(self._teller, bytes([status]))

    def lost_terminal(self) -> None:
        """The terminal is gone: as after SIGHUP, which need not come (signal(7), and who leads the session)."""
        self.tell(128 + signal.SIGHUP)

    def leaving(self, status: int) -> None:
        """Somebody leaves: that comes to an end, too."""
        timer = threading.Timer(LEAVING, self._end, (status,))
        timer.daemon = True
        timer.start()

    def run(self) -> None:
        """Wait to be told; see `tell`."""
        select.select([self._told], [], [])
        status = os.read(self._told, 1)[0]
        if self.leave is not None:
            with suppress(RuntimeError):  # its loop has ended by itself
                self.leave(status)
        threading.Event().wait(PATIENCE)
        self._end(status)

    def _end(self, status: int) -> None:
        try:
            if self.restore is not None:
                self.restore()
        finally:
            os._exit(status)
