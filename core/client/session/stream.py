"""A followed session on anyio: events out, input in, across as many connections as it takes.

There is no background task: whoever waits for something reads for everybody meanwhile, and the others wait for it.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

import anyio

from sandtop.agent.wire import Control, Data
from sandtop.core.client.link.asynchronous import AsyncConversation
from sandtop.core.contract.codec import decode_result
from sandtop.core.errors import CoreFailure

from .ending import part
from .events import Event, Exited, ExitRecord, Gap, Redrawn, Started, Stderr, Stdout
from .following import STDERR, STDOUT, screen_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandtop.agent.wire import Frame

    from .events import StreamName
    from .following import Following

QUEUE_BYTES: Final = 8 << 20
"""Output that was read and that nobody has taken yet."""
_NAMES: Final[dict[object, StreamName]] = {STDOUT: "stdout", STDERR: "stderr"}


class EventStream:
    """What comes of one `Following`, as events.

    Attributes:
        following: the protocol's side of it.
        events: what has come and was not taken.
        record: how the session ended, once it has.
        has_reader: whether somebody will take `events`; if not, the oldest make room for new ones.
    """

    def __init__(self, following: Following, *, source: bytes | None = None) -> None:
        self.following = following
        self.events: deque[Event | Redrawn] = deque()
        self.record: ExitRecord | None = None
        self.has_reader: Callable[[], bool] = lambda: False
        self._source = None if source is None else memoryview(source)
        self._queued = 0
        self._conversation = AsyncConversation(following)
        self._turn = anyio.Event()
        self._reading = False
        self._told_started = False

    # taking

    def take(self) -> Event | Redrawn | None:
        """The next event, or None when none has come yet."""
        if not self.events:
            return None
        event = self.events.popleft()
        if isinstance(event, (Stdout, Stderr)):
            self._queued -= len(event.data)
            self._wake()
        return event

    def _put(self, event: Event | Redrawn) -> None:
        self.events.append(event)
        if isinstance(event, (Stdout, Stderr)):
            self._queued += len(event.data)

    def _drop_oldest(self) -> None:
        """Make room: the oldest output becomes a gap, beside the gap before it."""
        kept: deque[Event | Redrawn] = deque()
        while self.events and self._queued > QUEUE_BYTES // 2:
            event = self.events.popleft()
            if isinstance(event, (Stdout, Stderr)):
                self._queued -= len(event.data)
                stream: StreamName = "stdout" if isinstance(event, Stdout) else "stderr"
                event = Gap(len(event.data), stream)
            if isinstance(event, Gap):
                for index, other in enumerate(kept):
                    if isinstance(other, Gap) and other.stream == event.stream:
                        kept[index] = Gap(other.bytes + event.bytes, event.stream)
                        break
                else:
                    kept.append(event)
            else:
                kept.append(event)
        self.events.extendleft(reversed(kept))

    # moving along

    async def advance(self) -> None:
        """Return when something has happened, perhaps nothing of interest. Raises what the core reports.

        Call it only while `record` is None.
        """
        if self._queued >= QUEUE_BYTES:
            if self.has_reader():
                await self._turn.wait()
                return
            self._drop_oldest()
        if self._reading:
            await self._turn.wait()
            return
        self._reading = True
        try:
            await self._read()
        finally:
            self._reading = False
            self._wake()

    def _wake(self) -> None:
        self._turn.set()
        self._turn = anyio.Event()

    async def _read(self) -> None:
        for frame in await self._conversation.advance():
            self._take_frame(frame)
        if (result := self.following.result) is not None:
            self._finish(result)
            await self.aclose()
        else:
            await self.flush()

    async def flush(self) -> None:
        """Send what the core takes now."""
        self._feed_source()
        await self._conversation.send()

    def _feed_source(self) -> None:
        source = self._source
        if source is None:
            return
        if room := min(self.following.room, len(source)):
            self.following.write(bytes(source[:room]))
            self._source = source = source[room:]
        if not source and self.following.input_open:
            self.following.close_input()
            self._source = None

    def _take_frame(self, frame: Frame) -> None:
        if isinstance(frame, Data):
            event = Stdout if frame.stream == STDOUT else Stderr
            self._put(event(frame.data, frame.offset))
        elif isinstance(frame, Control):
            message = frame.message
            pid, size = message.get("pid"), message.get("bytes")
            if message["type"] == "started" and not self._told_started:
                self._told_started = True
                if isinstance(pid, int):
                    self._put(Started(self.following.session or "", pid))
            elif message["type"] == "screen":
                self._put(Redrawn(bytes(self.following.screen), *screen_of(frame)))
            elif message["type"] == "gap" and isinstance(size, int):
                self._put(Gap(size, _NAMES[message.get("stream")]))

    def _finish(self, result: dict[str, object]) -> None:
        if "record" not in result:
            return  # of a log, which goes without
        exit_code = part(result, "session").get("exit_code")
        if not isinstance(exit_code, int):
            raise CoreFailure("the core reported an end without an exit status", hint="see its log")
        self.record = decode_result(ExitRecord, {**part(result, "record"), "exit_code": exit_code})
        self._put(Exited(self.record))

    async def aclose(self) -> None:
        """Close the connection; `advance` makes another."""
        await self._conversation.aclose()
