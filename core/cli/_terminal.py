"""Joins a session to this process's own terminal: what ``attach`` and ``exec -t -i`` share."""

from __future__ import annotations

import os
import select
import signal
import time

from sandtop.agent.wire import Control, Data
from sandtop.core.cli import Interrupted
from sandtop.core.client.session import INPUT, STDOUT, Past, screen_of

from ._relay import Relay
from ._text import visible

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from typing import Final

    from sandtop.agent.wire import Frame
    from sandtop.core.client.link import Link
    from sandtop.core.client.session import DetachKeys, Following, OwnTerminal

    from ._signals import Signals
    from ._sinks import Filter

_TYPED_BYTES: Final = 64 * 1024
"""Bytes of keys and pastes that are kept while the program does not read, or the core is away."""


class Detached(Exception):
    """The operator has typed the detach keys."""


class TerminalRelay(Relay):
    """A `Relay` on ``terminal``, which is in raw mode: every key goes to the program, and so does the window's size.

    Typing ``keys`` raises `Detached`, and a signal raises `Interrupted`. Both work also while the core is away. Without
    ``keys`` there is no detaching, and signals are passed on.
    """

    pending_bytes = 64 * 1024

    def __init__(
        self,
        following: Following,
        sandbox: str,
        signals: Signals,
        terminal: OwnTerminal,
        keys: DetachKeys | None,
    ) -> None:
        super().__init__(following, sandbox, signals)
        self._leaving = signals
        self._terminal = terminal
        self._keys = keys
        self._typed = bytearray()
        self._past = Past(following, terminal.size)
        self._title = ""
        self._watches = not following.input_open
        if not self._watches:
            following.resize(*terminal.size())

    # input

    def _watch_input(self, waiter: select.poll) -> None:
        if len(self._typed) < _TYPED_BYTES:
            waiter.register(INPUT, select.POLLIN)
        waiter.register(self._terminal.fd, select.POLLIN)

    def connect(self) -> bool:
        if self._keys is None:
            return super().connect()
        with self._leaving.breaking():
            return super().connect()

    def send(self, link: Link) -> None:
        self._follow_size()
        self._tell_drawn()
        if room := min(self._following.room, len(self._typed)):
            self._following.write(bytes(self._typed[:room]))
            del self._typed[:room]
        if self._keys is None:
            super().send(link)
            return
        with self._leaving.breaking():  # a core that is stopped (SIGSTOP) reads nothing, and sending waits
            super().send(link)

    def pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            waiter = select.poll()
            self._watch_input(waiter)
            waiter.register(self._leaving.fd, select.POLLIN)
            if dict(waiter.poll(left * 1000)).get(INPUT, 0):
                self._read_input()
            self._follow_size()
            self._act()

    def _act(self) -> None:
        if self._keys is not None and (taken := self._leaving.take()):
            raise Interrupted(taken[0])
        super()._act()

    def _tell_drawn(self) -> None:
        """Tell the core how much our terminal has shown: the program is let go on no faster."""
        if self._following.offsets[STDOUT] is None or not self._past.over:
            return
        # what still waits is the end of the output; messages of ours among it make it seem a little longer
        self._following.drawn(max(0, (self._following.offsets[STDOUT] or 0) - self._sinks[STDOUT].pending))

    def _follow_size(self) -> None:
        if self._terminal.changed() and self._following.input_open:
            self._following.resize(*self._terminal.size())

    def _read_input(self) -> None:
        try:
            data = os.read(INPUT, min(4096, _TYPED_BYTES - len(self._typed)))
        except BlockingIOError:
            return  # whoever shares this description made it non-blocking
        except OSError:
            data = b""
        if not data:  # in raw mode there is no end of file but the terminal's own end
            raise Interrupted(signal.SIGHUP)
        data, leave = (data, False) if self._keys is None else self._keys.feed(data)
        if self._following.input_open:
            self._typed += data
        if leave:
            self._leave()

    def _leave(self) -> None:
        """Send what was typed before the detach keys, then detach."""
        if self.link is not None:
            self.send(self.link)
        raise Detached

    # output

    def _filter(self, stream: int) -> Filter | None:
        return None if stream == STDOUT else super()._filter(stream)  # `_put` filters stdout

    def take(self, frame: Frame) -> None:
        if isinstance(frame, Data) and frame.stream == STDOUT:
            self._put(self._past.show(frame.offset, frame.data))
        elif isinstance(frame, Control) and frame.message["type"] == "screen":
            self._put(self._past.screen(bytes(self._following.screen), *screen_of(frame)))
        elif isinstance(frame, Control) and frame.message["type"] == "lost-input":
            self._typed.clear()
            self._watches = True
            self._say(f"{frame.message.get('reason')}; you are watching now")
        elif isinstance(frame, Control) and frame.message["type"] == "holder":
            if self._watches:
                self._title = f"watching: {self._following.holder or 'nobody'} holds the input"
                self._entitle()
        else:
            super().take(frame)

    def _entitle(self) -> None:
        """Show who holds the input, in the window's title: the whole screen of a watcher is the program's."""
        if self._title and self._past.over and not self._terminal.midway:
            self._sinks[STDOUT].feed(self._terminal.entitle(visible(self._title)))
            self._title = ""

    def _say(self, line: str) -> None:
        way_out = f" ({self._keys.text} leaves)" if self._keys is not None else ""
        self._put(f"\r\nsandtop: {visible(line)}{way_out}\r\n".encode())

    def _narrate(self, line: str) -> None:
        self._say(line)

    def _put(self, data: bytes) -> None:
        self._sinks[STDOUT].feed(self._terminal.passed(data))
        self._entitle()
