"""The virtio-serial port: bytes to frames and back, and beginning anew when a core comes or comes back.

A port's host side is one process at a time and may be none: read(2) then returns nothing, write(2) EAGAIN, and poll(2)
POLLHUP for as long as that lasts. So it is watched edge-triggered: the driver wakes the port's queue whenever the host
opens or closes it, sends, or takes what was sent (virtio_console.c).
"""

from __future__ import annotations

import os
import select

from .loop import EDGE, HANGUP, READ, WRITE
from .wire import AgentHandshake, Decoder, ProtocolError, answer

TYPE_CHECKING = False  # see wire/frames.py
if TYPE_CHECKING:
    from typing import Final, Protocol

    from .device import Device
    from .loop import Loop, Timer
    from .wire import Frame, Outbox

    class Peer(Protocol):
        """Who is told what the port brings."""

        def link_began(self) -> None:
            """A core found this agent: forget the link before."""

        def link_ended(self, reason: str) -> None:
            """The core is gone, or broke the protocol (then ``reason`` says how)."""

        def frame(self, frame: Frame) -> None:
            """A frame of the link. Raises ProtocolError for one that ends it."""


_CHUNK: Final = 64 * 1024
_READS_A_TURN: Final = 16
_WRITES_A_TURN: Final = 8
"""Of 32 KiB, which is what virtio_console takes at a time: as many as one read of a flooding program takes to send."""
_COMPANY: Final = 0.005
"""Seconds for which what was postponed waits for company, such as the news of a start for the first output or the end:
each message on its own costs a small program's run a twentieth more."""
_LOOK_AGAIN: Final = 2.0
"""Seconds between looks at a port without a link, lest a wake-up was missed …"""
_LOOK_LINKED: Final = 5.0
"""… and with one: none may stand still for ever."""
_STUCK: Final = 1.0
"""Seconds for the answer to a marker to be taken, which is the first thing that a host has room for.

The port's device may forget the buffer that it was busy with when the host's side is closed, and its driver in this
kernel waits for that for ever. Once it was each of the queue's 128, the port takes nothing until that driver begins
anew.
"""
_REOPEN: Final = 0.05
"""Seconds between attempts to open the port that comes back then."""


def wait_for_host(fd: int) -> None:
    """Return when somebody on the host has opened the other end of the port ``fd``."""
    with select.epoll() as poll:
        poll.register(fd, READ | EDGE)
        while all(events & HANGUP for _, events in poll.poll(_LOOK_AGAIN)):
            # what is there already is reported once more, lest a wake-up was missed
            poll.modify(fd, READ | EDGE)


class Port:
    """Speaks on ``fd``, a nonblocking descriptor of ``device``, for ``outbox`` and with ``peer``."""

    def __init__(self, loop: Loop, fd: int, outbox: Outbox, peer: Peer, device: Device | None = None) -> None:
        self._loop = loop
        self._fd = fd
        self._device = device
        self._outbox = outbox
        self._peer = peer
        self._handshake = AgentHandshake()
        self._decoder = Decoder()
        self._linked = False
        self._open = False  # whether the port was seen open since the link began
        self._pending: bytes | memoryview = b""
        self._blocked = False
        self._hurrying: Timer | None = None
        self._answering: Timer | None = None  # while nothing was sent since a marker came
        loop.watch(fd, READ | EDGE, self._ready)
        loop.soon(self._look)

    def flush(self) -> None:
        """Send what there is to send, as far as the port takes it and for a while."""
        if self._blocked:
            return
        for _ in range(_WRITES_A_TURN):
            if not self._pending:
                self._pending = self._outbox.batch() if self._linked else b""
                if not self._pending:
                    self._wait_for_company()
                    return
            try:
                count = os.write(self._fd, self._pending)
            except BlockingIOError:
                count = 0
            if count == 0:  # the driver's way to say that its queue is full, when it found out late
                self._blocked = True
                self._loop.change(self._fd, READ | WRITE | EDGE)
                return
            if self._answering is not None:
                self._loop.cancel(self._answering)
                self._answering = None
            self._pending = b"" if count == len(self._pending) else memoryview(self._pending)[count:]
        self._loop.soon(self.flush)

    def _wait_for_company(self) -> None:
        if not self._outbox.postponed:
            self._loop.cancel(self._hurrying)
            self._hurrying = None
        elif self._hurrying is None:
            self._hurrying = self._loop.call_in(_COMPANY, self._hurry)

    def _hurry(self) -> None:
        self._hurrying = None
        self._outbox.hurry()

    def _ready(self, events: int) -> None:
        if events & WRITE and self._blocked:
            self._blocked = False
            self._loop.change(self._fd, READ | EDGE)
        self._read()
        self.flush()

    def _read(self) -> None:
        # the driver gives 4 KiB at a time: gathered first, for to look into each costs more than to copy it
        chunks: list[bytes] = []
        gone = drained = False
        try:
            while len(chunks) < _READS_A_TURN and not gone:
                data = os.read(self._fd, _CHUNK)
                gone = not data
                chunks.append(data)
        except BlockingIOError:
            drained = True
        else:
            if not gone:
                self._loop.soon(self._read)
        if chunks:
            self._feed(b"".join(chunks))
        if drained:
            self._open = True
        if gone:
            self._host_gone()

    def _feed(self, data: bytes) -> None:
        nonce, data = self._handshake.feed(data)
        if nonce is not None:
            self._decoder = Decoder()
            self._linked = True
            self._open = False
            self._pending = answer(nonce)
            if self._answering is None:
                self._answering = self._loop.call_in(_STUCK, self._not_answered)
            self._peer.link_began()
        if self._linked:
            try:
                for frame in self._decoder.feed(data):
                    self._peer.frame(frame)
            except ProtocolError as error:
                self.drop(str(error))

    def drop(self, reason: str) -> None:
        """End the link: neither listen nor speak until a core begins another."""
        if self._linked:
            self._linked = False
            self._pending = b""
            self._peer.link_ended(reason)

    def _host_gone(self) -> None:
        if self._open:  # a marker can be here before the driver has heard that the host opened the port
            self.drop("")

    def _look(self) -> None:
        self._loop.call_in(_LOOK_LINKED if self._linked else _LOOK_AGAIN, self._look)
        if self._fd >= 0:
            self._blocked = False  # to be found out anew
            self._read()

    def _not_answered(self) -> None:
        self._answering = None
        if self._blocked and self._device is not None and not _host_is_away(self._fd):
            self._restart(self._device)

    def _restart(self, device: Device) -> None:
        self.drop("the port takes nothing, its driver begins anew")
        self._loop.unwatch(self._fd)
        os.close(self._fd)
        self._fd, self._blocked = -1, True
        try:
            device.restart()
        except OSError as error:
            self._peer.link_ended(f"the driver did not begin anew: {error}")
        self._reopen(device)

    def _reopen(self, device: Device) -> None:
        try:
            self._fd = device.open()
        except OSError:  # not there yet
            self._loop.call_in(_REOPEN, lambda: self._reopen(device))
            return
        self._blocked = False
        self._loop.watch(self._fd, READ | EDGE, self._ready)
        self._read()


def _host_is_away(fd: int) -> bool:
    poll = select.poll()
    poll.register(fd, 0)
    return any(events & select.POLLHUP for _, events in poll.poll(0))
