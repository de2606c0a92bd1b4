"""A session's input: who holds it, bytes on their way to the agent, and what a terminal answers its program."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from sandtop.agent.wire import Credit, ProtocolError, SendStream
from sandtop.core.sessions.last_holder import LastHolder
from sandtop.core.sessions.output import STDOUT
from sandtop.core.sessions.tty import CLIENT_ANSWERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandtop.core.sessions.log import SessionLog
    from sandtop.core.sessions.tty import TerminalObserver, Tty
    from sandtop.core.store import SessionRow

STDIN: Final = 0
STDIN_WINDOW: Final = 1 << 20
"""Bytes of stdin that a client may be ahead of the agent, whatever the agent grants."""
_MOST_ANSWERS: Final = 64 * 1024
"""Bytes of answers that are kept for a program that does not read them."""
_SOME_ROOM: Final = 4096
"""Bytes by which the agent's credit must grow to count as news, when it acknowledges nothing with it."""


class InputHolder(Protocol):
    """A client that holds a session's input. ``label`` names it to people, ``client`` is its own id."""

    label: str
    client: str

    @property
    def answers(self) -> int | None:
        """The client's terminal answers what the program asked before this offset of its output.

        None when the client shows no terminal.
        """
        ...

    def credit(self, credit: Credit) -> None:
        """Tell the client how much of stdin the agent has accepted, and how much more the client may send."""
        ...

    def lost_input(self, reason: str) -> None:
        """Tell the client that it does not hold the input any more."""
        ...


class SessionInput:
    """The input of the session ``row``, whose output is in ``log``. ``notify`` wakes those who follow the session.

    One client at a time, the *holder*, may type. Its bytes go to `stream`, which keeps them until the agent has
    acknowledged them. On a terminal the holder's terminal also answers what the program asks of its terminal (where
    the cursor is, say); while nobody holds the input, the screen worker does (`answer`).

    Attributes:
        stream: stdin on its way to the agent; None until the agent has given its first credit.
        holder: the client that may type; None when nobody does.
    """

    def __init__(
        self,
        row: SessionRow,
        log: SessionLog,
        tty: Tty | None,
        observer: TerminalObserver | None,
        notify: Callable[[], None],
    ) -> None:
        self._key = row.id
        self._log = log
        self._tty = tty
        self._observer = observer
        self._notify = notify
        self._last_holder = LastHolder(log.folder, row.id)
        self._holder_told = False
        self._granted = 0  # the offset up to which clients may send
        self._held_from = 0  # the length of the output when the present holder came
        self._word = (-1, -1)  # what the agent has acknowledged and granted, as the holder was told
        self._ended = row.record is not None
        self.stream: SendStream | None = None
        self.holder: InputHolder | None = None

    @property
    def last_holder(self) -> str:
        """The id of the client that holds the input or, when nobody does, held it last.

        Before anybody did it is the session's id, by which whoever started the session is known.
        """
        return self._last_holder.client

    @property
    def accepted(self) -> int:
        """Bytes of stdin that the agent has accepted."""
        return self.stream.acked if self.stream else 0

    # from the agent

    def take_credit(self, credit: Credit) -> bool:
        """Take the agent's credit for stdin; whether it is news. The first one makes `stream`."""
        first = self.stream is None
        if self.stream is None:
            self.stream = SendStream(credit.stream, credit.acked)
            self.stream.credit(credit.acked, credit.limit)
        word = self.stream.acked, min(self.stream.limit, self.stream.acked + STDIN_WINDOW)
        before, self._word = self._word, word
        if word != before:
            self._tell_holder()
        return first or word[0] > before[0] or word[1] - before[1] >= _SOME_ROOM

    # from the holder

    def write(self, offset: int, data: bytes) -> bool:
        """Pass bytes of stdin on; a repeat is dropped. False when none are new.

        Raises ProtocolError for bytes behind a gap, and for more than the client has credit for.
        """
        stream = self.stream
        if stream is None or stream.final is not None:
            return False
        if offset > stream.end or offset + len(data) > self._granted:
            raise ProtocolError("stdin beyond what was granted")
        fresh = data[stream.end - offset :]
        if not fresh:
            return False
        stream.write(fresh)
        return True

    def close(self, offset: int) -> bool:
        """The client closed stdin at ``offset``. False when it was closed already or is not known yet."""
        stream = self.stream
        if stream is None or stream.final is not None:
            return False
        if offset != stream.end:
            raise ProtocolError("an end of stdin that is not where its bytes end")
        stream.close()
        return True

    # who holds it

    def hold(self, holder: InputHolder) -> None:
        """Give the input to ``holder``; whoever had it before is told."""
        before = self.holder
        if before is not None and before is not holder:
            before.lost_input(f"{holder.label} took the input over")
            self._stop_answering(before)
        self.holder = holder
        self._last_holder.pass_to(holder.client)
        if self._tty is not None and holder.answers is not None:
            self._held_from = self._log.end(STDOUT)
            self._tty.answered = CLIENT_ANSWERS
            if self._observer is not None:
                self._observer.answerer_changed(self._key, client=True, offset=self._held_from)
        self._holder_told = False
        self._tell_holder()
        self._notify()

    def release(self, holder: InputHolder) -> None:
        """``holder`` is gone. Without effect when it did not hold the input any more."""
        if self.holder is holder:
            self.holder = None
            self._stop_answering(holder)
            self._notify()

    def end(self) -> None:
        """The session ended."""
        self._ended = True
        if self.holder is not None:
            self.holder.lost_input("the session ended")
            self.holder = None

    def _tell_holder(self) -> None:
        """Pass the agent's credit on. A new holder gets none until the agent has all that earlier holders sent."""
        stream, holder = self.stream, self.holder
        if stream is None or holder is None or not (self._holder_told or stream.acked == stream.end):
            return
        self._holder_told = True
        # an agent on a new link begins with less credit than it gave before; a client keeps what it was given
        self._granted = max(self._granted, min(stream.limit, stream.acked + STDIN_WINDOW))
        holder.credit(Credit(STDIN, stream.acked, self._granted))

    # what a terminal answers its program

    def _stop_answering(self, holder: InputHolder) -> None:
        if self._tty is None:
            return
        self._tty.flow.gone("holder")
        if (reached := holder.answers) is not None:
            self.unanswered_from(max(reached, self._held_from))
        elif self._observer is not None:
            self._observer.advanced(self._key)  # the worker's answers may have waited for this holder to go

    def unanswered_from(self, offset: int) -> None:
        """No client answers what the program asks from ``offset`` on: the screen worker does from there."""
        if self._tty is not None and not self._ended:
            self._tty.answered = offset
            if self._observer is not None:
                self._observer.answerer_changed(self._key, client=False, offset=offset)

    def answer(self, offset: int, data: bytes) -> bool:
        """Type the screen worker's answer to what the program asked before ``offset``. False when it must not be typed.

        So it is when a client holds the input, when that was answered already, when stdin is closed, and when the
        program has not read the answers before.
        """
        stream, tty = self.stream, self._tty
        if tty is None or stream is None or stream.final is not None or self.holder is not None:
            return False
        if tty.answered >= offset or stream.retained + len(data) > _MOST_ANSWERS:
            return False
        tty.answered = offset
        # the answer moves stdin's offsets, so a client that held the input must not resume with its own
        self._last_holder.pass_to("")
        stream.write(data)
        return True
