"""A session's output on its way from the agent to the log, and the credit that bounds it."""

from __future__ import annotations

import errno
import os
import time
from typing import TYPE_CHECKING, Final

import trio

from sandtop.agent.wire import STREAMS_PER_SESSION, Credit, Data, ProtocolError, ReceiveWindow
from sandtop.agent.wire.limits import PIPE_WINDOW, TTY_WINDOW

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from sandtop.core.sessions.log import SessionLog
    from sandtop.core.sessions.tty import Tty
    from sandtop.core.store import SessionRow

STDOUT, STDERR = 1, 2
_CREDIT_SHARE: Final = 4
"""Fresh credit is sent once it is worth this part of a window: each is a frame that the agent has to read."""


class SessionOutput:
    """The output of the session ``row``, which goes to ``log``. ``notify`` wakes those who read the log.

    What the agent sends is taken into memory first (`take`) and written by `store`. What the log's disk refuses stays
    in memory. Credit counts from the end of the log, so no more than a window can pile up there.

    Attributes:
        window: bytes that the agent may be ahead of the log.
        refusal: why the log took less than it was given, the last time that something was written; else None.
        heard_at: when output came last, seconds since the epoch; 0 before any came.
    """

    def __init__(self, row: SessionRow, log: SessionLog, tty: Tty | None, notify: Callable[[], None]) -> None:
        self._key = row.id
        self._log = log
        self._tty = tty
        self._notify = notify
        self._base = row.number * STREAMS_PER_SESSION
        self._windows = {
            stream: ReceiveWindow(self._base + stream, log.end(stream)) for stream in (STDOUT, STDERR)
        }
        self._come: list[tuple[int, bytes]] = []
        self._refused = {STDOUT: bytearray(), STDERR: bytearray()}
        self.window = TTY_WINDOW if row.tty else PIPE_WINDOW
        self.refusal: OSError | None = None
        self.heard_at = 0.0 if row.record else log.written_at

    @property
    def stalled(self) -> bool:
        """Whether output waits in memory because the log's disk refused it."""
        return any(self._refused.values())

    @property
    def received(self) -> tuple[int, int]:
        """The lengths of stdout and stderr in bytes, as far as they came, written to the log or not."""
        return self._windows[STDOUT].received, self._windows[STDERR].received

    def credits(self, *, anew: bool) -> Generator[Credit]:
        """The credit to send now: all of it on a new link (``anew``), else only what has grown by enough."""
        for stream, window in self._windows.items():
            if stream == STDERR and self._tty is not None:
                continue
            end = self._log.end(stream)
            limit = end + self.window
            if self._tty is not None:
                limit = self._tty.flow.limit(end, limit, trio.current_time())
            if anew or limit - window.limit >= self.window // _CREDIT_SHARE:
                window.limit = limit
                yield Credit(window.number, end, limit)

    def held_back_until(self) -> float | None:
        """When slow screens of a terminal stop withholding credit, by trio's clock; None when they withhold none."""
        if self._tty is None:
            return None
        end = self._log.end(STDOUT)
        return self._tty.flow.holds_back(end, end + self.window, trio.current_time())

    def take(self, frame: Data) -> bool:
        """Take output into memory; whether any is new. Raises ProtocolError for what no agent may send."""
        stream = frame.stream - self._base
        window = self._windows.get(stream)
        if window is None:
            raise ProtocolError(f"output of session {self._key} that it cannot have")
        data = window.take(frame.offset, frame.data)
        if data:
            self._come.append((stream, data))
        return bool(data)

    def store(self) -> None:
        """Write to the log what has come, and what its disk refused before. `stalled` tells whether it took all."""
        come, self._come = self._come, []
        before = self._log.stored
        self.refusal = None
        for stream, refused in self._refused.items():
            if refused:
                del refused[: self._write([(stream, refused)])[stream]]
        counts = self._write(come)
        if sum(counts.values()) < _length(come):
            for stream, refused in self._refused.items():
                refused += b"".join(data for each, data in come if each == stream)[counts[stream] :]
        if come:
            self.heard_at = time.time()
        if self._log.stored != before or come:
            self._notify()

    def _write(self, pieces: Sequence[tuple[int, bytes | bytearray]]) -> dict[int, int]:
        """How many bytes of each stream the log took. When it does not take all, `refusal` is set to say why.

        With `refusal` set nothing more is written: later bytes must not get in front of those that were refused.
        """
        counts = dict.fromkeys(self._refused, 0)
        if pieces and self.refusal is None:
            try:
                counts = self._log.extend(pieces)
            except OSError as error:
                self.refusal = error
            else:
                if sum(counts.values()) < _length(pieces):
                    self.refusal = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return counts

    def owed(self, stdout: int, stderr: int) -> tuple[int, bool]:
        """Bytes that have not come of streams of these lengths; and whether the agent has credit to send any."""
        owed, may_come = 0, False
        for (stream, window), length in zip(self._windows.items(), (stdout, stderr), strict=True):
            if (rest := length - window.received) > 0:
                owed += rest
                # a terminal has no stderr and gets no credit for it: what an agent claims of one never comes
                may_come = (
                    may_come or window.limit > window.received or (stream == STDERR and self._tty is not None)
                )
        return owed, may_come


def _length(pieces: Sequence[tuple[int, bytes | bytearray]]) -> int:
    return sum(len(data) for _, data in pieces)
