"""What comes of a stream and was not taken yet, and the credit that follows from it. Bytes in, credits out; no I/O.

For streams that end with their link: what has come is acknowledged at once, since nobody will ask for it again. The
credit's limit alone says how much is taken.
"""

from __future__ import annotations

from .streams import ReceiveWindow

TYPE_CHECKING = False  # see frames.py
if TYPE_CHECKING:
    from collections import deque

    from .frames import Credit
else:
    from _collections import deque


class Intake:
    """The receiving side of stream ``number``, which holds at most ``window`` bytes.

    Attributes:
        size: how many bytes wait to be taken.
    """

    __slots__ = ("_pieces", "_room", "_window", "size")

    def __init__(self, number: int, window: int) -> None:
        self._window = ReceiveWindow(number)
        self._room = window
        self._pieces: deque[memoryview] = deque()
        self.size = 0

    def begin(self) -> Credit:
        """The credit with which the peer may begin."""
        return self._window.grant(self._room)

    def take(self, offset: int, data: bytes) -> None:
        """Bytes have come. Raises ProtocolError for what there was no credit for, or behind the end."""
        fresh = self._window.take(offset, data)
        if fresh:
            self._pieces.append(memoryview(fresh))
            self.size += len(fresh)

    def finish(self, offset: int) -> Credit:
        """The peer says that the stream ends there; the credit that acknowledges it. Raises ProtocolError."""
        self._window.finish(offset)
        return self._window.grant(0)

    @property
    def received(self) -> int:
        """How many bytes have come."""
        return self._window.received

    @property
    def whole(self) -> bool:
        """Whether all of the stream has come."""
        return self._window.finished

    @property
    def ended(self) -> bool:
        """Whether all of the stream has come, and was taken."""
        return self._window.finished and not self.size

    @property
    def first(self) -> memoryview:
        """The next bytes, as many as came together; empty when none wait."""
        return self._pieces[0] if self._pieces else memoryview(b"")

    def drop(self, count: int) -> Credit | None:
        """The next ``count`` bytes, which are all of `first` or less, were taken; the credit that is due by that."""
        piece = self._pieces[0]
        if count == len(piece):
            self._pieces.popleft()
        else:
            self._pieces[0] = piece[count:]
        self.size -= count
        window = self._window
        limit = window.received - self.size + self._room
        if window.final is None and limit - window.limit >= self._room // 2:
            return window.grant(limit)
        return None
