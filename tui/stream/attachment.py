"""Attached to a session's terminal: its output comes, keys and window sizes go. When the core goes away, it comes back.

The core decides from which offset on output comes, so that the screen can be made of it, and who holds the input.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, Protocol

from sandtop.core.client.sdk import Gap, Redrawn, Stdout, TerminalStream
from sandtop.core.errors import CoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandtop.core.client.sdk import ExitRecord, SessionInfo
    from sandtop.tui.input_priority import InputPriority

TYPED_BYTES: Final = 256 * 1024
"""Bytes of input that wait while the program does not read; what is typed beyond that is refused."""
_RETRY_SECONDS: Final = 1.0
_LONGEST_REST: Final = 0.02


class TerminalSink(Protocol):
    """What an attachment gives a terminal's output to."""

    def output(self, data: bytes, *, replayed: bool) -> int:
        """Output of the program. Returns how many bytes were taken in `sandtop.tui.input_priority.SLICE_SECONDS`.

        ``replayed`` output is older than the attachment: what it asked the terminal was answered at its time.
        """
        ...

    def redrawn(self, data: bytes, size: tuple[int, int]) -> Iterator[None]:
        """A whole screen, in place of what was shown: the one that ``data`` makes on a terminal of ``size``.

        ``size`` is rows and columns. The screen is then fitted into the sink's own.

        Each step of the iterator takes `sandtop.tui.input_priority.SLICE_SECONDS`; the screen is shown after the last.
        """
        ...

    def lost(self, count: int) -> None:
        """``count`` bytes are missing here: they are no longer in the log."""

    def trouble(self, why: str) -> None:
        """The core cannot be reached, and ``why``; empty: it can be again."""


class Attachment:
    """Attached to the terminal of session ``info``. ``with_input``: it holds the input; ``take``: by taking it."""

    def __init__(self, uuid: str, info: SessionInfo, *, with_input: bool, take: bool = False) -> None:
        self._stream = TerminalStream(uuid, info, read_only=not with_input, take=take)
        self._typed = bytearray()
        self._own_label: str | None = None
        self._wake = asyncio.Event()

    @property
    def input_lost(self) -> bool:
        """Whether somebody has taken the input, or the program has closed it."""
        return self._stream.input_lost

    @property
    def taken_by(self) -> str | None:
        """Who has taken the input from this attachment, or None."""
        holder = self._stream.holder
        return holder if self.input_lost and holder != self._own_label else None

    def type(self, data: bytes) -> bool:
        """Send input; False when too much waits already."""
        if len(self._typed) + len(data) > TYPED_BYTES:
            return False
        self._typed += data
        self._wake.set()
        return True

    def resize(self, rows: int, columns: int) -> None:
        """Tell the program how large its window is."""
        self._stream.resize(rows, columns)
        self._wake.set()

    async def run(self, sink: TerminalSink, priority: InputPriority) -> ExitRecord:
        """Give ``sink`` the output until the session ends; returns how it ended. Raises the core's errors."""
        sender = asyncio.create_task(self._send())
        try:
            while self._stream.record is None:
                try:
                    await self._stream.advance()
                except CoreUnavailable as error:
                    sink.trouble(error.message)
                    await asyncio.sleep(_RETRY_SECONDS)
                    continue
                if self._stream.holds_input:
                    self._own_label = self._stream.holder
                sink.trouble("")
                self._wake.set()  # credit may have come
                await self._pour(sink, priority)
            return self._stream.record
        finally:
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)
            await self._stream.aclose()

    async def _pour(self, sink: TerminalSink, priority: InputPriority) -> None:
        while (event := self._stream.take()) is not None:
            if isinstance(event, Gap):
                sink.lost(event.bytes)
            elif isinstance(event, Redrawn):
                for _ in sink.redrawn(event.data, event.size):
                    await priority.give_way()
            elif isinstance(event, Stdout):
                start = 0
                while start < len(event.data):
                    began = time.thread_time()
                    replayed = event.offset + start < self._stream.live_from
                    start += sink.output(event.data[start:], replayed=replayed)
                    took = time.thread_time() - began
                    self._tell_drawn(event.offset + start)
                    # however much the program writes, half of the time is left for keys and drawing
                    await asyncio.sleep(min(took, _LONGEST_REST))
                    await priority.give_way()

    def _tell_drawn(self, offset: int) -> None:
        if self._stream.drawn(offset):
            self._wake.set()

    async def _send(self) -> None:
        """Send what is typed, as far as the agent gives credit for it."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._typed and (room := min(self._stream.room, len(self._typed))):
                self._stream.write(bytes(self._typed[:room]))
                del self._typed[:room]
            await self._stream.flush()
