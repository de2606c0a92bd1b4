"""What commands print: text, JSON and tables on stdout, progress and errors on stderr."""

from __future__ import annotations

import os
import time

from sandtop.core.cli import say
from sandtop.core.phrases import byte_size

from ._text import visible

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Final

    from sandtop.core.client.session import SharedOutput
    from sandtop.core.errors import SandtopError

STDOUT: Final = 1
_BOLD: Final = "\033[1m"
_PLAIN: Final = "\033[0m"


def write(data: bytes | str) -> None:
    """Write all of ``data`` to stdout, unbuffered, so that no error goes unnoticed. Raises OSError."""
    view = memoryview(data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data)
    while view:
        view = view[os.write(STDOUT, view) :]


def complain(error: SandtopError) -> None:
    """Print ``error`` on stderr."""
    say(str(error))


def write_json(value: object) -> None:
    """Print ``value`` as indented JSON."""
    import json

    write(json.dumps(value, indent=2) + "\n")


def write_line(value: object) -> None:
    """Print ``value`` as JSON on one line."""
    import json

    write(json.dumps(value, separators=(",", ":")) + "\n")


def clock(at: float) -> str:
    """The time ``at``, in seconds since the epoch, in UTC to the millisecond (ISO 8601)."""
    seconds, milliseconds = divmod(round(at * 1000), 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{milliseconds:03d}Z"


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print an aligned table; its heading is bold on a terminal. The last column is not padded."""
    write(formatted(columns, rows))


def formatted(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """What `table` prints."""
    texts = [[visible(value) for value in row] for row in rows]
    heading = [column.upper() for column in columns]
    widths = [max(len(row[i]) for row in [heading, *texts]) for i in range(len(columns))]

    def line(cells: Sequence[str]) -> str:
        padded = [cell.ljust(width) for cell, width in zip(cells[:-1], widths, strict=False)]
        return "  ".join([*padded, cells[-1]]).rstrip()

    first = line(heading)
    if os.isatty(STDOUT) and not os.environ.get("NO_COLOR"):
        first = f"{_BOLD}{first}{_PLAIN}"
    return "\n".join([first, *(line(row) for row in texts)]) + "\n"


def age(since: object) -> str:
    """How long ago ``since`` (seconds since the epoch) was, in its largest unit."""
    if not isinstance(since, (int, float)):
        return "-"
    return duration(time.time() - since)


def duration(seconds: float) -> str:
    """``seconds`` in the largest unit that fits: ``5s``, ``12m``, ``3h``, ``9d``."""
    for limit, size, unit in ((100, 1, "s"), (100 * 60, 60, "m"), (48 * 3600, 3600, "h")):
        if seconds < limit:
            return f"{max(0, int(seconds / size))}{unit}"
    return f"{int(seconds / 86400)}d"


def size(count: object) -> str:
    """``count`` bytes in the largest fitting binary unit."""
    if not isinstance(count, (int, float)):
        return "-"
    return byte_size(count)


class Progress:
    """Shows the progress of something that takes long, as one line of a terminal that changes. Used as a context.

    Where stderr is no terminal, nothing is shown; lines that a terminal does not take at once are left out. A line that
    begins with ``warning:`` is printed to stay, wherever stderr goes.
    """

    __slots__ = ("_output", "_shown")

    def __init__(self) -> None:
        self._output: SharedOutput | None = None
        self._shown = False

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()
        if self._output is not None:
            self._output.close()
            self._output = None

    def _put(self, text: str) -> None:
        from sandtop.core.client.session import SharedOutput

        self._output = self._output or SharedOutput(2)
        try:
            self._output.write(text.encode("utf-8", "backslashreplace"))
        except OSError:
            return  # the terminal is gone

    def clear(self) -> None:
        """Clear the line."""
        if self._shown:
            self._put("\r\033[K")
            self._shown = False

    def __call__(self, message: str) -> None:
        if message.startswith("warning: "):
            self.clear()
            say(message)
            return
        if not os.isatty(2):
            return
        columns = os.get_terminal_size(2).columns
        self._shown = True
        self._put("\r\033[K" + visible(message)[: max(1, columns - 1)])
