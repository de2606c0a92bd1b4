"""Joins a session to this process's stdin, stdout and stderr: what ``exec``, ``shell``, ``run`` and ``logs`` share."""

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
    from typing import Final, Literal, Protocol

    from sandtop.agent.wire import Frame
    from sandtop.core.client.link import Link
    from sandtop.core.client.session import Following, Leftovers

    from ._signals import Signals
    from ._sinks import Filter

    class Transform(Protocol):
        """Changes output before it is written."""

        def control(self, frame: Control) -> None: ...
        def data(self, frame: Data) -> bytes: ...
else:
    import _signal as signal  # see _signals


_PIPE_GRACE: Final = 2.0
"""Seconds between SIGPIPE, sent to a program whose output nobody reads any more, and SIGKILL."""
_TERM_GRACE: Final = 10.0
"""Seconds between SIGTERM, passed on to a session of ours alone, and SIGKILL."""
_STALL_GRACE: Final = 1.0
"""After SIGTERM or SIGHUP, a reader that takes nothing for so many seconds is not waited for."""
_STDIN: Final = 0


def screen_for(tty: bool) -> Leftovers | None:
    """The filter for a session with a terminal of its own (``tty``) whose output goes to ours; else None.

    It takes out what our terminal would answer to. Nobody reads the answers here, so they would be typed into the shell
    that runs this command.
    """
    if not tty or not os.isatty(1):
        return None
    from sandtop.core.client.session import Leftovers, allowed_here

    return Leftovers(allowed_here(), term=os.environ.get("TERM", ""), mute=True)


class Relay(Conversation):
    """Follows one session to its end, on this process's standard files.

    Arguments:
        following: the session, as the protocol without I/O.
        sandbox: its sandbox's name.
        signals: passed on to the session; None for a reader, which has nothing to do with its signals.
        screen: filters the session's terminal for ours. Without it a terminal is shown no control sequences.
        returns: whether a terminal is then shown carriage returns within lines.
        owned: the session is of no use to anybody else: it is killed ten seconds after SIGTERM.
        transform: changes output before it is written.
        connected: called after each connection.
        link: the first connection, if the caller has opened it.

    No write waits, so signals are noticed whatever state the terminal is in. After SIGTERM or SIGHUP a terminal that
    takes nothing for a second is not waited for.
    """

    pending_bytes = 1 << 20
    """Bytes that may wait for a slow reader of our output; while more wait, nothing is read from the core."""

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
        """The filter for ``stream``, if it goes to a terminal; else None."""
        if self._screen is not None and stream == STDOUT:
            return self._screen
        if not os.isatty(stream):
            return None
        from ._text import Neutraliser

        return Neutraliser(returns=self._returns)

    def relay(self) -> dict[str, object]:
        """Relay until the session ends; returns the core's last message. Raises the errors that the core reports."""
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
        """Put the terminal back into its usual state, if a program's sequences were shown on it."""
        if self._screen is not None and self._sinks[STDOUT].terminal:
            try:
                columns = os.get_terminal_size(STDOUT).columns
            except OSError:
                return  # the terminal is gone
            self._sinks[STDOUT].last(self._screen.undo(columns))

    @property
    def _pending(self) -> int:
        """Bytes that are not yet written."""
        return sum(sink.pending for sink in self._sinks.values())

    def _drain(self) -> None:
        """After the session's end: go on writing what is left; a signal ends the wait for readers that take nothing."""
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
        """From now on drop what waits for a reader that takes nothing."""
        if self._look_at is None:
            self._look_at = time.monotonic() + _STALL_GRACE
            for sink in self._sinks.values():
                sink.stalled()

    def _drop_stalled(self) -> None:
        """After `_hurry`, once a second: drop what waits for readers that took nothing; at the end, for all."""
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
        """As `Conversation.wait`; meanwhile read stdin, write to stdout and stderr, and take signals."""
        ready = self._poll(link)
        self._flush(ready)
        if self._sinks[STDOUT].broken and not self._pipe_told:
            self._reader_gone()
        if ready.get(_STDIN, 0):
            self._read_input()
        return bool(ready.get(link.fileno(), 0))

    def _poll(self, link: Link) -> dict[int, int]:
        """Wait for descriptors to be ready, and return which are.

        The core's first message has a deadline. After it there is none, since a program may be silent for ever.
        """
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
            return  # another process that shares the open file has made it non-blocking
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
        """As `say`, but behind what already waits for stderr."""
        from ._text import visible

        self._sinks[STDERR].feed(f"sandtop: {visible(line)}\n".encode("utf-8", "backslashreplace"))

    def _act(self) -> None:
        """Pass collected signals on, or end by them when the session has not begun; kill it when its time is up."""
        self._drop_stalled()
        if self._following.result is not None:
            return
        taken = self._signals.take() if self._signals is not None else []
        if self._following.session is None:
            if taken:
                raise Interrupted(taken[0])
            return
        for number in taken:
            # a key's signal goes to the foreground group, as a terminal sends it; others to the leader, as docker does
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
        """The reader of our stdout is gone: send SIGPIPE, which a local program would get.

        A program that ignores it is killed, since it would write into its log for ever.
        """
        self._pipe_told = True
        if self._signals is None:  # a reader has nothing more to do
            raise BrokenPipeError
        self._send_signal(signal.SIGPIPE, "group")
        self._kill_at = time.monotonic() + _PIPE_GRACE

    def _send_signal(self, number: int, scope: Literal["leader", "group", "all"]) -> None:
        from sandtop.core.contract.session import SessionSignal

        request = SessionSignal(
            sandbox=self._sandbox,
            session=self._following.session,
            signal=int(number),
            scope=scope,
            op_id=new_id(),
            label=f"sandtop exec (pid {os.getpid()})",
        )
        try:
            call(request)
        except (NotFound, WrongState):
            pass  # it has just ended
        except SandtopError as error:
            self._narrate(f"the signal could not be passed on: {error}")
