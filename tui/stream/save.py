"""Saves a session's whole log to a file."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, BinaryIO

from sandtop.core.errors import CoreUnavailable

from .tail import STDERR, STDOUT, tail

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sandtop.tui.input_priority import InputPriority

    Passes = Callable[[int, bytes], bool]


class _File:
    """Writes a log's bytes to ``file``, both streams in the order in which they came.

    With ``passes`` only those lines that it lets through.
    """

    def __init__(self, file: BinaryIO, passes: Passes | None) -> None:
        self._file = file
        self._passes = passes
        self._rest = {STDOUT: b"", STDERR: b""}
        self.written = 0

    def take(self, stream: int, data: bytes, offset: int, at: float | None) -> None:
        if self._passes is None:
            self._write(data)
            return
        *lines, self._rest[stream] = (self._rest[stream] + data).split(b"\n")
        for line in lines:
            self._write_line(stream, line)

    def finish(self) -> None:
        """Write the last lines, which had no end."""
        for stream, rest in self._rest.items():
            if rest:
                self._write_line(stream, rest)

    def _write_line(self, stream: int, line: bytes) -> None:
        if self._passes is None or self._passes(stream, line):
            self._write(line + b"\n")

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self.written += len(data)

    def gap(self, stream: int, count: int) -> None:
        text = f"[{count} bytes of {'stderr' if stream == 2 else 'stdout'} are missing here]\n".encode()
        self._file.write(text)

    def trouble(self, why: str) -> None:
        if why:
            raise CoreUnavailable(why)


async def save(
    uuid: str, session: str, path: Path, priority: InputPriority, passes: Passes | None = None
) -> int:
    """Write all that is kept of ``session``'s output to a new file ``path``; returns how many bytes.

    With ``passes`` only those lines of a stream that it lets through. Raises OSError (FileExistsError if there is such
    a file), and `SandtopError` for what the core reports.
    """
    with await asyncio.to_thread(path.open, "xb") as file:
        sink = _File(file, passes)
        await tail(uuid, session, None, (0, 0), sink, priority, follow=False)
        sink.finish()
    return sink.written
