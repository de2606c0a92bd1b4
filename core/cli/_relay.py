"""A session on this process's own stdin, stdout and stderr: what ``exec``, ``shell``, ``run`` and ``logs`` share."""

from __future__ import annotations

import os
import select
import time

from sandtop.agent.wire import Control, Data
from sandtop.core.cli import Interrupted
from sandtop.core.client.link import Conversation, call, new_id, progress_line
from sandtop.core.client.session import STDERR, STDOUT
from sandtop.core.errors import NotFound, SandtopError, WrongState

from ._signals import ENDING
from ._sinks import Sink

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
    from typing import Final, Protocol

    from sandtop.agent.wire import Frame
    from sandtop.core.client.link import Link
    from sandtop.core.client.session import Following, Leftovers

    from ._signals import Signals
    from ._sinks import Filter

    class Transform(Protocol):
        """Changes what is written."""

        def control(self, frame: Control) -> None: ...
        def data(self, frame: Data) -> bytes: ...
else:
    import _signal as signal  # see _signals


_PIPE_GRACE: Final = 2.0
"""Seconds that a program whose reader is gone has to end by SIGPIPE before it is killed."""
_TERM_GRACE: Final = 10.0
_STALL_GRACE: Final = 1.0
"""Seconds that a reader has after SIGTERM or SIGHUP to take what waits for it."""
_STDIN: Final = 0


def screen_for(tty: bool) -> Leftovers | None:
    """What shows the output of a session with a terminal of its own, ``tty``, on one of ours; None where neither is.

    Nobody passes our terminal's answers on: they would be typed into the shell that runs this.
    """
    if not tty or not os.isatty(1):
        return None
    from sandtop.core.client.session import Leftovers, allowed_here

    return Leftovers(allowed_here(), term=os.environ.get("TERM", ""), mute=True)


class Relay(Conversation):
    """Carries one `Following` to its end, on this process's standard files.

    ``signals`` are passed on to the session; without them this is a mere reader. ``screen`` is what the session's own
    terminal shows on this one; of all else a terminal is shown no control sequences, and of carriage returns what
    ``returns`` says. ``owned`` says that the session is nobody else's: it is killed when it outlives SIGTERM for ten
    seconds. ``transform`` changes what is written; ``connected`` is called on every connection. ``link`` is the first,
    when the caller has opened it.

    No write waits, so that signals are noticed whatever state the terminal is in: one that takes nothing for a second
    after SIGTERM or SIGHUP goes without.
    """

    pending_bytes = 1 << 20
    """Output that waits for a slow reader of ours; beyond it the core waits."""

    def __init__(
        self,
        following: Following,
        sandbox: str,
        signals: Signals | None,
        *,
        screen: Leftovers | None = None,
        returns: bool = True,
        owned: bool = False,
        transform: Transform | None = None,
        connected: Callable[[], None] | None = None,
        link: Link | None = None,
    ) -> None:
        super().__init__(following, link=link)
        self._following = following
        self._sandbox = sandbox
        self._signals = signals
        self._owned = owned
        self._screen = screen
        self._returns = returns
        self._sinks = {STDOUT: Sink(1, self._filter(STDOUT)), STDERR: Sink(2, self._filter(STDERR))}
        self._look_at: float | None = None
        self._kill_at: float | None = None
        self._pipe_told = False
        self._connected_at = time.monotonic()
        self._transform = transform
        self._connected = connected

    def _filter(self, stream: int) -> Filter | None:
        """What changes ``stream`` for a terminal; None when that is none."""
        if self._screen is not None and stream == STDOUT:
            return self._screen
        if not os.isatty(stream):
            return None
        from ._text import Neutraliser

        return Neutraliser(returns=self._returns)

    def relay(self) -> dict[str, object]:
        """Relay until the session's end; what the core said last. Raises what the core reports."""
        try:
            while (result := self._following.result) is None:
                self.advance()
            for sink in self._sinks.values():
                sink.feed(b"", final=True)
            while self._pending:
                self._drain()
            return result
        finally:
            self.close()
            self._leave_screen()
            for sink in self._sinks.values():
                sink.close()

    def _leave_screen(self) -> None:
        """Make the terminal as usual again that showed a program's sequences."""
        if self._screen is not None and self._sinks[STDOUT].terminal:
            try:
                columns = os.get_terminal_size(STDOUT).columns
            except OSError:
                return  # it is gone
            self._sinks[STDOUT].last(self._screen.undo(columns))

    @property
    def _pending(self) -> int:
        """Bytes that were not written yet."""
        return sum(sink.pending for sink in self._sinks.values())

    def _drain(self) -> None:
        """Write on what is left after the session's end, until a signal says that there was enough of waiting."""
        waiter = select.poll()
        for sink in self._sinks.values():
            if sink.pending:
                waiter.register(sink.fd, select.POLLOUT)
        if self._signals is not None:
            waiter.register(self._signals.fd, select.POLLIN)
        ready = dict(waiter.poll(self._until(self._look_at)))
        self._flush(ready)
        if self._signals is not None and self._signals.take():
            self._hurry()
        self._drop_stalled()

    def _flush(self, ready: dict[int, int]) -> None:
        for sink in self._sinks.values():
            if sink.pending and ready.get(sink.fd, 0):
                sink.flush()

    def _hurry(self) -> None:
        """From now on nobody is waited for who takes nothing."""
        if self._look_at is None:
            self._look_at = time.monotonic() + _STALL_GRACE
            for sink in self._sinks.values():
                sink.stalled()

    def _drop_stalled(self) -> None:
        """Drop what waits for a reader that has taken nothing since the last look; after the session's end, for any."""
        if self._look_at is None or time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + _STALL_GRACE
        for sink in self._sinks.values():
            if sink.pending and (sink.stalled() or self._following.result is not None):
                sink.drop()

    @staticmethod
    def _until(*moments: float | None) -> float | None:
        """Milliseconds until the first of ``moments``."""
        left = [max(0.0, moment - time.monotonic()) for moment in moments if moment is not None]
        return min(left) * 1000 if left else None

    def connect(self) -> bool:
        if not super().connect():
            return False
        self._connected_at = time.monotonic()
        if self._connected is not None:
            self._connected()
        return True

    def advance(self) -> None:
        super().advance()
        if self.link is not None:
            self._act()

    def _watch_input(self, waiter: select.poll) -> None:
        if self._following.room:
            waiter.register(_STDIN, select.POLLIN)

    def wait(self, link: Link) -> bool:
        """As `Conversation.wait`; and see to stdin, to what waits for stdout and stderr, and to signals."""
        ready = self._poll(link)
        self._flush(ready)
        if self._sinks[STDOUT].broken and not self._pipe_told:
            self._reader_gone()
        if ready.get(_STDIN, 0):
            self._read_input()
        return bool(ready.get(link.fileno(), 0))

    def _poll(self, link: Link) -> dict[int, int]:
        """Which descriptors are ready. Once the core has said hello there is no limit: programs may be silent."""
        waiter = select.poll()
        if self._pending < self.pending_bytes:
            waiter.register(link.fileno(), select.POLLIN)
        self._watch_input(waiter)
        if self._signals is not None:
            waiter.register(self._signals.fd, select.POLLIN)
        for sink in self._sinks.values():
            if sink.pending:
                waiter.register(sink.fd, select.POLLOUT)
        patience = self._following.patience
        silent = None if patience is None else self._connected_at + patience
        if patience is not None and silent is not None and time.monotonic() >= silent:
            raise self._following.silence(patience)
        return dict(waiter.poll(self._until(silent, self._kill_at, self._look_at if self._pending else None)))

    def _read_input(self) -> None:
        try:
            data = os.read(_STDIN, min(65536, self._following.room))
        except BlockingIOError:
            return  # whoever shares this description made it non-blocking
        except OSError as error:
            self._narrate(f"stdin cannot be read: {error.strerror or error}")
            data = b""
        if data:
            self._following.write(data)
        else:
            self._following.close_input()

    def take(self, frame: Frame) -> None:
        if isinstance(frame, Data):
            self._sinks[frame.stream].feed(
                frame.data if self._transform is None else self._transform.data(frame)
            )
        elif isinstance(frame, Control):
            if frame.message["type"] == "gap":
                self._narrate(
                    f"{frame.message['bytes']} bytes of output are missing: the log's limit was reached"
                )
            elif (line := progress_line(frame)) is not None:
                self._narrate(line)
            elif self._transform is not None:
                self._transform.control(frame)

    def _narrate(self, line: str) -> None:
        """`say`, behind what waits already for a slow reader."""
        from ._text import visible

        self._sinks[STDERR].feed(f"sandtop: {visible(line)}\n".encode("utf-8", "backslashreplace"))

    def _act(self) -> None:
        """Pass collected signals on, or end by them when nothing runs yet, and keep what was promised."""
        self._drop_stalled()
        if self._following.result is not None:
            return
        taken = self._signals.take() if self._signals is not None else []
        if self._following.session is None:
            if taken:
                raise Interrupted(taken[0])
            return
        for number in taken:
            # as a terminal does for the keys, and docker for all others
            keys = number not in ENDING
            self._send_signal(number, "group" if keys else "leader")
            if not keys:
                self._hurry()
            if self._owned and not keys:
                self._kill_at = time.monotonic() + _TERM_GRACE
        if self._kill_at is not None and time.monotonic() >= self._kill_at:
            self._kill_at = None
            self._send_signal(signal.SIGKILL, "all")

    def _reader_gone(self) -> None:
        """What a local program would meet: SIGPIPE. One that ignores it would write into the log for ever."""
        self._pipe_told = True
        if self._signals is None:  # a mere reader has nothing more to do
            raise BrokenPipeError
        self._send_signal(signal.SIGPIPE, "group")
        self._kill_at = time.monotonic() + _PIPE_GRACE

    def _send_signal(self, number: int, scope: str) -> None:
        fields = {
            "sandbox": self._sandbox,
            "session": self._following.session,
            "op_id": new_id(),
            "signal": int(number),
            "scope": scope,
        }
        try:
            call("session.signal", fields)
        except (NotFound, WrongState):
            pass  # it has just ended
        except SandtopError as error:
            self._narrate(f"the signal could not be passed on: {error}")
