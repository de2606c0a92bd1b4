"""Streams with credit-based flow control, and the queue that puts them on a link. Bytes in, frames out; no I/O.

Offsets count from the first byte that a stream ever carried, across all links. The receiver sets a limit, an absolute
offset up to which the sender may send (the scheme of vsock, virtio 1.2 section 5.10.6.3, with offsets for counters),
and acknowledges what it has stored. The sender keeps everything that is not acknowledged and, on a new link, goes on
from there.
"""

from __future__ import annotations

from .frames import TRAILER, Control, Credit, Eof, ProtocolError, data_header, encode
from .limits import FIRST_CONNECTION, MAX_CONTROL_QUEUE, MAX_DATA

TYPE_CHECKING = False  # see frames.py
if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Sequence
    from typing import Final
else:
    from _collections import deque  # collections itself makes more than that, and imports four modules for it

SOON: Final = 0.005
"""Seconds that what is postponed waits for something that it could go with."""
LATER: Final = 0.02
"""Seconds that news waits which nobody waits for: sent alone, that of a start makes the run of a small program take a
sixth longer."""
_PIECE: Final = MAX_DATA - 18
"""Bytes of data in a frame, so that with header and trailer it exactly fills buffers of virtio_console, which have
32 KiB each."""
_SMALL: Final = 1024
"""A piece of at most so many bytes is joined with the next one."""


class SendStream:
    """The sender's side of one stream: the bytes that are not acknowledged, and the peer's credit.

    Attributes:
        number: the stream's number on the link.
        acked: the peer has stored everything before this offset.
        limit: the peer takes bytes up to this offset.
        sent: the next offset to put on the link.
        end: the offset behind the last byte that was written.
        final: where the stream ends, once `close` was called.
    """

    __slots__ = (
        "_chunks",
        "_first_start",
        "_granted",
        "_next",
        "_next_start",
        "acked",
        "end",
        "eof_sent",
        "final",
        "limit",
        "number",
        "sent",
    )

    def __init__(self, number: int, offset: int = 0) -> None:
        self.number = number
        self.acked = self.limit = self.sent = self.end = offset
        self.final: int | None = None
        self.eof_sent = False
        self._granted = False  # whether the peer has given credit on this link
        self._chunks: deque[bytes] = deque()  # whole pieces as written; the first may begin before `acked`
        self._first_start = offset  # the offset at which the first of them begins
        self._next = 0  # index of the chunk that `sent` points into
        self._next_start = offset  # the offset at which that chunk begins

    @property
    def retained(self) -> int:
        """Bytes that are kept because they are not acknowledged."""
        return self.end - self.acked

    @property
    def finished(self) -> bool:
        """Whether the stream was closed and the peer has acknowledged all of it."""
        return self.final is not None and self.acked == self.final

    @property
    def ready(self) -> bool:
        """Whether `take` would return something."""
        if self.sent < self.end:
            return self.sent < self.limit
        return self.final is not None and not self.eof_sent and self._granted

    def write(self, data: bytes) -> None:
        """Append ``data``. The caller bounds `retained`."""
        if self.final is not None:
            raise ValueError("write to a closed stream")
        if not data:
            return
        self.end += len(data)
        if self._chunks and len(self._chunks[-1]) + len(data) <= MAX_DATA:
            # small pieces are joined: a window full of single bytes would take many times the memory of its bytes
            last = self._chunks[-1]
            if len(last) <= max(_SMALL, 8 * len(data)):
                self._join(last, data)
                return
        self._chunks.append(data)

    def _join(self, last: bytes, piece: bytes) -> None:
        if self._next == len(
            self._chunks
        ):  # the last piece was sent: `sent` points to where the new part begins in it
            self._next -= 1
            self._next_start -= len(last)
        self._chunks[-1] = last + piece

    def close(self) -> None:
        """No more bytes will come."""
        if self.final is None:
            self.final = self.end

    def rewind(self) -> None:
        """A new link began: nothing may be sent before the peer has said what it has received."""
        self.sent = self.limit = self.acked
        self.eof_sent = self._granted = False
        self._next = 0
        self._next_start = self._first_start
        self._skip_to(self.acked)

    def credit(self, acked: int, limit: int) -> None:
        """Take the peer's credit. Raises ProtocolError when it acknowledges what was never written."""
        if acked > self.end:
            raise ProtocolError(f"stream {self.number}: acknowledged {acked} of {self.end} bytes")
        if acked > self.sent:  # the peer may have received more than it could acknowledge on the link before
            self._skip_to(acked)
        self._granted = True
        self.acked = max(self.acked, acked)
        self.limit = max(self.limit, limit)
        chunks = self._chunks
        while self._next and self._first_start + len(chunks[0]) <= self.acked:
            self._first_start += len(chunks.popleft())
            self._next -= 1

    def _skip_to(self, offset: int) -> None:
        self.sent = offset
        while self._next < len(self._chunks) and self._next_start + len(self._chunks[self._next]) <= offset:
            self._next_start += len(self._chunks[self._next])
            self._next += 1

    def take(self) -> tuple[int, bytes | memoryview] | None:
        """``(offset, bytes)`` to send now, for one frame; None when there is nothing to send, or no credit."""
        room = min(self.limit - self.sent, _PIECE)
        if self.sent >= self.end or room <= 0:
            return None
        offset = self.sent
        chunk = self._chunks[self._next]
        start = offset - self._next_start
        piece = chunk if start == 0 and len(chunk) <= room else memoryview(chunk)[start : start + room]
        self._skip_to(offset + len(piece))
        return offset, piece


class ReceiveWindow:
    """The receiver's side of one stream: how much was received, and how much the peer may send.

    Attributes:
        received: the offset of the next byte.
        limit: the offset up to which the peer has credit.
        final: where the stream ends, once the peer said so.
    """

    __slots__ = ("final", "limit", "number", "received")

    def __init__(self, number: int, offset: int = 0, limit: int = 0) -> None:
        self.number = number
        self.received = offset
        self.limit = max(limit, offset)
        self.final: int | None = None

    def take(self, offset: int, data: bytes) -> bytes:
        """The part of ``data`` that is new: a repeat is dropped. Raises ProtocolError for a gap or an overrun."""
        end = offset + len(data)
        if offset > self.received:
            raise ProtocolError(f"stream {self.number}: bytes {self.received} to {offset} are missing")
        if end > self.limit or (self.final is not None and end > self.final):
            raise ProtocolError(f"stream {self.number}: {end} is beyond the limit {self.limit}")
        if end <= self.received:
            return b""
        fresh = data if offset == self.received else data[self.received - offset :]
        self.received = end
        return fresh

    def finish(self, offset: int) -> None:
        """The peer says that the stream ends at ``offset``. Raises ProtocolError when that cannot be."""
        if offset != self.received or (self.final is not None and offset != self.final):
            raise ProtocolError(f"stream {self.number}: ends at {offset} after {self.received} bytes")
        self.final = offset

    @property
    def finished(self) -> bool:
        return self.final == self.received

    def grant(self, limit: int) -> Credit:
        """The frame that acknowledges all that was received and gives the peer credit up to the offset ``limit``."""
        self.limit = max(self.limit, limit)
        return Credit(self.number, self.received, self.limit)


class Outbox:
    """What waits to be sent on one link: control messages go first, then credits, then the streams in turn.

    Every second frame may be a session's, however many connections send.

    Attributes:
        patience: seconds after which what is postponed is to be sent alone (`hurry`); None when nothing is.
    """

    __slots__ = (
        "_connections",
        "_control",
        "_credits",
        "_later",
        "_patient",
        "_ready",
        "_streams",
        "_yields",
        "patience",
    )

    def __init__(self) -> None:
        self.patience: float | None = None
        self._control: deque[bytes] = deque()
        self._patient: list[
            dict[str, object]
        ] = []  # control messages that wait for something to be sent with
        self._credits: dict[int, Credit] = {}
        self._later: dict[int, Credit] = {}  # credits that wait for something to be sent with
        self._streams: dict[int, SendStream] = {}
        self._ready: deque[int] = deque()  # numbers of streams that may have something, each at most once …
        self._connections: deque[int] = deque()  # … and of those that are connections
        self._yields = False  # whether the last frame was a session's

    def control(self, message: dict[str, object]) -> None:
        """Queue a control message. Raises ProtocolError when the peer has left too many unread."""
        self._check_room()
        self.hurry()
        self._control.append(encode(Control(message)))

    def postpone(self, message: dict[str, object], seconds: float) -> None:
        """Queue a control message that is sent with, and before, whatever is sent next; alone after ``seconds``.

        Raises as `control`.
        """
        self._check_room()
        self._patient.append(message)
        self._wait(seconds)

    def _wait(self, seconds: float) -> None:
        if self.patience is None or seconds < self.patience:
            self.patience = seconds

    def _check_room(self) -> None:
        if len(self._control) + len(self._patient) >= MAX_CONTROL_QUEUE:
            raise ProtocolError("the peer does not read its control messages")

    def hurry(self) -> None:
        """Send what is postponed without waiting for anything else."""
        self.patience = None
        if self._patient:
            self._control.extend(encode(Control(message)) for message in self._patient)
            self._patient.clear()
        if self._later:
            self._credits.update(self._later)
            self._later.clear()

    def credit(self, credit: Credit) -> None:
        """Queue a credit; a later one for the same stream takes its place."""
        if self._later:
            self._later.pop(credit.stream, None)
        self._credits[credit.stream] = credit

    def postpone_credit(self, credit: Credit) -> None:
        """Queue a credit that is sent with, and before, whatever is sent next; alone after a moment."""
        self._later[credit.stream] = credit
        self._wait(SOON)

    def add(self, stream: SendStream) -> None:
        """Send what is in ``stream`` on this link, as soon as the stream has credit."""
        self._streams[stream.number] = stream
        self.wake(stream.number)

    def remove(self, number: int) -> None:
        self._streams.pop(number, None)

    def wake(self, number: int) -> None:
        """To be called after stream ``number`` was written to, closed, or given credit."""
        stream = self._streams.get(number)
        if stream is not None and stream.ready:
            queue = self._ready if number < FIRST_CONNECTION else self._connections
            if number not in queue:
                queue.append(number)

    def take_credit(self, credit: Credit) -> SendStream | None:
        """Apply the peer's credit; the stream that it is for, or None when that was removed."""
        stream = self._streams.get(credit.stream)
        if stream is not None:
            stream.credit(credit.acked, credit.limit)
            self.wake(credit.stream)
        return stream

    def restart(self) -> None:
        """A new link began: forget what was queued, and rewind every stream."""
        self.patience = None
        self._control.clear()
        self._patient.clear()
        self._credits.clear()
        self._later.clear()
        self._ready.clear()
        self._connections.clear()
        for stream in self._streams.values():
            stream.rewind()

    @property
    def empty(self) -> bool:
        return not (
            self._control or self._patient or self._credits or self._later or self._ready or self._connections
        )

    def _next_queue(self) -> deque[int]:
        """The numbers of those streams whose turn it is: sessions and connections take turns where both have some."""
        self._yields = bool(self._ready) and not (self._yields and self._connections)
        return self._ready if self._yields else self._connections

    def batch(self) -> bytes:
        """The bytes of all small frames that wait, and of one data frame; empty when nothing may be sent.

        They are sent by one write, because each write to or from the guest costs a VM exit or an interrupt.
        """
        pieces: list[bytes | memoryview] = []
        while (frame := self.pull()) is not None:
            pieces += frame
            if len(frame) > 1:
                break
        return b"".join(pieces)

    def pull(self) -> Sequence[bytes | memoryview] | None:
        """The pieces of the next frame, or None when nothing may be sent."""
        if (self._patient or self._later) and (
            self._control or self._credits or self._ready or self._connections
        ):
            self.hurry()
        if self._control:
            return (self._control.popleft(),)
        if self._credits:
            return (encode(self._credits.pop(next(iter(self._credits)))),)
        while self._ready or self._connections:
            queue = self._next_queue()
            number = queue.popleft()
            stream = self._streams.get(number)
            if stream is None:
                continue
            if (taken := stream.take()) is not None:
                if stream.ready:
                    queue.append(number)
                offset, data = taken
                return (data_header(number, offset, len(data)), data, TRAILER)
            if stream.ready and stream.final is not None:
                stream.eof_sent = True
                return (encode(Eof(number, stream.final)),)
        return None
