"""The agent's end of a link on one descriptor, whatever that is: frames from bytes, bytes from what is to be sent."""

from __future__ import annotations

from .loop import WRITE
from .wire import Decoder, ProtocolError, answer

TYPE_CHECKING = False  # see wire/frames.py
if TYPE_CHECKING:
    from typing import Final, Protocol

    from .loop import Loop, Timer
    from .wire import Frame, Outbox

    class Peer(Protocol):
        """Takes what comes over the link."""

        def link_began(self) -> None:
            """A core began a new link: forget the one before."""

        def link_ended(self, reason: str) -> None:
            """The core is gone (``reason`` is empty), or broke the protocol (``reason`` says how)."""

        def frame(self, frame: Frame) -> None:
            """Take a frame. Raises ProtocolError for one that breaks the protocol, which ends the link."""


CHUNK: Final = 64 * 1024
READS_A_TURN: Final = 16
_WRITES_A_TURN: Final = 8
"""Writes in one turn of the loop, each of 32 KiB, which virtio_console takes at a time. So many send what one read of
a program that floods brings."""


class LinkEnd:
    """Sends what is in ``outbox``, and hands what comes to ``peer``, while a link stands on ``fd``.

    ``events`` are those that the loop watches ``fd`` for, but for `WRITE`.
    """

    def __init__(self, loop: Loop, fd: int, outbox: Outbox, peer: Peer, events: int) -> None:
        self._loop = loop
        self._fd = fd
        self._outbox = outbox
        self._peer = peer
        self._events = events
        self._decoder = Decoder()
        self._linked = False
        self._pending: bytes | memoryview = b""
        self._blocked = False
        self._hurrying: Timer | None = None
        self._patience: float | None = None  # after which it is due

    def _write(self, data: bytes | memoryview) -> int:
        """Send the beginning of ``data``; how many bytes; 0 when no more are taken now, -1 when the link is over."""
        raise NotImplementedError

    def flush(self) -> None:
        """Send what waits to be sent, until no more is taken, or it is other descriptors' turn."""
        if self._blocked or not self._linked:
            return
        for _ in range(_WRITES_A_TURN):
            if not self._pending:
                self._pending = self._outbox.batch()
                if not self._pending:
                    self._time_postponed()
                    return
            count = self._write(self._pending)
            if count < 0:
                return
            if count == 0:
                self._blocked = True
                self._watch()
                return
            self._pending = b"" if count == len(self._pending) else memoryview(self._pending)[count:]
        self._loop.soon(self.flush)

    def _time_postponed(self) -> None:
        """Let a timer send what is postponed, if nothing else takes it along before."""
        patience = self._outbox.patience
        if patience == self._patience:
            return
        self._loop.cancel(self._hurrying)
        self._hurrying = None if patience is None else self._loop.call_in(patience, self._hurry)
        self._patience = patience

    def _hurry(self) -> None:
        self._hurrying = self._patience = None
        self._outbox.hurry()

    def _unblock(self) -> None:
        """There is room again."""
        if self._blocked:
            self._blocked = False
            self._watch()

    def _watch(self) -> None:
        """Watch for what is of interest now."""
        self._loop.change(self._fd, self._events | WRITE if self._blocked else self._events)

    def _begin(self, nonce: bytes) -> None:
        """A link begins, whose marker had this ``nonce``."""
        self._decoder = Decoder()
        self._linked = True
        self._pending = answer(nonce)
        self._peer.link_began()

    def _take(self, data: bytes) -> None:
        """Take the next bytes of the link; none without one."""
        if self._linked:
            try:
                for frame in self._decoder.feed(data):
                    self._peer.frame(frame)
            except ProtocolError as error:
                self.drop(str(error))

    def give_way(self) -> None:
        """A link begins elsewhere: this one is over, which its peer need not be told."""
        self._linked = False
        self._pending = b""

    def drop(self, reason: str) -> None:
        """End the link: neither read frames nor send any until a core begins another."""
        if self._linked:
            self.give_way()
            self._peer.link_ended(reason)
