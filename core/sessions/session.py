"""One session as the core holds it: its row, its log, what is still on the way, who follows it."""

from __future__ import annotations

import dataclasses
from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

import trio

from sandtop.agent.protocol import STREAMS_PER_SESSION, Credit, Data, ProtocolError, ReceiveWindow, SendStream
from sandtop.core.sessions.log import SessionLog
from sandtop.core.sessions.records import ExitRecord

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from sandtop.core.store import SessionRow

PIPE_WINDOW: Final = 512 * 1024
"""Bytes of output that the agent may be ahead of the log, for each stream of a session without a tty."""
TTY_WINDOW: Final = 256 * 1024
STDIN, STDOUT, STDERR = 0, 1, 2
_NEVER_STARTED: Final = ("starting", "running")


class InputHolder(Protocol):
    """A client that holds a session's input. ``label`` names it to people."""

    label: str

    def credit(self, credit: Credit) -> None:
        """The agent's word on stdin, to pass on."""
        ...

    def lost_input(self, reason: str) -> None:
        """The input is not this client's any more."""
        ...


class Session:
    """A session, running or ended."""

    def __init__(self, row: SessionRow, folder: Path, cap: int) -> None:
        self.row = row
        self.record = ExitRecord.from_json(row.record) if row.record else None
        self.log = SessionLog(folder, cap)
        self.base = row.number * STREAMS_PER_SESSION
        self.window = TTY_WINDOW if row.tty else PIPE_WINDOW
        self._windows = {stream: self._fresh_window(stream) for stream in (STDOUT, STDERR)}
        self._held: dict[int, deque[bytes]] = {STDOUT: deque(), STDERR: deque()}
        self._ending: ExitRecord | None = None
        self._arrived = trio.lowlevel.ParkingLot()
        self.stdin: SendStream | None = None
        self.stdin_closed = False
        self.input_holder: InputHolder | None = None
        self.attached = 0

    def _fresh_window(self, stream: int) -> ReceiveWindow:
        return ReceiveWindow(self.base + stream, self.log.end(stream))

    @property
    def ended(self) -> bool:
        return self.record is not None

    @property
    def stalled(self) -> bool:
        """Whether output waits because the log's disk takes nothing."""
        return any(self._held.values())

    @property
    def stdin_accepted(self) -> int:
        """Bytes of stdin that the agent has accepted."""
        return self.stdin.acked if self.stdin else 0

    # output

    def credits(self, *, anew: bool) -> Generator[Credit]:
        """The credits that are due: all when a link begins ``anew``, else where a quarter of the window is used."""
        for stream, window in self._windows.items():
            if stream == STDERR and self.row.tty:
                continue
            end = self.log.end(stream)
            if anew and not self._held[stream]:
                window.received = end
                window.limit = end
            limit = end + self.window
            if anew or limit - window.limit >= self.window // 4:
                window.limit = limit
                yield Credit(window.number, end, limit)

    def take(self, frame: Data) -> None:
        """Store output. Raises ProtocolError for what the agent may not send."""
        stream = frame.stream - self.base
        window = self._windows.get(stream)
        if window is None or self.ended:
            raise ProtocolError(f"output of session {self.row.id} that it cannot have")
        data = window.take(frame.offset, frame.data)
        if data:
            self._held[stream].append(data)
            if len(self._held[stream]) == 1:
                self.store()

    def store(self) -> bool:
        """Write what is held to the log; False when the disk does not take it all; the rest stays, within the c."""
        stored = False
        for stream, held in self._held.items():
            while held:
                try:
                    count = self.log.append(stream, held[0])
                except OSError:
                    break
                stored = True
                if count < len(held[0]):
                    held[0] = held[0][count:]
                    break
                held.popleft()
        if stored:
            self.notify()
        return not self.stalled

    def set_ending(self, record: ExitRecord) -> None:
        """The agent's exit record came; output that belongs before it may still be on its way."""
        if self._ending is None and not self.ended:
            self._ending = record

    def complete(self) -> ExitRecord | None:
        """The exit record, once all output that it speaks of is stored."""
        record = self._ending
        if record is None or self.ended or self.stalled:
            return None
        if self.log.end(STDOUT) < record.stdout or self.log.end(STDERR) < record.stderr:
            return None
        return record

    def cut_short(self, why: str) -> ExitRecord:
        """The record for a machine that is gone: the agent's own where it had come, else ``vm-died``."""
        if self._ending is not None:
            return self._ending
        return ExitRecord(
            "vm-died", message=why, stdout=self.log.end(STDOUT), stderr=self.log.end(STDERR), source="core"
        )

    def end(self, row: SessionRow, record: ExitRecord) -> None:
        """``row`` with ``record`` is stored: wake everybody."""
        self.row, self.record, self._ending = row, record, None
        self.log.close()
        if self.input_holder is not None:
            self.input_holder.lost_input("the session ended")
            self.input_holder = None
        self.notify()

    def started(self, pid: int, at: float) -> None:
        """The program runs."""
        if self.row.state in _NEVER_STARTED and self.row.pid is None:
            self.row = dataclasses.replace(self.row, state="running", pid=pid, started_at=at)
            self.notify()

    # followers

    def notify(self) -> None:
        """Wake all that wait for something new."""
        self._arrived.unpark_all()

    async def wait_for_news(self) -> None:
        """Return when there is something new: output, a start, an end. Check first, then wait: nothing is lost."""
        await self._arrived.park()

    # input

    def take_stdin(self, offset: int, data: bytes) -> bool:
        """Pass bytes of stdin on; a repeat is dropped. False when none are new. Raises ProtocolError for a gap."""
        stdin = self.stdin
        if stdin is None or stdin.final is not None:
            return False
        if offset > stdin.end or offset + len(data) > stdin.limit:
            raise ProtocolError("stdin beyond what was granted")
        fresh = data[stdin.end - offset :]
        if not fresh:
            return False
        stdin.write(fresh)
        return True

    def close_stdin(self, offset: int) -> bool:
        """The client closed stdin at ``offset``. False when it was closed already or is not known yet."""
        stdin = self.stdin
        if stdin is None or stdin.final is not None:
            return False
        if offset != stdin.end:
            raise ProtocolError("an end of stdin that is not where its bytes end")
        stdin.close()
        return True

    def hold_input(self, holder: InputHolder) -> None:
        """Give the input to ``holder``; who had it before is told."""
        if self.input_holder is not None and self.input_holder is not holder:
            self.input_holder.lost_input("another client took the input over")
        self.input_holder = holder
        if self.stdin is not None:
            holder.credit(Credit(STDIN, self.stdin.acked, self.stdin.limit))

    def release_input(self, holder: InputHolder) -> None:
        if self.input_holder is holder:
            self.input_holder = None
