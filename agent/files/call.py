"""One call about files: what came with it, what goes back, and the steps in which it is carried out."""

from __future__ import annotations

import time

from ..wire import ReceiveWindow, SendStream
from ..wire.limits import FILE_WINDOW

TYPE_CHECKING = False  # see wire/frames.py
if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Generator
    from typing import Final

    from ..wire import Credit, Outbox

    Fields = dict[str, object]
    Step = bytes | Fields | bool
    """What a step of a call makes: bytes for its stream, a message that goes before them, or whether to go on at once
    (`GO_ON`) or when something has come (`WAIT`)."""
    Steps = Generator[Step, None, Fields | None]
    Operation = Callable[[Fields, "Call"], Fields | Steps]
    """Carries out a call: at once, or in steps between which other calls have their turn. Raises OSError, Refused."""
else:
    from _collections import deque  # see wire/streams.py

GO_ON: Final = True
WAIT: Final = False


class Refused(Exception):
    """The call makes no sense for what is at its path. ``str()`` says why, ``errno`` is the nearest of the kernel's."""

    def __init__(self, errno: int, why: str) -> None:
        super().__init__(why)
        self.errno = errno


class Call:
    """A call that is being carried out.

    Attributes:
        number: by which the core knows it. Its streams have the same number, one in each direction.
        steps: the rest of the work.
        pieces: what came of the core's stream and was not used yet.
        finished: whether the core's stream has ended.
        out: the stream to the core, once there is one.
        silent_since: when it began, or the core was told last that it goes on; by the clock time.monotonic.
        listens: a descriptor whose events wake a call that waits; -1 for none.
    """

    __slots__ = (
        "_into",
        "_outbox",
        "finished",
        "listens",
        "number",
        "out",
        "pieces",
        "silent_since",
        "steps",
    )

    def __init__(self, number: int, outbox: Outbox) -> None:
        self.number = number
        self.steps: Steps | None = None
        self.pieces: deque[bytes] = deque()
        self.finished = False
        self.out: SendStream | None = None
        self.listens = -1
        self.silent_since = time.monotonic()
        self._outbox = outbox
        # the core may send so much before it has heard anything
        self._into = ReceiveWindow(number, limit=FILE_WINDOW)

    # the core's stream

    def take(self, offset: int, data: bytes) -> None:
        """Take data of the core's stream. Raises ProtocolError."""
        if fresh := self._into.take(offset, data):
            self.pieces.append(fresh)

    def finish(self, offset: int) -> None:
        """The core's stream has ended. Raises ProtocolError."""
        self._into.finish(offset)
        self.finished = True

    def used(self) -> Credit | None:
        """Credit for as much as there is room, now that pieces were used; None while that is little."""
        limit = self._into.received + FILE_WINDOW - sum(map(len, self.pieces))
        if self.finished or limit - self._into.limit < FILE_WINDOW // 2:
            return None
        return self._into.grant(limit)

    # the stream to the core

    def open(self) -> None:
        """Begin the stream to the core."""
        self.out = SendStream(self.number)
        self.out.credit(0, FILE_WINDOW)
        self._outbox.add(self.out)

    @property
    def full(self) -> bool:
        """Whether the core has enough to take for now."""
        return self.out is not None and self.out.retained >= FILE_WINDOW

    def send(self, data: bytes) -> None:
        """Append ``data`` to the stream to the core."""
        assert self.out is not None
        self.out.write(data)
        self._outbox.wake(self.number)

    def close(self) -> None:
        """Release what it holds: it is over, or not wanted any more."""
        if self.steps is not None:
            self.steps.close()
