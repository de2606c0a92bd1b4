"""One session as the core holds it: its row, its state, its exit record, and who is to be told of news."""

from __future__ import annotations

import dataclasses
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Final, cast

import trio

from sandtop.agent.wire import STREAMS_PER_SESSION, ProtocolError
from sandtop.core.sessions.cause import TAIL_BYTES, cause_of, last_words
from sandtop.core.sessions.input import SessionInput
from sandtop.core.sessions.last_line import LastLine
from sandtop.core.sessions.log import SessionLog
from sandtop.core.sessions.output import STDERR, STDOUT, SessionOutput
from sandtop.core.sessions.records import SessionExit, printable
from sandtop.core.sessions.tty import Tty

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sandtop.core.sessions.tty import TerminalObserver
    from sandtop.core.store import SessionRow

_FOREGROUND: Final = 200
"""Characters of `Session.foreground`."""


class Session:
    """A session, running or ended. ``observer`` is told what happens to its terminal, where it has one.

    Attributes:
        row: what the database has of it.
        record: how it ended, once that is stored; None before.
        base: the number of the first of its streams on the link to the agent.
        log, input, output: its log, its input, and its output on the way to the log.
        tty: its terminal; None for a session on pipes.
        gone: whether its machine is gone, so that nothing more will come.
        attached: how many clients follow it.
        left: how many of the processes that it left running when it ended still run.
        waiting: which of its processes waits for somebody to type, as the agent says: ``leader`` (the one that was
            started), ``other``, or empty for none.
        foreground: the command line of the program in its terminal's foreground, as the agent says; empty: not known.
        last_line: the last line of its output.
    """

    def __init__(
        self, row: SessionRow, folder: Path, cap: int, observer: TerminalObserver | None = None
    ) -> None:
        self.row = row
        self.record = SessionExit.from_json(row.record) if row.record else None
        self.base = row.number * STREAMS_PER_SESSION
        self.log = SessionLog(folder, cap)
        size = row.start.get("tty")
        self.tty = Tty(folder, cast("Mapping[str, object]", size)) if isinstance(size, dict) else None
        self.output = SessionOutput(row, self.log, self.tty, self.notify)
        self.input = SessionInput(row, self.log, self.tty, observer, self.notify)
        self._observer = observer
        self._ending: SessionExit | None = None
        self._given_up = False
        self._news = trio.lowlevel.ParkingLot()
        self._sent: dict[int, str] = {}
        self._stopped = False
        self._abandoned = False
        self._followed_from_start = row.pid is None
        self.gone = False
        self.attached = 0
        self.left = 0
        self.waiting = row.prompt_seen
        self.foreground = ""
        self.last_line = LastLine(self.log)

    @property
    def ended(self) -> bool:
        """Whether it has ended and its exit record is stored."""
        return self.record is not None

    @property
    def ending(self) -> bool:
        """Whether its exit record is known, stored or not."""
        return self.ended or self._ending is not None

    @property
    def asks(self) -> bool:
        """Whether it ended badly and nobody has acknowledged that."""
        return self.record is not None and self.record.exit_status != 0 and self.row.acknowledged_at is None

    @property
    def prompt_seen(self) -> bool:
        """Whether somebody has acknowledged that it waits."""
        return bool(self.row.prompt_seen)

    # while it runs

    def started(self, pid: int, at: float) -> bool:
        """The program runs; whether that is news."""
        if self.ended or self.row.pid is not None:
            return False
        self.row = dataclasses.replace(self.row, state="running", pid=pid, started_at=at)
        self.notify()
        return True

    def waits(self, who: object, program: object) -> bool:
        """Take the agent's word on `waiting` and `foreground`; whether ``row`` changed by it.

        Raises ProtocolError for nonsense.
        """
        if who not in ("", "leader", "other"):
            raise ProtocolError(f"a session in which {who!r:.40} waits")
        self.foreground = printable(program)[:_FOREGROUND] if isinstance(program, str) else ""
        if who == self.waiting:
            return False
        self.waiting, seen = str(who), self.prompt_seen
        self.row = dataclasses.replace(self.row, prompt_seen="")
        self.notify()
        return seen

    def resize(self, rows: int, columns: int) -> None:
        """The window has this size for all that the program writes from now on."""
        if self.tty is None or self.ended:
            return
        size = self.tty.resize(self.log.end(STDOUT), rows, columns)
        if size is not None and self._observer is not None:
            self._observer.resized(self.row.id, size)

    # how it ends

    def was_sent(self, number: int, by: str = "a client of sandtop") -> None:
        """Somebody, whom people know as ``by``, sends it the signal ``number``."""
        self._sent[number] = by

    def told_to_end(self) -> None:
        """Its sandbox is being stopped: it gets SIGTERM, then SIGKILL, and in the end its machine is switched off."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            self._sent.setdefault(number, "its sandbox's stop")
        self._stopped = True

    def abandoned(self) -> None:
        """Its client is gone, and it must not outlive that: it is killed."""
        self._abandoned = True

    def ended_as_told(self, record: SessionExit) -> bool:
        """Whether it ended by a signal that somebody sent, or with a machine that was stopped: nobody need look at it.

        Programs may also catch the signal and exit: by the shells' convention with 128 and the signal's number.
        """
        if record.reason == "signaled":
            return record.signal in self._sent
        if record.reason == "vm-died":
            return self._stopped
        return record.reason == "exited" and record.code is not None and record.code - 128 in self._sent

    def with_cause(self, record: SessionExit) -> SessionExit:
        """``record`` with why it ended badly, as far as that is known now: the session's output is stored."""
        if record.exit_status == 0:
            return record
        timeout = self.row.start.get("timeout_ms")
        return dataclasses.replace(
            record,
            cause=cause_of(
                record,
                self._last_words,
                timeout_ms=timeout if isinstance(timeout, int) else None,
                by=self._sender(record.signal or 0),
            ),
        )

    def _sender(self, number: int) -> str | None:
        if number == signal.SIGKILL and self._abandoned:
            return "sandtop, as its client was gone"
        return self._sent.get(number, "" if self._followed_from_start else None)

    def _last_words(self) -> str:
        """What its program said last: on stderr, else on stdout or its terminal. Empty when the log cannot be read."""
        for stream in (STDERR, STDOUT):
            end = self.log.end(stream)
            start = max(end - TAIL_BYTES, self.log.first(stream))
            with suppress(OSError):
                if end > start and (said := last_words(self._tail(stream, start, end), begun=start == 0)):
                    return said
        return ""

    def _tail(self, stream: int, start: int, end: int) -> bytes:
        data = bytearray()
        while start < end and (piece := self.log.read(stream, start, end - start)):
            data += piece
            start += len(piece)
        return bytes(data)

    def set_ending(self, record: SessionExit) -> None:
        """The agent's exit record came; output that belongs before it may still be on its way."""
        if not self.ending:
            self._ending = record

    def complete(self) -> SessionExit | None:
        """The exit record to store, with the lengths that the output has in the log.

        None while the session has none yet, and while output that the record counts is still to come or to be written.
        """
        record = self._ending
        if record is None or self.ended or self.output.stalled:
            return None
        ends = self.log.end(STDOUT), self.log.end(STDERR)
        if self.gone or self._given_up or (ends[0] >= record.stdout and ends[1] >= record.stderr):
            return record.with_lengths(*ends)
        return None

    @property
    def owed(self) -> tuple[int, bool]:
        """Bytes that its exit record counts and that have not come; and whether the agent has credit to send any."""
        record = self._ending
        if record is None or self.ended or self.output.stalled:
            return 0, False
        return self.output.owed(record.stdout, record.stderr)

    def give_up_rest(self) -> None:
        """End without the output that its exit record counts and that has not come."""
        self._given_up = True

    def cut_short(self, why: str) -> None:
        """Nothing more will come: it ends with the agent's own record where that had come, else as ``vm-died``."""
        self.gone = True
        stdout, stderr = self.output.received
        self.set_ending(SessionExit("vm-died", message=why, stdout=stdout, stderr=stderr, source="core"))

    def end(self, row: SessionRow, record: SessionExit) -> None:
        """``row`` with ``record`` is stored: tell everybody."""
        self.row, self.record, self._ending = row, record, None
        self.log.close()
        self.input.end()
        self.notify()

    # followers

    def notify(self) -> None:
        """Wake all that wait for something new."""
        self._news.unpark_all()

    async def wait_for_news(self) -> None:
        """Return when something is new: output, a start, an end. News before the call does not count: look first."""
        await self._news.park()
