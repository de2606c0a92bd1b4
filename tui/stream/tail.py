"""Follows a session's log from its last lines on. When the core goes away, it comes back and goes on."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Protocol

from sandtop.core.client.link.plain import request
from sandtop.core.client.session.events import Gap, Stderr, Stdout
from sandtop.core.client.session.following import STDERR, STDOUT, Reading
from sandtop.core.client.session.stream import EventStream
from sandtop.core.errors import CoreUnavailable
from sandtop.tui.input_priority import SLICE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandtop.tui.input_priority import InputPriority

RETRY_SECONDS: Final = 1.0


class TailSink(Protocol):
    """What `tail` gives a log to."""

    def take(self, stream: int, data: bytes, offset: int, at: float | None) -> None:
        """Output of ``stream`` (1 stdout, 2 stderr) at ``offset``, which came ``at`` that time, if it is known."""

    def gap(self, stream: int, count: int) -> None:
        """``count`` bytes of ``stream`` are missing here: they are no longer in the log."""

    def trouble(self, why: str) -> None:
        """The core cannot be reached, and ``why``; empty: it can be again."""


class _Stamped(Reading):
    """A log with the times between its bytes: where each begins, by stream and offset."""

    __slots__ = ("_pending", "times")

    def __init__(self, message: dict[str, object], floors: dict[int, int], session: str) -> None:
        super().__init__(message, floors, session=session)
        self.times: deque[tuple[int, int, float]] = deque()
        self._pending: float | None = None

    def feed(self, data: bytes) -> list[Any]:  # frames: the console may not import the protocol
        frames = super().feed(data)
        for frame in frames:
            # so they are told apart by what they carry
            message: object = getattr(frame, "message", None)
            stream: object = getattr(frame, "stream", None)
            offset: object = getattr(frame, "offset", None)
            if isinstance(message, dict) and isinstance(at := message.get("at"), int | float):  # pyright: ignore
                self._pending = float(at)
            elif self._pending is not None and isinstance(stream, int) and isinstance(offset, int):
                self.times.append((stream, offset, self._pending))
                self._pending = None
        return frames


async def tail(
    uuid: str,
    session: str,
    lines: int | None,
    floors: Sequence[int],
    sink: TailSink,
    priority: InputPriority,
    *,
    follow: bool = True,
) -> dict[str, object] | None:
    """Give ``sink`` the last ``lines`` lines (None: all); with ``follow`` also what comes until the session ends.

    ``floors``: the lengths of stdout and stderr when it begins. Returns the session's record, if it has ended. Raises
    the core's errors.
    """
    message = request(
        "session.logs",
        {
            "sandbox": uuid,
            "session": session,
            "streams": ["stdout", "stderr"],
            "tail": lines,
            "follow": follow,
            "timestamps": True,
        },
    )
    reading = _Stamped(message, {STDOUT: floors[0], STDERR: floors[1]}, session)
    conversation = EventStream(reading)
    try:
        while reading.result is None:
            await _advance(conversation, sink)
            await _pour(conversation, reading.times, sink, priority)
            await priority.give_way()
    finally:
        await conversation.aclose()
    ended = reading.result.get("session")
    return ended if isinstance(ended, dict) else None  # pyright: ignore[reportUnknownVariableType]


async def _advance(conversation: EventStream, sink: TailSink) -> None:
    try:
        await conversation.advance()
    except CoreUnavailable as error:
        sink.trouble(error.message)
        await asyncio.sleep(RETRY_SECONDS)
    else:
        sink.trouble("")


async def _pour(
    conversation: EventStream, times: deque[tuple[int, int, float]], sink: TailSink, priority: InputPriority
) -> None:
    at: float | None = None
    began = time.thread_time()
    while (event := conversation.take()) is not None:
        if isinstance(event, Gap):
            sink.gap(STDOUT if event.stream == "stdout" else STDERR, event.bytes)
        elif isinstance(event, (Stdout, Stderr)):
            stream = STDOUT if isinstance(event, Stdout) else STDERR
            while times and times[0][0] == stream and times[0][1] <= event.offset:
                at = times.popleft()[2]
            sink.take(stream, event.data, event.offset, at)
        if time.thread_time() - began > SLICE_SECONDS:
            await priority.give_way()
            began = time.thread_time()
