"""One call to a file server: what goes to it, what comes of it, and how long nothing may come."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Final

import trio

from sandtop.agent.wire import ReceiveWindow, SendStream
from sandtop.agent.wire.limits import FILE_PIECE, FILE_WINDOW
from sandtop.core.errors import ChannelError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandtop.agent.wire import Credit

PATIENCE: Final = 30.0
"""Seconds that a server may say nothing about a call that waits for it. One that works for longer says so."""
_ACKNOWLEDGE: Final = FILE_WINDOW // 2


class FilesLost(ChannelError):
    """The server of a call is gone, and it is not known whether the call was carried out."""


class FileFailed(Exception):
    """The call failed in the sandbox.

    Attributes:
        errno: the kernel's number for it.
        why: in words, such as the guest gave them, unchecked.
        path: what they are about, unchecked; None: the path of the call.
    """

    def __init__(self, errno: int, why: str, path: str | None) -> None:
        super().__init__(why)
        self.errno = errno
        self.why = why
        self.path = path


class FileCall:
    """A call, from its beginning to its end. The tunnel that it goes through tells it what comes.

    Attributes:
        number: by which the server knows it.
        stream: what goes to the server, beside the call itself.
        opened: what the server said before the first byte.
        answer: what it answered; of a call whose answer is a stream that is nothing, and comes with the last byte.
    """

    def __init__(self, number: int, name: str) -> None:
        self.number = number
        self.stream = SendStream(number)
        self.stream.credit(0, FILE_WINDOW)
        self.opened: Mapping[str, object] | None = None
        self.answer: Mapping[str, object] | None = None
        self._name = name
        self._error: Exception | None = None
        self._window = ReceiveWindow(number, limit=FILE_WINDOW)
        self._pieces: deque[bytes] = deque()
        self._held = 0
        self._news = trio.lowlevel.ParkingLot()
        self._told = 0  # how often it was told something

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self.answer is not None or self._error is not None

    # the tunnel's side

    def _tell(self) -> None:
        self._told += 1
        self._news.unpark_all()

    def take_opened(self, message: Mapping[str, object]) -> None:
        self.opened = message
        self._tell()

    def take_answer(self, message: Mapping[str, object]) -> None:
        """All that comes of it has come."""
        self.answer = message
        self._tell()

    def alive(self) -> None:
        """The server works on it."""
        self._tell()

    def fail(self, error: Exception) -> None:
        """End the call by ``error``, unless it has ended."""
        if not self.ended:
            self._error = error
            self._pieces.clear()
            self._tell()

    def take_data(self, offset: int, data: bytes) -> bool:
        """Take bytes of its stream; whether they are new. Raises ProtocolError."""
        fresh = self._window.take(offset, data)
        if fresh and not self.ended:
            self._pieces.append(fresh)
            self._held += len(fresh)
            self._tell()
        return bool(fresh)

    def take_end(self, offset: int) -> None:
        """Its stream has ended. Raises ProtocolError."""
        self._window.finish(offset)
        self.take_answer({})

    def credited(self, credit: Credit) -> None:
        """The server has taken what was sent to it. Raises ProtocolError."""
        self.stream.credit(credit.acked, credit.limit)
        self._tell()

    def due(self) -> Credit | None:
        """Credit that the server is to get, now that pieces were taken; None while that is little."""
        limit = self._window.received + FILE_WINDOW - self._held
        if self._window.final is not None or limit - self._window.limit < _ACKNOWLEDGE:
            return None
        return self._window.grant(limit)

    # the caller's side

    async def wait_opened(self) -> Mapping[str, object]:
        """What the server says before the first byte. Raises `FileFailed`, `FilesLost`, `ChannelError`."""
        while self.opened is None:
            await self._wait(PATIENCE)
            if self.answer is not None and self.opened is None:
                return self.answer
        return self.opened

    async def wait_answer(self) -> Mapping[str, object]:
        """What the server answers. Raises as `wait_opened`."""
        while self.answer is None:
            await self._wait(PATIENCE)
        return self.answer

    async def wait_alive(self) -> bool:
        """Return when something is new; whether there is no answer yet. Raises as `wait_opened`."""
        if self.answer is None:
            await self._wait(PATIENCE)
        return self.answer is None

    async def wait_over(self) -> None:
        """Return when there is an answer, however long that takes. Raises `FileFailed`, `FilesLost`."""
        while self.answer is None:
            await self._wait(math.inf)

    def piece(self) -> bytes | None:
        """The next bytes that have come; None when none have."""
        if not self._pieces:
            return None
        data = self._pieces.popleft()
        self._held -= len(data)
        return data

    async def wait_data(self, patience: float = PATIENCE) -> bool:
        """Whether there is a `piece`, which is waited for; false at the end. Raises as `wait_opened`."""
        while not self._pieces:
            if self.answer is not None:
                return False
            await self._wait(patience)
        return True

    @property
    def room(self) -> int:
        """Bytes that may be written to `stream` now."""
        return max(0, min(FILE_PIECE, FILE_WINDOW - self.stream.retained))

    async def wait_room(self) -> None:
        """Return when there is `room`. Raises as `wait_opened`."""
        while not self.room and self.answer is None:
            await self._wait(PATIENCE)
        self._check()

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    async def _wait(self, patience: float) -> None:
        """Return when it was told something. Raises what it failed by, or `ChannelError` after so many seconds."""
        self._check()
        told = self._told
        with trio.move_on_after(patience):
            while self._told == told:
                await self._news.park()
        self._check()
        if self._told == told:
            raise ChannelError(
                f"nothing was heard of the files of {self._name} for {patience:g} s",
                sandbox=self._name,
                hint="a file system that is mounted in it may hang, or it is overloaded",
            )
