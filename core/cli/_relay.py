"""A session on this process's own stdin, stdout and stderr: what ``exec``, ``shell``, ``run`` and ``logs`` share."""

from __future__ import annotations

import os
import select
import time

from sandtop.agent.protocol import Control, Data
from sandtop.core.cli import Interrupted, say
from sandtop.core.client.blocking import call, open_link, progress_line, stop_core
from sandtop.core.client.exchange import HELLO_SECONDS
from sandtop.core.client.following import STDERR, STDOUT
from sandtop.core.client.link import Link, LinkLost, new_id
from sandtop.core.client.recovery import Recovery
from sandtop.core.errors import CoreOutdated, CoreUnavailable, NotFound, SandtopError, WrongState

from ._sinks import Sink

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
    from typing import Final, Protocol

    from sandtop.agent.protocol import Frame
    from sandtop.core.client.following import Following

    from ._signals import Signals

    class Transform(Protocol):
        """Changes what is written."""

        def control(self, frame: Control) -> None: ...
        def data(self, frame: Data) -> bytes: ...
else:
    import _signal as signal  # see _signals


_PIPE_GRACE: Final = 2.0
"""Seconds that a program whose reader is gone has to end by SIGPIPE before it is killed."""
_TERM_GRACE: Final = 10.0
_STDIN: Final = 0


class Relay:
    """Carries one `Following`, over as many connections as it takes, until its end.

    ``signals`` are passed on to the session; without them this is a mere reader. ``raw`` leaves control sequences in
    what a terminal shows. ``owned`` says that the session is nobody else's: it is killed when it outlives SIGTERM for
    ten seconds. ``transform`` changes what is written; ``connected`` is called on every connection.
    ``link`` is the first, when the caller has opened it.
    """

    pending_bytes = 1 << 20
    """Output that waits for a slow reader of ours; beyond it the core waits."""

    def __init__(
        self,
        following: Following,
        sandbox: str,
        signals: Signals | None,
        *,
        raw: bool,
        owned: bool = False,
        transform: Transform | None = None,
        connected: Callable[[], None] | None = None,
        link: Link | None = None,
    ) -> None:
        self._following = following
        self._sandbox = sandbox
        self._signals = signals
        self._owned = owned
        self._recovery = Recovery()
        self._sinks = {STDOUT: Sink(1, raw=raw), STDERR: Sink(2, raw=raw)}
        self._link = link
        self._kill_at: float | None = None
        self._pipe_told = False
        self._connected_at = time.monotonic()
        self._transform = transform
        self._connected = connected

    def run(self) -> dict[str, object]:
        """Relay until the session's end; what the core said last. Raises what the core reports."""
        try:
            while (result := self._following.result) is None:
                self._step()
            for sink in self._sinks.values():
                sink.drain()
            return result
        finally:
            self._close()
            for sink in self._sinks.values():
                sink.close()

    def _close(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None

    def _step(self) -> None:
        try:
            if self._link is None:
                self._link = open_link(self._following, self._recovery)
                self._connected_at = time.monotonic()
                if self._connected is not None:
                    self._connected()
            self._exchange(self._link)
        except LinkLost:
            self._close()
            self._pause(self._recovery.broke(time.monotonic()))
        except CoreOutdated:
            self._close()
            self._recovery.outdated()
            stop_core()

    def _pause(self, seconds: float) -> None:
        """Wait before the next attempt to connect."""
        time.sleep(seconds)

    def _exchange(self, link: Link) -> None:
        self._send_all(link)
        ready = self._wait(link)
        for sink in self._sinks.values():
            if ready.get(sink.fd, 0) and sink.pending:
                sink.flush()
        if self._sinks[STDOUT].broken and not self._pipe_told:
            self._reader_gone()
        if ready.get(_STDIN, 0):
            self._read_input()
        if ready.get(link.fileno(), 0):
            before = self._following.progress
            for frame in self._following.feed(link.receive(HELLO_SECONDS)):
                self._take(frame)
            if self._following.progress > before:
                self._recovery.progressed()
        self._act()

    def _send_all(self, link: Link) -> None:
        while (outgoing := self._following.pull()) is not None:
            link.send(outgoing)

    def _watch_input(self, waiter: select.poll) -> None:
        if self._following.room:
            waiter.register(_STDIN, select.POLLIN)

    def _wait(self, link: Link) -> dict[int, int]:
        """Which descriptors are ready. Once the core has said hello there is no limit: programs may be silent."""
        waiter = select.poll()
        if sum(sink.pending for sink in self._sinks.values()) < self.pending_bytes:
            waiter.register(link.fileno(), select.POLLIN)
        self._watch_input(waiter)
        if self._signals is not None:
            waiter.register(self._signals.fd, select.POLLIN)
        for sink in self._sinks.values():
            if sink.pending:
                waiter.register(sink.fd, select.POLLOUT)
        limit = None
        if not self._following.greeted:
            limit = self._connected_at + HELLO_SECONDS - time.monotonic()
            if limit <= 0:
                raise CoreUnavailable(
                    f"the core has not answered for {HELLO_SECONDS:.0f} s", hint="see its log"
                )
        if self._kill_at is not None:
            limit = min(limit or _TERM_GRACE, max(0.0, self._kill_at - time.monotonic()))
        return dict(waiter.poll(None if limit is None else limit * 1000))

    def _read_input(self) -> None:
        try:
            data = os.read(_STDIN, min(65536, self._following.room))
        except BlockingIOError:
            return  # whoever shares this description made it non-blocking
        except OSError as error:
            say(f"stdin cannot be read: {error.strerror or error}")
            data = b""
        if data:
            self._following.write(data)
        else:
            self._following.close_input()

    def _take(self, frame: Frame) -> None:
        if isinstance(frame, Data):
            self._sinks[frame.stream].feed(
                frame.data if self._transform is None else self._transform.data(frame)
            )
        elif isinstance(frame, Control):
            if frame.message["type"] == "gap":
                say(f"{frame.message['bytes']} bytes of output are missing: the log's limit was reached")
            elif (line := progress_line(frame)) is not None:
                say(line)
            elif self._transform is not None:
                self._transform.control(frame)

    def _act(self) -> None:
        """Pass collected signals on, or end by them when nothing runs yet, and keep what was promised."""
        if self._following.result is not None:
            return
        taken = self._signals.take() if self._signals is not None else []
        if self._following.session is None:
            if taken:
                raise Interrupted(taken[0])
            return
        for number in taken:
            # as a terminal does for the keys, and docker for all others
            keys = number in (signal.SIGINT, signal.SIGQUIT)
            self._send_signal(number, "group" if keys else "leader")
            if self._owned and number in (signal.SIGTERM, signal.SIGHUP):
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
            say(f"the signal could not be passed on: {error}")
