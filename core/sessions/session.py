"""One session as the core holds it: its row, its log, what is still on the way, who follows it."""

from __future__ import annotations

import dataclasses
import errno
import os
import signal
import time
from typing import TYPE_CHECKING, Final, Protocol, cast

import trio

from sandtop.agent.wire import STREAMS_PER_SESSION, Credit, Data, ProtocolError, ReceiveWindow, SendStream
from sandtop.agent.wire.limits import PIPE_WINDOW, TTY_WINDOW
from sandtop.core.sessions.last_holder import LastHolder
from sandtop.core.sessions.log import SessionLog
from sandtop.core.sessions.records import SessionExit
from sandtop.core.sessions.tty import CLIENT_ANSWERS, Tty

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence
    from pathlib import Path

    from sandtop.core.sessions.tty import TerminalObserver
    from sandtop.core.store import SessionRow

STDIN_WINDOW: Final = 1 << 20
"""Bytes of stdin that a client may be ahead of the agent, whatever the agent grants."""
_MOST_ANSWERS: Final = 64 * 1024
"""Bytes of answers to a program that does not read them."""
_SOME_ROOM: Final = 4096
"""Bytes of fresh credit for stdin that are worth a frame, when nothing was acknowledged with it."""
STDIN, STDOUT, STDERR = 0, 1, 2


class InputHolder(Protocol):
    """A client that holds a session's input. ``label`` names it to people, ``client`` is its own id."""

    label: str
    client: str

    @property
    def answers(self) -> int | None:
        """Up to which offset of its output it answers what the program asks; None when it is no terminal."""
        ...

    def credit(self, credit: Credit) -> None:
        """The agent's word on stdin, to pass on."""
        ...

    def lost_input(self, reason: str) -> None:
        """The input is not this client's any more."""
        ...


class Session:
    """A session, running or ended.

    Attributes:
        refusal: why the log takes nothing at the moment; None when it does.
        gone: its machine is, so that nothing more will come.
        attached: how many clients follow it.
        left: how many processes it left running when it ended, and that still do.
        waiting: who in it waits for somebody to type: ``leader``, ``other`` or, as far as the agent has told, nobody.
        prompt_seen: somebody has seen that, and it is so still.
        heard_at: when output came last, seconds since the epoch; 0 before any came.
        tty: what it has more when it runs on a terminal.
    """

    def __init__(
        self, row: SessionRow, folder: Path, cap: int, screens: TerminalObserver | None = None
    ) -> None:
        self.row = row
        self.record = SessionExit.from_json(row.record) if row.record else None
        self.log = SessionLog(folder, cap)
        self.base = row.number * STREAMS_PER_SESSION
        self.window = TTY_WINDOW if row.tty else PIPE_WINDOW
        self._windows = {
            stream: ReceiveWindow(self.base + stream, self.log.end(stream)) for stream in (STDOUT, STDERR)
        }
        self._come: list[tuple[int, bytes]] = []
        self._refused = {STDOUT: bytearray(), STDERR: bytearray()}
        self._ending: SessionExit | None = None
        self._given_up = False
        self._arrived = trio.lowlevel.ParkingLot()
        self._holder_told = False
        self._granted = 0
        self._word = (-1, -1)  # of the agent's on stdin, the last
        self.refusal: OSError | None = None
        self.gone = False
        self.stdin: SendStream | None = None
        self.input_holder: InputHolder | None = None
        self.attached = 0
        self.left = 0
        self.waiting = ""
        self.prompt_seen = False
        self.heard_at = 0.0 if self.record else self.log.written_at
        self._last_holder = LastHolder(folder, row.id)
        self._sent: set[int] = set()
        self._stopped = False
        size = row.start.get("tty")
        self.tty = Tty(folder, cast("Mapping[str, object]", size)) if isinstance(size, dict) else None
        self._screens = screens
        self._held_from = 0

    @property
    def last_holder(self) -> str:
        """The id of the client that holds the input, or held it last; at first that of whoever started the session."""
        return self._last_holder.client

    @property
    def ended(self) -> bool:
        return self.record is not None

    def was_sent(self, number: int) -> None:
        """Somebody sends it the signal ``number``."""
        self._sent.add(number)

    def told_to_end(self) -> None:
        """Somebody stops its sandbox: it gets a TERM, then a KILL, and at last its machine ends under it."""
        self._sent |= {signal.SIGTERM, signal.SIGKILL}
        self._stopped = True

    def ended_as_told(self, record: SessionExit) -> bool:
        """Whether it ended by a signal that somebody sent, or with a machine that was ended: that is no surprise.

        Also when the program says so itself: shells and others exit with 128 and the signal's number.
        """
        if record.reason == "signaled":
            return record.signal in self._sent
        if record.reason == "vm-died":
            return self._stopped
        return record.reason == "exited" and record.code is not None and record.code - 128 in self._sent

    @property
    def asks(self) -> bool:
        """Whether it ended badly and nobody has said to have seen it."""
        return self.record is not None and self.record.exit_status != 0 and self.row.acknowledged_at is None

    def waits(self, who: object) -> None:
        """What the agent says of who waits for somebody to type. Raises ProtocolError for nonsense."""
        if who not in ("", "leader", "other"):
            raise ProtocolError(f"a session in which {who!r:.40} waits")
        if who != self.waiting:
            self.waiting, self.prompt_seen = str(who), False
            self.notify()

    @property
    def stalled(self) -> bool:
        """Whether output waits because the log's disk takes nothing."""
        return any(self._refused.values())

    @property
    def ending(self) -> bool:
        """Whether its exit record is known, stored or not."""
        return self.ended or self._ending is not None

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
            limit = end + self.window
            if self.tty is not None:
                limit = self.tty.flow.limit(end, limit, trio.current_time())
            if anew or limit - window.limit >= self.window // 4:
                window.limit = limit
                yield Credit(window.number, end, limit)

    def held_back_until(self) -> float | None:
        """When a terminal's slow screens stop holding it back, by trio's clock; None when they do not."""
        if self.tty is None:
            return None
        end = self.log.end(STDOUT)
        return self.tty.flow.holds_back(end, end + self.window, trio.current_time())

    def take(self, frame: Data) -> bool:
        """Take output, which `store` writes; whether any is new. Raises ProtocolError for what no agent may send."""
        stream = frame.stream - self.base
        window = self._windows.get(stream)
        if window is None or self.ended:
            raise ProtocolError(f"output of session {self.row.id} that it cannot have")
        data = window.take(frame.offset, frame.data)
        if data:
            self._come.append((stream, data))
        return bool(data)

    def store(self) -> bool:
        """Write to the log what has come. False when its disk does not take all: the rest stays, within the windows."""
        come, self._come = self._come, []
        before = self.log.stored
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
        if self.log.stored != before or come:
            self.notify()
        return not self.stalled

    def _write(self, pieces: Sequence[tuple[int, bytes | bytearray]]) -> dict[int, int]:
        """How many bytes of each stream the log took; `refusal` says why when that is not all, and no more is tried."""
        counts = dict.fromkeys(self._refused, 0)
        if pieces and self.refusal is None:
            try:
                counts = self.log.extend(pieces)
            except OSError as error:
                self.refusal = error
            else:
                if sum(counts.values()) < _length(pieces):
                    self.refusal = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return counts

    def set_ending(self, record: SessionExit) -> None:
        """The agent's exit record came; output that belongs before it may still be on its way."""
        if not self.ending:
            self._ending = record

    def complete(self) -> SessionExit | None:
        """The exit record with what is true of the output, once all that it speaks of is stored, or will never be."""
        record = self._ending
        if record is None or self.ended or self.stalled:
            return None
        ends = self.log.end(STDOUT), self.log.end(STDERR)
        if self.gone or self._given_up or (ends[0] >= record.stdout and ends[1] >= record.stderr):
            return record.with_lengths(*ends)
        return None

    @property
    def owed(self) -> tuple[int, bool]:
        """Bytes that its exit record speaks of and that have not come; and whether the agent might send them now."""
        record = self._ending
        if record is None or self.ended or self.stalled:
            return 0, False
        owed, may_come = 0, False
        for (stream, window), said in zip(self._windows.items(), (record.stdout, record.stderr), strict=True):
            if (rest := said - window.received) > 0:
                owed += rest
                # of a terminal's stderr there is none, and never any credit
                may_come = may_come or window.limit > window.received or (stream == STDERR and self.row.tty)
        return owed, may_come

    def give_up_rest(self) -> None:
        """What its exit record speaks of will not come any more."""
        self._given_up = True

    def cut_short(self, why: str) -> None:
        """Nothing more will come: it ends with the agent's own record where that had come, else as ``vm-died``."""
        self.gone = True
        ends = {stream: window.received for stream, window in self._windows.items()}
        self.set_ending(
            SessionExit("vm-died", message=why, stdout=ends[STDOUT], stderr=ends[STDERR], source="core")
        )

    def end(self, row: SessionRow, record: SessionExit) -> None:
        """``row`` with ``record`` is stored: wake everybody."""
        self.row, self.record, self._ending = row, record, None
        self.log.close()
        if self.input_holder is not None:
            self.input_holder.lost_input("the session ended")
            self.input_holder = None
        self.notify()

    def started(self, pid: int, at: float) -> bool:
        """The program runs; whether that is news."""
        if self.ended or self.row.pid is not None:
            return False
        self.row = dataclasses.replace(self.row, state="running", pid=pid, started_at=at)
        self.notify()
        return True

    # followers

    def notify(self) -> None:
        """Wake all that wait for something new."""
        self._arrived.unpark_all()

    async def wait_for_news(self) -> None:
        """Return when there is something new: output, a start, an end. Check first, then wait: nothing is lost."""
        await self._arrived.park()

    # input

    def stdin_credit(self, credit: Credit) -> bool:
        """Take the agent's word on stdin; whether anything came of it. The first after a start makes `stdin`."""
        first = self.stdin is None
        if self.stdin is None:
            self.stdin = SendStream(credit.stream, credit.acked)
            self.stdin.credit(credit.acked, credit.limit)
        word = self.stdin.acked, min(self.stdin.limit, self.stdin.acked + STDIN_WINDOW)
        before, self._word = self._word, word
        if word != before:
            self._tell_holder()
        return first or word[0] > before[0] or word[1] - before[1] >= _SOME_ROOM

    def take_stdin(self, offset: int, data: bytes) -> bool:
        """Pass bytes of stdin on; a repeat is dropped. False when none are new. Raises ProtocolError for a gap."""
        stdin = self.stdin
        if stdin is None or stdin.final is not None:
            return False
        if offset > stdin.end or offset + len(data) > self._granted:
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
        before = self.input_holder
        if before is not None and before is not holder:
            before.lost_input(f"{holder.label} took the input over")
            self._stop_answering(before)
        self.input_holder = holder
        self._last_holder.pass_to(holder.client)
        if self.tty is not None and holder.answers is not None:
            self._held_from = self.log.end(STDOUT)
            self.tty.answered = CLIENT_ANSWERS
            if self._screens is not None:
                self._screens.answerer_changed(self.row.id, client=True, offset=self.log.end(STDOUT))
        self._holder_told = False
        self._tell_holder()
        self.notify()

    def release_input(self, holder: InputHolder) -> None:
        """``holder`` is gone. Without effect when it did not have the input any more."""
        if self.input_holder is holder:
            self.input_holder = None
            self._stop_answering(holder)
            self.notify()

    def _stop_answering(self, holder: InputHolder) -> None:
        if self.tty is None:
            return
        self.tty.flow.gone("holder")
        if (reached := holder.answers) is not None:
            self.unanswered_from(max(reached, self._held_from))
        elif self._screens is not None:
            self._screens.advanced(self.row.id)  # answers may wait for it to go

    def unanswered_from(self, offset: int) -> None:
        """Nobody's terminal answers what the program asks from ``offset`` on: the screen worker does."""
        if self.tty is not None and not self.ended:
            self.tty.answered = offset
            if self._screens is not None:
                self._screens.answerer_changed(self.row.id, client=False, offset=offset)

    def answer(self, offset: int, data: bytes) -> bool:
        """Type what a terminal answers to what was written before ``offset``. False when nobody may, or could."""
        stdin, tty = self.stdin, self.tty
        if tty is None or stdin is None or stdin.final is not None or self.input_holder is not None:
            return False
        if tty.answered >= offset or stdin.retained + len(data) > _MOST_ANSWERS:
            return False
        tty.answered = offset
        self._last_holder.pass_to("")  # whoever held it cannot go on where it was
        stdin.write(data)
        return True

    def resize(self, rows: int, columns: int) -> None:
        """The window has another size for all that is written from now on."""
        if self.tty is None or self.ended:
            return
        size = self.tty.resize(self.log.end(STDOUT), rows, columns)
        if size is not None and self._screens is not None:
            self._screens.resized(self.row.id, size)

    def _tell_holder(self) -> None:
        """Pass the agent's word on. A new holder begins where the agent has all that earlier ones sent."""
        stdin, holder = self.stdin, self.input_holder
        if stdin is None or holder is None or not (self._holder_told or stdin.acked == stdin.end):
            return
        self._holder_told = True
        # a new link takes credit back from us, but what a client was given it keeps
        self._granted = max(self._granted, min(stdin.limit, stdin.acked + STDIN_WINDOW))
        holder.credit(Credit(STDIN, stdin.acked, self._granted))


def _length(pieces: Sequence[tuple[int, bytes | bytearray]]) -> int:
    return sum(len(data) for _, data in pieces)
