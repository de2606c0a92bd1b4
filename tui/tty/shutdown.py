"""The console ends in time when it is told to, even if its terminal takes no output or one of its threads waits.

A signal handler runs between any two steps of the main thread, also while that thread holds a lock. So the handler
only writes to a pipe. A thread reads the pipe, asks the console to end, and ends the process itself when that takes too
long. That is safe: when a client's connection closes, for whatever reason, the core frees the keyboards that it held,
and its sessions go on.
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
"""Seconds for an orderly end after a signal, or after the terminal was lost."""
LEAVING: Final = 5.0
"""Seconds for an orderly end after the operator has quit."""
_SIGNALS: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


class Shutdown(threading.Thread):
    """The thread that sees to it.

    Attributes:
        leave: asks the console to end with an exit status; called in this thread.
        restore: puts the terminal's modes back, as far as that is possible without waiting; called in this thread.
    """

    def __init__(self) -> None:
        super().__init__(name="shutdown", daemon=True)
        self.leave: Callable[[int], None] | None = None
        self.restore: Callable[[], None] | None = None
        self._told, self._teller = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def watch(self) -> None:
        """Start the thread, and handle the signals that end a process. To be called in the main thread."""
        self.start()
        for number in _SIGNALS:
            signal.signal(number, lambda number, _frame: self.tell(128 + number))

    def tell(self, status: int) -> None:
        """Have the console end with ``status`` (128 + N for signal N). Any thread and any handler may call this."""
        with suppress(BlockingIOError):  # the pipe is full of earlier calls
            os.write(self._teller, bytes([status]))

    def lost_terminal(self) -> None:
        """The terminal is gone: end as after SIGHUP, which the kernel sends to the leader of the session only."""
        self.tell(128 + signal.SIGHUP)

    def leaving(self, status: int) -> None:
        """The operator has quit: see to it that the process ends."""
        timer = threading.Timer(LEAVING, self._end, (status,))
        timer.daemon = True
        timer.start()

    def run(self) -> None:
        """Wait for `tell`, then end the console."""
        select.select([self._told], [], [])
        status = os.read(self._told, 1)[0]
        if self.leave is not None:
            with suppress(RuntimeError):  # the console's event loop has ended meanwhile
                self.leave(status)
        threading.Event().wait(PATIENCE)
        self._end(status)

    def _end(self, status: int) -> None:
        try:
            if self.restore is not None:
                self.restore()
        finally:
            os._exit(status)
