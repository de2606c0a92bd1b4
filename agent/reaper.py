"""Waiting for children, in one place: programs that the agent started, and orphans that process 1 inherits."""

from __future__ import annotations

import os
import signal

from .loop import READ

TYPE_CHECKING = False  # see wire/frames.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from .loop import Loop

_AT_ONCE: Final = 256
"""Children reaped in one turn of the loop, so that the end of a fork bomb does not keep it from other work."""


class Reaper:
    """Reaps children. Whoever starts one calls `expect` before the loop's next turn, to be told when it ends."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._waiting: dict[int, Callable[[int], None]] = {}
        self._wakeup, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        # Python would end at a SIGINT, which nobody sends to process 1 on purpose
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        # Python writes to the wake-up pipe only for signals that have a Python handler
        signal.signal(signal.SIGCHLD, _nothing)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        loop.watch(self._wakeup, READ, self._woken)

    def expect(self, pid: int, ended: Callable[[int], None]) -> None:
        """Call ``ended`` with the wait status of child ``pid``."""
        self._waiting[pid] = ended

    def _woken(self, _events: int) -> None:
        try:
            os.read(self._wakeup, 4096)
        except BlockingIOError:
            return
        self.look()

    def look(self) -> None:
        """Reap those that have ended. Whoever has a reason to think that one has need not wait for the signal."""
        for _ in range(_AT_ONCE):
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            ended = self._waiting.pop(pid, None)
            if ended is not None:
                ended(status)
        self._loop.soon(self.look)


def _nothing(_signal: int, _frame: object) -> None:
    """The handler of a signal that only has to wake the loop."""
