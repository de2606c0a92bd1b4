"""A program on a terminal of ours: what it draws, as a person would see it, and as an SVG."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import struct
import subprocess
import termios
import threading
import time
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.segment import Segment, Segments

from sandtop.core.terminal import Emulator
from sandtop.tui.widgets.terminal_style import rich_style

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

PATIENCE = 120.0


class Terminal:
    """``program`` on a terminal of ``columns`` and ``rows``. A context manager: with the block it ends."""

    def __init__(
        self, program: Sequence[str], columns: int, rows: int, environment: Mapping[str, str]
    ) -> None:
        self._emulator = Emulator(columns, rows)
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._process = subprocess.Popen(
            program, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
        )
        os.close(slave)
        self._drew = threading.Condition()
        self._drawing = threading.Thread(target=self._draw)
        self._drawing.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(10)
        self._drawing.join()  # the last of its side is closed, so reading ends
        os.close(self._master)

    def _draw(self) -> None:
        while True:
            try:
                data = os.read(self._master, 1 << 16)
            except OSError:
                return
            with self._drew:
                self._emulator.feed(data)
                replies = self._emulator.take_replies()
                self._drew.notify_all()
            if replies:
                os.write(self._master, replies)

    def press(self, *keys: str) -> None:
        """Type ``keys``, as a terminal sends them, each when a person could have seen what the last one did."""
        for key in keys:
            os.write(self._master, key.encode())
            time.sleep(0.1)

    def until(self, holds: Callable[[str], bool], what: str) -> None:
        """Wait until ``holds`` of what shows. Raises TimeoutError with that, and ``what`` was waited for."""
        with self._drew:
            if not self._drew.wait_for(lambda: holds(self._emulator.text()), PATIENCE):
                raise TimeoutError(f"{what}: it did not come to that:\n{self._emulator.text()}")

    def shows(self, text: str) -> bool:
        """Whether ``text`` shows now."""
        with self._drew:
            return text in self._emulator.text()

    def see(self, text: str) -> None:
        """Wait until ``text`` shows."""
        self.until(lambda screen: text in screen, f"to see {text!r}")

    def svg(self) -> str:
        """What shows now."""
        with self._drew:
            lines = [self._emulator.runs(row) for row in range(self._emulator.rows)]
            width = self._emulator.columns
        out = io.StringIO()
        console = Console(file=out, width=width, record=True, force_terminal=True, color_system="truecolor")
        for line in lines:
            segments = [Segment(text, rich_style(style)) for text, style in line]
            console.print(Segments([*segments, Segment("\n")]), end="")
        return console.export_svg(title="sandtop", unique_id="sandtop")
