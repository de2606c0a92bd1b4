"""One look at a session: its terminal's screen, or the last lines of its log. Bounded, whatever the guest writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sandtop.core.client.sdk import LogStream, Sandbox, Stderr, Stdout

from .ring import Ring

if TYPE_CHECKING:
    from sandtop.core.client.sdk import SessionInfo

LINES: Final = 60
"""Lines of a log that a look asks for: no preview is higher."""
_MOST: Final = 32 * 1024
"""Bytes of a log that a look asks for, and lets come."""


@dataclass(frozen=True, slots=True)
class Glance:
    """What a session shows at one moment.

    Attributes:
        lines: from the top, as they were written, each with its stream (1 stdout or the terminal, 2 stderr).
        columns: of the terminal's window; 0 for a log.
        cursor: the row and column of the terminal's cursor, if it shows.
        alternate: a full-screen program has the terminal.
        title: what the program called its window.
    """

    lines: tuple[tuple[int, bytes], ...]
    columns: int = 0
    cursor: tuple[int, int] | None = None
    alternate: bool = False
    title: str = ""


async def glance(uuid: str, session: SessionInfo) -> Glance:
    """Look at ``session`` of the sandbox ``uuid``. Raises what the core reports."""
    return await (_screen(uuid, session) if session.tty else _tail(uuid, session))


async def _screen(uuid: str, session: SessionInfo) -> Glance:
    seen = await Sandbox.at(uuid).screen(session.id, ansi=True)
    return Glance(
        lines=tuple((1, line.encode()) for line in seen.lines),
        columns=seen.columns,
        cursor=seen.cursor if seen.cursor_visible and session.state == "running" else None,
        alternate=seen.alternate_screen,
        title=seen.title,
    )


async def _tail(uuid: str, session: SessionInfo) -> Glance:
    lengths = (session.stdout_bytes, session.stderr_bytes)
    log = LogStream(uuid, session.id, tail=LINES, most=_MOST, follow=False, lengths=lengths)
    ring = Ring(limit=4 * _MOST)
    try:
        while not log.over and ring.bytes <= 2 * _MOST:
            await log.advance()
            while (event := log.take()) is not None:
                if isinstance(event, (Stdout, Stderr)):
                    ring.take(1 if isinstance(event, Stdout) else 2, event.data, event.offset, log.at)
    finally:
        await log.aclose()
    newest = [line for _, line in zip(range(LINES), ring.backwards(ring.end), strict=False)]
    return Glance(lines=tuple((line.stream, line.text) for line in reversed(newest)))
