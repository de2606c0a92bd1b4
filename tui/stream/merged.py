"""Follows the logs of several sandboxes at once, merged by time. When the core goes away, it comes back and goes on."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Protocol

from sandtop.core.client.sdk import MergedLogStream
from sandtop.core.errors import CoreUnavailable
from sandtop.tui.input_priority import SLICE_SECONDS

from .tail import RETRY_SECONDS, STDERR, STDOUT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandtop.core.client.sdk import Source
    from sandtop.tui.input_priority import InputPriority


class MergedSink(Protocol):
    """What `merge` gives the logs to."""

    def take_of(self, source: Source, stream: int, data: bytes, at: float | None) -> None:
        """Output of ``stream`` (1 stdout, 2 stderr) of a session, which came ``at`` that time, if it is known."""

    def gap_of(self, source: Source, stream: int, count: int) -> None:
        """``count`` bytes are missing here: they are no longer in the log."""

    def trouble(self, why: str) -> None:
        """The core cannot be reached, and ``why``; empty: it can be again."""


async def merge(uuids: Sequence[str], lines: int, sink: MergedSink, priority: InputPriority) -> None:
    """Give ``sink`` the last ``lines`` lines of each session, and what they and later ones write, until cancelled.

    Raises the core's errors.
    """
    stream = MergedLogStream(uuids, tail=lines)
    try:
        while not stream.over:
            try:
                await stream.advance()
            except CoreUnavailable as error:
                sink.trouble(error.message)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            sink.trouble("")
            began = time.thread_time()
            while (piece := stream.take()) is not None:
                number = STDOUT if piece.stream == "stdout" else STDERR
                if piece.missing:
                    sink.gap_of(piece.source, number, piece.missing)
                else:
                    sink.take_of(piece.source, number, piece.data, piece.at or None)
                if time.thread_time() - began > SLICE_SECONDS:
                    await priority.give_way()
                    began = time.thread_time()
            await priority.give_way()
    finally:
        await stream.aclose()
