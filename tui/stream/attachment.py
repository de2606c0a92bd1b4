"""One's end of a session's terminal: its output from an offset on, keys and sizes in, across any death of the core.

Where its output begins so that the screen can be made from it, and who may type, is the core's to say.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, Protocol

from sandtop.core.client.link.plain import request
from sandtop.core.client.session.attached import returning
from sandtop.core.client.session.conversation import Conversation
from sandtop.core.client.session.events import Gap, Redrawn, Stdout
from sandtop.core.client.session.following import STDERR, STDOUT, Following
from sandtop.core.errors import CoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandtop.core.client.link.records import ExitRecord, SessionInfo
    from sandtop.tui.input_priority import InputPriority

REPLAY_BYTES: Final = 512 * 1024
"""How much of an ended terminal's past is played again to get its last screen."""
TYPED_BYTES: Final = 256 * 1024
"""Input that waits for a program that does not read; what is typed beyond that is refused."""
_RETRY_SECONDS: Final = 1.0
_LONGEST_REST: Final = 0.02


class TerminalSink(Protocol):
    """What a terminal's output goes to."""

    def output(self, data: bytes, *, replayed: bool) -> int:
        """Bytes from the program; how many were taken in `sandtop.tui.input_priority.SLICE_SECONDS`.

        ``replayed`` ones were there before, and what they ask was answered then.
        """
        ...

    def redrawn(self, data: bytes, size: tuple[int, int]) -> Iterator[None]:
        """A whole screen, made on a terminal of ``size`` (rows, columns), in place of what was shown.

        It is drawn step by step, each in `sandtop.tui.input_priority.SLICE_SECONDS`, and shows after the last.
        """
        ...

    def lost(self, count: int) -> None:
        """So many bytes are missing here."""

    def trouble(self, why: str) -> None:
        """The core is out of reach (empty: no more)."""


class Attachment:
    """Follows ``info``'s terminal; with ``with_input`` it holds the keyboard too."""

    def __init__(self, uuid: str, info: SessionInfo, *, with_input: bool, take: bool = False) -> None:
        if info.state in ("starting", "running"):
            self._following = returning(uuid, info.id, read_only=not with_input, take=take)
        else:  # nothing to attach to: its last screen, from the end of its log
            message = request("session.follow", {"sandbox": uuid, "session": info.id, "input": False})
            begin = max(0, info.stdout_bytes - REPLAY_BYTES)
            offsets: dict[int, int | None] = {STDOUT: begin, STDERR: 0}
            self._following = Following(message, stdin=False, session=info.id, offsets=offsets)
        self._conversation = Conversation(self._following)
        self._typed = bytearray()
        self._own_label: str | None = None
        self._wake = asyncio.Event()

    @property
    def input_lost(self) -> bool:
        """Somebody else holds the keyboard now, or the program closed its input."""
        return self._following.input_lost

    @property
    def taken_by(self) -> str | None:
        """Who has taken the keyboard from this one, if anybody has."""
        holder = self._following.holder
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
        self._following.resize(rows, columns)
        self._wake.set()

    async def run(self, sink: TerminalSink, priority: InputPriority) -> ExitRecord:
        """Pour output into ``sink`` until the session ends; how it did. Raises what the core reports."""
        sender = asyncio.create_task(self._send())
        try:
            while self._conversation.record is None:
                try:
                    await self._conversation.advance()
                except CoreUnavailable as error:
                    sink.trouble(error.message)
                    await asyncio.sleep(_RETRY_SECONDS)
                    continue
                if self._following.holds_input:
                    self._own_label = self._following.holder
                sink.trouble("")
                self._wake.set()  # credit may have come
                await self._pour(sink, priority)
            return self._conversation.record
        finally:
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)
            await self._conversation.aclose()

    async def _pour(self, sink: TerminalSink, priority: InputPriority) -> None:
        while (event := self._conversation.take()) is not None:
            if isinstance(event, Gap):
                sink.lost(event.bytes)
            elif isinstance(event, Redrawn):
                for _ in sink.redrawn(event.data, event.size):
                    await priority.give_way()
            elif isinstance(event, Stdout):
                start = 0
                while start < len(event.data):
                    began = time.thread_time()
                    replayed = event.offset + start < (self._following.live_from or 0)
                    start += sink.output(event.data[start:], replayed=replayed)
                    took = time.thread_time() - began
                    self._tell_drawn(event.offset + start)
                    # half of the time belongs to the keyboard and the screen, however much the program writes
                    await asyncio.sleep(min(took, _LONGEST_REST))
                    await priority.give_way()

    def _tell_drawn(self, offset: int) -> None:
        if self._following.drawn(offset):
            self._wake.set()

    async def _send(self) -> None:
        """Passes on what is typed, as far as the program's side takes it."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._typed and (room := min(self._following.room, len(self._typed))):
                self._following.write(bytes(self._typed[:room]))
                del self._typed[:room]
            await self._conversation.flush()
