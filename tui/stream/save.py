"""Saves a session's whole log to a file."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, BinaryIO

from sandtop.core.errors import CoreUnavailable

from .tail import tail

if TYPE_CHECKING:
    from pathlib import Path

    from sandtop.tui.input_priority import InputPriority


class _File:
    """Writes a log's bytes to ``file``, both streams in the order in which they came."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.written = 0

    def take(self, stream: int, data: bytes, offset: int, at: float | None) -> None:
        self._file.write(data)
        self.written += len(data)

    def gap(self, stream: int, count: int) -> None:
        text = f"[{count} bytes of {'stderr' if stream == 2 else 'stdout'} are missing here]\n".encode()
        self._file.write(text)

    def trouble(self, why: str) -> None:
        if why:
            raise CoreUnavailable(why)


async def save(uuid: str, session: str, path: Path, priority: InputPriority) -> int:
    """Write all that is kept of ``session``'s output to a new file ``path``; returns how many bytes.

    Raises OSError (FileExistsError if there is such a file), and `SandtopError` for what the core reports.
    """
    with await asyncio.to_thread(path.open, "xb") as file:
        sink = _File(file)
        await tail(uuid, session, None, (0, 0), sink, priority, follow=False)
    return sink.written
