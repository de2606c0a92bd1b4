"""The virtio-serial port: turns bytes into frames and back, and begins a new link whenever a core connects.

On the host one process at a time has the port open, or none. While none has, read(2) returns nothing, write(2) fails
with EAGAIN, and poll(2) reports POLLHUP all the time. So the port is watched edge-triggered until a host was seen: the
driver wakes those who wait for it whenever the host opens or closes the port, sends, or takes what was sent
(virtio_console.c). While a link stands it is watched level-triggered: then it need not be read until EAGAIN, an
exception that takes an emulated processor as long as a fifth of all else between a key and its echo.
"""

from __future__ import annotations

import os
import select

from .linkend import CHUNK, READS_A_TURN, LinkEnd
from .loop import EDGE, HANGUP, READ, WRITE
from .wire import AgentHandshake

TYPE_CHECKING = False  # see wire/frames.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from .device import Device
    from .linkend import Peer
    from .loop import Loop, Timer
    from .wire import Outbox

_LOOK_AGAIN: Final = 2.0
"""Seconds after which a port without a link is read in any case, because a wake-up can be lost …"""
_LOOK_LINKED: Final = 5.0
"""… and one with a link."""
_STUCK: Final = 1.0
"""Seconds for the host to take the answer to a marker. After that the port is stuck, and its driver is restarted.

When the host's side is closed the port's device (as hypervisors up to 2023 emulate it) loses the buffer that it was
writing, and the driver waits for that buffer for ever. When all 128 buffers of the queue are lost, the port takes
nothing more.
"""
_STUCK_SHARED: Final = 15.0
"""The same once folders of the host are mounted, whose ports are the same device's: its restart ends these mounts, and
a host may only be slow."""
_PIECE: Final = 4096
"""Bytes that the driver hands over with one read, at the most (virtio_console.c: a buffer is a page)."""
_REOPEN: Final = 0.05
"""Seconds between attempts to open the port after its driver was restarted."""


def wait_for_host(fd: int) -> None:
    """Return when a process on the host has opened the other end of the port ``fd``."""
    with select.epoll() as poll:
        poll.register(fd, READ | EDGE)
        while all(events & HANGUP for _, events in poll.poll(_LOOK_AGAIN)):
            # this reports the present state once more, in case a wake-up was lost
            poll.modify(fd, READ | EDGE)


class Port(LinkEnd):
    """The agent's end of the link: sends what is in ``outbox``, and hands what comes to ``peer``.

    ``fd`` is a nonblocking descriptor of ``device``.

    Attributes:
        link_begins: called when a link begins here, before the peer is told: another that stands elsewhere is over.
    """

    def __init__(self, loop: Loop, fd: int, outbox: Outbox, peer: Peer, device: Device | None = None) -> None:
        super().__init__(loop, fd, outbox, peer, READ)
        self._device = device
        self._handshake = AgentHandshake()
        self._stuck_after = _STUCK
        self._open = False  # whether the host was seen to have the port open since the link began
        self._watched = READ | EDGE
        self._answering: Timer | None = None  # runs from a marker's arrival until something was sent
        self.link_begins: Callable[[], None] = _nothing
        loop.watch(fd, READ | EDGE, self._ready)
        loop.soon(self._look)

    def be_patient(self) -> None:
        """From now on others use the same device, and would suffer from its restart."""
        self._stuck_after = _STUCK_SHARED

    @property
    def token(self) -> bytes | None:
        """The machine's secret, once a core has begun a link here."""
        return self._handshake.token

    def _write(self, data: bytes | memoryview) -> int:
        try:
            count = os.write(self._fd, data)
        except BlockingIOError:
            return 0
        if count and self._answering is not None:
            self._loop.cancel(self._answering)
            self._answering = None
        return count  # 0 means, in some cases, that the driver's queue is full

    def _ready(self, events: int) -> None:
        if events & WRITE:
            self._unblock()
        self._read()
        self.flush()

    def _read(self) -> None:
        # to decode each piece alone costs more than to copy them together
        chunks: list[bytes] = []
        data = b""
        drained = False
        try:
            while len(chunks) < READS_A_TURN:
                data = os.read(self._fd, CHUNK)
                chunks.append(data)
                if not data or (len(data) < _PIECE and not self._watched & EDGE):
                    break  # what there is besides is reported again
            else:
                self._loop.soon(self._read_on)
        except BlockingIOError:
            drained = True
        if chunks:
            self._feed(chunks[0] if len(chunks) == 1 else b"".join(chunks))
        if drained:
            self._host_seen()
        elif not data:
            self._host_gone()

    def _read_on(self) -> None:
        if self._fd >= 0:  # its driver may have begun anew meanwhile
            self._read()

    def _feed(self, data: bytes) -> None:
        nonce, data = self._handshake.feed(data)
        if nonce is not None:
            self.link_begins()
            self._open = False
            self._watch()
            if self._answering is None:
                self._answering = self._loop.call_in(self._stuck_after, self._not_answered)
            self._begin(nonce)
        self._take(data)

    def _host_seen(self) -> None:
        if not self._open:
            self._open = True
            self._watch()

    def _host_gone(self) -> None:
        if self._open:  # else a marker has come before the driver learned that the host opened the port
            self._open = False
            self._watch()
            self.drop("")

    def _watch(self) -> None:
        # level-triggered only where neither what it waits for nor the host's absence is reported all the time
        events = READ | EDGE | WRITE if self._blocked else READ if self._open else READ | EDGE
        if events != self._watched:
            self._watched = events
            self._loop.change(self._fd, events)

    def _look(self) -> None:
        self._loop.call_in(_LOOK_LINKED if self._linked else _LOOK_AGAIN, self._look)
        if self._fd >= 0:
            self._unblock()  # the next write tells whether it still is
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
        self._open = self._blocked = False
        self._watched = READ | EDGE
        self._loop.watch(self._fd, self._watched, self._ready)
        self._read()


def _nothing() -> None:
    return


def _host_is_away(fd: int) -> bool:
    poll = select.poll()
    poll.register(fd, 0)
    return any(events & select.POLLHUP for _, events in poll.poll(0))
