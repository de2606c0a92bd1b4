"""Follows a session's log from its last lines on. When the core goes away, it comes back and goes on."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, Protocol

from sandtop.core.client.sdk import Gap, LogStream, Stderr, Stdout
from sandtop.core.errors import CoreUnavailable
from sandtop.tui.input_priority import SLICE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandtop.tui.input_priority import InputPriority

RETRY_SECONDS: Final = 1.0
STDOUT, STDERR = 1, 2


class TailSink(Protocol):
    """What `tail` gives a log to."""

    def take(self, stream: int, data: bytes, offset: int, at: float | None) -> None:
        """Output of ``stream`` (1 stdout, 2 stderr) at ``offset``, which came ``at`` that time, if it is known."""

    def gap(self, stream: int, count: int) -> None:
        """``count`` bytes of ``stream`` are missing here: they are no longer in the log."""

    def trouble(self, why: str) -> None:
        """The core cannot be reached, and ``why``; empty: it can be again."""


async def tail(
    uuid: str,
    session: str,
    lines: int | None,
    floors: Sequence[int],
    sink: TailSink,
    priority: InputPriority,
    *,
    follow: bool = True,
) -> None:
    """Give ``sink`` the last ``lines`` lines (None: all); with ``follow`` also what comes until the session ends.

    ``floors``: the lengths of stdout and stderr when it begins. Raises the core's errors.
    """
    log = LogStream(uuid, session, tail=lines, follow=follow, lengths=(floors[0], floors[1]))
    try:
        while not log.over:
            await _advance(log, sink)
            await _pour(log, sink, priority)
            await priority.give_way()
    finally:
        await log.aclose()


async def _advance(log: LogStream, sink: TailSink) -> None:
    try:
        await log.advance()
    except CoreUnavailable as error:
        sink.trouble(error.message)
        await asyncio.sleep(RETRY_SECONDS)
    else:
        sink.trouble("")


async def _pour(log: LogStream, sink: TailSink, priority: InputPriority) -> None:
    began = time.thread_time()
    while (event := log.take()) is not None:
        if isinstance(event, Gap):
            sink.gap(STDOUT if event.stream == "stdout" else STDERR, event.bytes)
        elif isinstance(event, (Stdout, Stderr)):
            stream = STDOUT if isinstance(event, Stdout) else STDERR
            sink.take(stream, event.data, event.offset, log.at)
        if time.thread_time() - began > SLICE_SECONDS:
            await priority.give_way()
            began = time.thread_time()
