"""Starts that are longer than a frame: each comes as data of a stream, and is carried out when it is complete."""

from __future__ import annotations

from .start import id_and_number
from .wire import MOST_LONG, START_STREAM, STREAMS_PER_SESSION, ReceiveWindow, control, values

TYPE_CHECKING = False  # see wire/frames.py
if TYPE_CHECKING:
    from collections.abc import Callable

    from .wire import Credit, Data

    Message = dict[str, object]


class _Arriving:
    __slots__ = ("id", "later", "number", "size", "text", "window")

    def __init__(self, message: Message) -> None:
        self.id, self.number = id_and_number(message)
        self.size = values.integer(message, "bytes", 1, MOST_LONG)
        self.text = bytearray()
        self.window = ReceiveWindow(self.number * STREAMS_PER_SESSION + START_STREAM)
        self.later: list[Message] = []


class Arrivals:
    """The long starts that are on their way on this link.

    Only the first of them has credit, so that no more than one is in memory. ``begin`` is called with each start that
    is complete, then ``operate`` with each operation on its session that came meanwhile.
    """

    def __init__(
        self,
        credit: Callable[[Credit], None],
        begin: Callable[[Message], None],
        operate: Callable[[Message], None],
    ) -> None:
        self._credit = credit
        self._begin = begin
        self._operate = operate
        self._coming: dict[int, _Arriving] = {}

    def __len__(self) -> int:
        return len(self._coming)

    def clear(self) -> None:
        """Forget them: the link ended, and on the next one the core sends them again."""
        self._coming.clear()

    def expect(self, message: Message) -> None:
        """Take the message that announces a start and its length. Raises InvalidMessage."""
        arriving = _Arriving(message)
        self._coming[arriving.number] = arriving
        if len(self._coming) == 1:
            self._grant()

    def _grant(self) -> None:
        for arriving in self._coming.values():
            self._credit(arriving.window.grant(arriving.size))
            return

    def postpone(self, message: Message) -> bool:
        """Keep ``message`` until the start of its session is complete; False when no such start is on its way."""
        key = message.get("id")
        for arriving in self._coming.values():
            if arriving.id == key:
                arriving.later.append(message)
                return True
        return False

    def take(self, frame: Data) -> None:
        """Take a piece of a start. Raises ProtocolError, InvalidMessage."""
        arriving = self._coming.get(frame.stream // STREAMS_PER_SESSION)
        if arriving is None:
            return
        arriving.text += arriving.window.take(frame.offset, frame.data)
        if len(arriving.text) < arriving.size:
            return
        del self._coming[arriving.number]
        message = control(bytes(arriving.text)).message
        arriving.text.clear()
        self._begin({**message, "type": "start", "id": arriving.id, "n": arriving.number})
        for each in arriving.later:
            self._operate(each)
        self._grant()
